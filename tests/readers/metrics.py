"""Reads a metrics file with four libraries and compares every value.

metrics.py FILE EXPECTED [READER...]

EXPECTED is JSON: {"columns": [name, ...], "rows": [{name: value}, ...]}; a float is
{"bits": "..."}, its 64 bits in hexadecimal, or {"between": [low, high]} where only a range is known;
a list is a list of such, and a time is {"count": ..., "unit": "ms", "us" or "ns", "utc": true or false};
a name that a row leaves out is null.
"""

import datetime
import json
import math
import struct
import sys

import duckdb
import numpy
import pandas
import polars
import pyarrow.parquet


def read_pandas(path):
    return pandas.read_parquet(path).to_dict("records")


def read_pyarrow(path):
    return pyarrow.parquet.read_table(path).to_pylist()


def read_polars(path):
    return polars.read_parquet(path).to_dicts()


def read_duckdb(path):
    found = duckdb.sql("select * from read_parquet(?)", params=[path])
    if any("TIME ZONE" in str(kind) for kind in found.types):
        # For Python's own times it wants another library.
        return found.to_arrow_table().to_pylist()
    return [dict(zip(found.columns, row)) for row in found.fetchall()]


def read_fastparquet(path):
    import fastparquet

    return fastparquet.ParquetFile(path).to_pandas().to_dict("records")


def read_spark(path):
    """Spark has no nanoseconds, and its versions before 4 need the plain encoding."""
    from pyspark.sql import SparkSession
    from pyspark.sql.types import TimestampType

    builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
    spark = builder.config("spark.sql.session.timeZone", "UTC").getOrCreate()
    frame = spark.read.parquet(path)
    rows = [row.asDict() for row in frame.collect()]
    # It returns times in UTC by the clock on the wall of this machine.
    for name in (field.name for field in frame.schema.fields if isinstance(field.dataType, TimestampType)):
        for row in rows:
            row[name] = row[name] and row[name].astimezone(datetime.timezone.utc)
    return rows


READERS = {
    "pandas": read_pandas,
    "pyarrow": read_pyarrow,
    "polars": read_polars,
    "duckdb": read_duckdb,
}

# Only where they are named: they are not in every environment.
MORE_READERS = {"fastparquet": read_fastparquet, "spark": read_spark}


def bits(number):
    return struct.pack(">d", number).hex()


def is_missing(value):
    # pandas shows a missing number as NaN, a missing text as NaN or None and a missing time as NaT.
    return value is None or value is pandas.NaT or (isinstance(value, float) and math.isnan(value))


EPOCH = datetime.datetime(1970, 1, 1)
PER_SECOND = {"ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


def is_time(found, count, unit, utc):
    """Whether a reader found that time, as far as Python's own times have its digits."""
    nanoseconds = count * (PER_SECOND["ns"] // PER_SECOND[unit])
    if isinstance(found, numpy.datetime64):
        return not utc and found.astype("datetime64[ns]").astype(int) == nanoseconds
    if (found.tzinfo is not None) != utc:
        return False
    if isinstance(found, pandas.Timestamp):
        return found.as_unit("ns").value == nanoseconds
    if utc:
        found = found.astimezone(datetime.timezone.utc).replace(tzinfo=None)
    microseconds = (found - EPOCH) // datetime.timedelta(microseconds=1)
    return microseconds == nanoseconds // 1000


def is_equal(found, expected):
    if expected is None:
        return is_missing(found)
    if isinstance(expected, list):
        if isinstance(found, numpy.ndarray):
            found = found.tolist()
        return isinstance(found, list) and len(found) == len(expected) and all(map(is_equal, found, expected))
    if isinstance(expected, dict) and "unit" in expected:
        return not is_missing(found) and is_time(found, **expected)
    if isinstance(expected, dict) and "between" in expected:
        earliest, latest = expected["between"]
        return isinstance(found, float) and earliest <= found <= latest
    if isinstance(expected, dict):
        return isinstance(found, float) and bits(found) == expected["bits"]
    if isinstance(expected, int) and isinstance(found, float):
        # pandas turns integers into floats as soon as one of the column is missing.
        return float(expected) == found
    return found == expected


def compare(name, found, expected):
    columns, rows = expected["columns"], expected["rows"]
    assert len(found) == len(rows), f"{name}: {len(found)} rows instead of {len(rows)}"
    if found:
        assert list(found[0]) == columns, f"{name}: columns {list(found[0])} instead of {columns}"
    for number, (row, wanted) in enumerate(zip(found, rows)):
        for column in columns:
            value, should = row[column], wanted.get(column)
            assert is_equal(value, should), (
                f"{name}: row {number}, column {column}: {value!r} instead of {should!r}"
            )


def filter_by_statistics(path, expected):
    """A reader that skips row groups by their statistics must find what a full scan finds."""
    for column in expected["columns"]:
        wanted = [row.get(column) for row in expected["rows"]]
        if not any(isinstance(value, dict) and "bits" in value for value in wanted):
            continue
        floats = [struct.unpack(">d", bytes.fromhex(v["bits"]))[0] for v in wanted if v]
        finite = sorted(value for value in floats if math.isfinite(value))
        if not finite:
            continue
        for pivot in (finite[0], finite[len(finite) // 2], finite[-1]):
            for operator, test in (("<=", float.__le__), ("=", float.__eq__)):
                count = sum(test(value, pivot) for value in floats)
                query = f'select count(*) from read_parquet(?) where "{column}" {operator} ?'
                (found,) = duckdb.execute(query, [path, pivot]).fetchone()
                assert found == count, f"duckdb: {found} rows, not {count}: {column} {operator} {pivot}"
                lazy = polars.scan_parquet(path)
                value = polars.col(column)
                matches = value <= pivot if operator == "<=" else value == pivot
                found = lazy.filter(matches & value.is_not_nan()).select(polars.len()).collect().item()
                assert found == count, f"polars: {found} rows, not {count}: {column} {operator} {pivot}"
                filtered = pyarrow.parquet.read_table(
                    path, columns=[column], filters=[(column, "==" if operator == "=" else operator, pivot)]
                )
                assert len(filtered) == count, (
                    f"pyarrow: {len(filtered)} rows, not {count}: {column} {operator} {pivot}"
                )


def main():
    path, expected, *names = sys.argv[1:]
    with open(expected) as file:
        expected = json.load(file)
    for name in names or READERS:
        compare(name, (READERS | MORE_READERS)[name](path), expected)
    filter_by_statistics(path, expected)
    print(f"{len(expected['rows'])} rows equal in {', '.join(names or READERS)}")


main()
