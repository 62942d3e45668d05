"""Prints the rows of a query of DuckDB, a line for each. Ends with 77 if DuckDB is not installed."""

import sys

try:
    import duckdb
except ImportError:
    sys.exit(77)

for row in duckdb.sql(sys.argv[1]).fetchall():
    print(row)
