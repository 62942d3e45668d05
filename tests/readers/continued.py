"""Checks files of other programs that were continued, in several readers.

continued.py DIR

For each NUMBER.before.parquet in the directory, NUMBER.parquet has the same rows in columns of the same types, then
its first row again, and a column `a new column` that only this row has.
"""

import math
import pathlib
import sys

import duckdb
import polars
import pyarrow as pa
import pyarrow.parquet as pq

NEW = "a new column"


def same(one, other):
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    return one == other


def plain(column):
    """Times as the integers that they are: Python's own end with the year 9999."""
    if pa.types.is_temporal(column.type):
        column = column.cast(pa.int32() if column.type.bit_width == 32 else pa.int64())
    return column.to_pylist()


def check(reader, name, values, expected):
    wrong = [n for n, (a, b) in enumerate(zip(values, expected)) if not same(a, b)]
    assert len(values) == len(expected) and not wrong, f"{reader}, {name}: {values[wrong[0]]!r} in row {wrong[0]}"


def check_file(path, before):
    # Without the schema of Arrow, which is not kept: the columns are what Parquet says they are.
    old, new = pq.ParquetFile(before), pq.ParquetFile(path)
    table, continued = old.read(), new.read()
    assert continued.column_names == table.column_names + [NEW], continued.column_names
    for number, name in enumerate(table.column_names):
        a, b = old.schema.column(number), new.schema.column(number)
        for what in ("physical_type", "logical_type", "converted_type", "max_definition_level"):
            assert str(getattr(a, what)) == str(getattr(b, what)), f"{name}: {what} {getattr(b, what)}"
        expected = pa.chunked_array(table.column(name).chunks + [table.column(name).slice(0, 1).combine_chunks()])
        # Some types are larger ones by the schema of Arrow.
        expected = expected.cast(continued.column(name).type)
        values = plain(expected)
        check("pyarrow", name, plain(continued.column(name)), values)
        found = polars.read_parquet(path, columns=[name])[name].to_arrow()
        check("polars", name, plain(found.cast(expected.type)), values)
        quoted = '"' + name + '"'
        found = duckdb.sql(f"SELECT {quoted} FROM '{path}'").to_arrow_table().column(0)
        check("DuckDB", name, plain(found.cast(expected.type)), values)
    assert continued.column(NEW).to_pylist() == [None] * table.num_rows + [0.5]


for before in sorted(pathlib.Path(sys.argv[1]).glob("*.before.parquet")):
    path = before.with_name(before.name.replace(".before", ""))
    try:
        check_file(path, before)
    except Exception as error:
        sys.exit(f"{path}: {type(error).__name__}: {error}")
