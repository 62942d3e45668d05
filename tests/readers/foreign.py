"""Writes a metrics file the way a program without Q-Store would.

foreign.py LIBRARY FILE
"""

import datetime
import sys

import duckdb
import pandas
import polars
import pyarrow
import pyarrow.parquet

COLUMNS = {
    "step": list(range(500)),
    "loss": [float("nan") if n % 7 == 0 else n / 8 for n in range(500)],
    "backend": ["other"] * 500,
    "is_best": [n % 2 == 0 for n in range(500)],
    "hist": [[n / 4] * (n % 5) if n % 3 else None for n in range(500)],
    # Without a time zone, as pandas and DuckDB have them by default.
    "at": [datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=n * 1_000_001) for n in range(500)],
}

library, path = sys.argv[1:]
if library == "empty":
    # One row group without rows, whose chunks have no location in the file.
    columns = {name: pyarrow.array(values)[:0] for name, values in COLUMNS.items()}
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
elif library == "pandas":
    # Without this, pandas turns NaN into null on the way to Parquet.
    table = pyarrow.Table.from_pandas(pandas.DataFrame(COLUMNS), preserve_index=False)
    columns = {name: pyarrow.array(values) for name, values in COLUMNS.items()}
    columns = pyarrow.table(columns).replace_schema_metadata(table.schema.metadata)
    pyarrow.parquet.write_table(columns, path, row_group_size=200, write_page_index=True)
elif library == "pyarrow":
    # The names that its older versions gave to the elements of lists.
    pyarrow.parquet.write_table(pyarrow.table(COLUMNS), path, use_compliant_nested_type=False)
elif library == "duckdb":
    rows = pyarrow.table(COLUMNS)
    duckdb.sql(f"COPY (SELECT * FROM rows) TO '{path}' (FORMAT parquet)")
else:
    polars.DataFrame(COLUMNS).write_parquet(path, row_group_size=200)
