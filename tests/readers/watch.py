"""Reads a metrics file again and again while it is being written.

watch.py FILE

Row number n of the file must hold n in its column `n`, whatever moment it is read at, and the file
must never get shorter. Ends when its standard input is closed; prints how often it read.
"""

import sys
import threading

import duckdb
import pandas
import polars
import pyarrow.parquet

def read_duckdb(path):
    return [n for (n,) in duckdb.execute("select n from read_parquet(?)", [path]).fetchall()]


READERS = [
    lambda path: pandas.read_parquet(path)["n"].tolist(),
    lambda path: pyarrow.parquet.read_table(path)["n"].to_pylist(),
    lambda path: polars.read_parquet(path)["n"].to_list(),
    read_duckdb,
]


def main():
    path = sys.argv[1]
    is_over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), is_over.set()), daemon=True).start()
    reads, shortest = 0, 0
    while True:
        last_round = is_over.is_set()
        for read in READERS:
            numbers = read(path)
            assert len(numbers) >= shortest, f"{len(numbers)} rows after {shortest}"
            assert numbers == list(range(len(numbers))), f"wrong values in read {reads}"
            shortest = len(numbers)
            reads += 1
            if reads == 1:
                print("reading", flush=True)
        if last_round:
            print(f"{reads} reads, {shortest} rows at the end")
            return


main()
