"""Reads a directory of ranks and parts as one table.

dataset.py DIR ROWS

Every rank must have the numbers from 0 to ROWS in its column `n`, in the order of its parts, and the
directory's name in a column `rank`.
"""

import sys

import duckdb
import pandas
import polars
import pyarrow.dataset


def read_duckdb(path):
    query = "select rank, n from read_parquet(?, hive_partitioning = true)"
    return duckdb.execute(query, [path + "/**/*.parquet"]).df()


READERS = [
    lambda path: pandas.read_parquet(path),
    lambda path: pyarrow.dataset.dataset(path, partitioning="hive").to_table().to_pandas(),
    lambda path: polars.read_parquet(path + "/**/*.parquet", hive_partitioning=True),
    read_duckdb,
]


def main():
    path, rows = sys.argv[1], int(sys.argv[2])
    for number, read in enumerate(READERS):
        table = read(path)
        ranks = [int(rank) for rank in table["rank"]]
        numbers = list(table["n"])
        assert sorted(set(ranks)) == [0, 1], f"ranks {set(ranks)} in reader {number}"
        for rank in [0, 1]:
            found = sorted(n for n, of in zip(numbers, ranks) if of == rank)
            assert found == list(range(rows)), f"rank {rank} in reader {number}"


main()
