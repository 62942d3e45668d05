"""Checks how many rows and which columns a metrics file has.

shape.py FILE EXPECTED

EXPECTED is JSON: {"columns": [name, ...], "rows": count}.
"""

import json
import sys

import pandas

path, expected = sys.argv[1:]
with open(expected) as file:
    expected = json.load(file)
table = pandas.read_parquet(path)
assert len(table) == expected["rows"], f"{len(table)} rows instead of {expected['rows']}"
assert list(table.columns) == expected["columns"], f"columns {list(table.columns)}"
