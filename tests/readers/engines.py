"""Reads datasets of ranks by the lines that docs/datasets.md names for each engine.

engines.py DOCS ENGINE[,ENGINE...] [TABLE DIR EXPECTED]...

For each dataset DIR, TABLE is `line` or `short line`: which of the two tables of DOCS. EXPECTED is JSON:
{"sealed": {"ROWS": …}, "open": {…}}: what engines see that pass over open parts, and what the others see; each
maps a column to the sum of its values (of floats their integer parts, of lists that of their elements), to the
number of values if they are not numbers, or to null if it only must be there.
"""

import glob  # noqa: F401, used by the lines
import json
import sys

SEES_OPEN_PARTS = {"DuckDB", "polars", "DataFusion"}


def lines(docs, table):
    """The lines of one table, by engine."""
    found, is_in_table = {}, False
    with open(docs) as file:
        for text in file:
            cells = [cell.strip() for cell in text.strip().strip("|").split("|")]
            if cells[0] == "engine":
                is_in_table = cells[1] == f"the {table}"
            elif not text.startswith("|"):
                is_in_table = False
            elif is_in_table and cells[1].startswith("`"):
                found[cells[0]] = text.split("`")[1]
    return found


def spark_session():
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master("local[2]").appName("qstore").config("spark.ui.enabled", "false")
    builder = builder.config("spark.ui.showConsoleProgress", "false")
    session = builder.config("spark.sql.shuffle.partitions", "2").getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    return session


def rows(table):
    """What a line has returned, as dictionaries."""
    kind = f"{type(table).__module__}.{type(table).__name__}"
    if kind.startswith("pyspark."):
        return [row.asDict() for row in table.collect()]
    if kind.startswith("pandas."):
        missing = table.astype(object).where(table.notna(), None)
        return missing.to_dict("records")
    if kind.startswith("polars."):
        return (table.collect() if hasattr(table, "collect") else table).to_dicts()
    if kind.startswith("pyarrow."):
        return table.to_table().to_pylist()
    if kind.startswith("datafusion."):
        return table.to_pylist()
    return table.to_arrow_table().to_pylist()


def summary(table):
    sums = {"ROWS": 0}
    for row in rows(table):
        sums["ROWS"] += 1
        for name, value in row.items():
            sums.setdefault(name, 0)
            sums[name] += worth(value)
    return sums


def worth(value):
    """What a value adds to the sum of its column."""
    if value is None:
        return 0
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return int(value)
    if hasattr(value, "__iter__") and not isinstance(value, str):
        return sum(worth(element) for element in value)
    return 1


def check(engine, line, path, expected, names):
    with open(expected) as file:
        expected = json.load(file)
    found = summary(eval(line.replace("METRICS", path), names))
    wanted = expected["open" if engine in SEES_OPEN_PARTS else "sealed"]
    # A column that must be there, with whatever values.
    found = {name: None if wanted.get(name, 0) is None else value for name, value in found.items()}
    assert found == wanted, f"{engine}, {path}: {found} instead of {wanted}"


def main():
    docs, engines, *datasets = sys.argv[1:]
    for engine in engines.split(","):
        names = {"glob": glob}
        if engine == "Spark":
            names["spark"] = spark_session()
        else:
            import datafusion, duckdb, pandas, polars, pyarrow, pyarrow.dataset

            names |= dict(datafusion=datafusion, duckdb=duckdb, pandas=pandas, polars=polars, pyarrow=pyarrow)
        for table, path, expected in zip(datasets[::3], datasets[1::3], datasets[2::3]):
            check(engine, lines(docs, table)[engine], path, expected, names)
    print(f"{engines} agree")


main()
