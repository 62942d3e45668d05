"""Reads a metrics file again and again while it is being written.

watch.py FILE

Row number n of the file must hold n in its column `n`, whatever moment it is read at, and the file
must never get shorter. Meanwhile two threads hold the file for up to a second, one open and one only
mapped, and then read what they hold. Ends when its standard input is closed; prints how often it read.
"""

import mmap
import os
import random
import sys
import threading
import time

import duckdb
import pandas
import polars
import pyarrow
import pyarrow.parquet


def read_duckdb(path):
    return [n for (n,) in duckdb.execute("select n from read_parquet(?)", [path]).fetchall()]


READERS = [
    lambda path: pandas.read_parquet(path)["n"].tolist(),
    lambda path: pyarrow.parquet.read_table(path)["n"].to_pylist(),
    lambda path: polars.read_parquet(path)["n"].to_list(),
    read_duckdb,
]


def hold_open(path):
    with open(path, "rb") as file:
        parquet = pyarrow.parquet.ParquetFile(file)
        rows = parquet.metadata.num_rows
        time.sleep(random.random())
        return parquet.read(["n"])["n"].to_pylist(), rows


def hold_mapped(path):
    with open(path, "rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    rows = pyarrow.parquet.read_metadata(pyarrow.BufferReader(mapped)).num_rows
    time.sleep(random.random())
    numbers = pyarrow.parquet.read_table(pyarrow.BufferReader(mapped), columns=["n"])["n"]
    return numbers.to_pylist(), rows


def check(numbers, what):
    assert numbers == list(range(len(numbers))), f"wrong values in {what}"


def hold_again_and_again(hold, path, is_over, held, failures):
    try:
        while not is_over.is_set():
            numbers, rows = hold(path)
            assert len(numbers) == rows, f"{len(numbers)} of {rows} rows in {hold.__name__}"
            check(numbers, hold.__name__)
            held.append(rows)
    except Exception as failure:  # told by the main thread
        failures.append(failure)


def main():
    path = sys.argv[1]
    is_over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), is_over.set()), daemon=True).start()
    held, failures, threads = [], [], []
    for hold in [hold_open, hold_mapped]:
        arguments = (hold, path, is_over, held, failures)
        threads.append(threading.Thread(target=hold_again_and_again, args=arguments))
        threads[-1].start()
    reads, shortest = 0, 0
    while True:
        last_round = is_over.is_set()
        for read in READERS:
            numbers = read(path)
            assert len(numbers) >= shortest, f"{len(numbers)} rows after {shortest}"
            check(numbers, f"read {reads}")
            shortest = len(numbers)
            reads += 1
            if reads == 1:
                print("reading", flush=True)
        if failures:
            raise failures[0]
        if last_round:
            break
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    print(f"{reads} reads, {len(held)} holds, {shortest} rows at the end", flush=True)
    # The threads of four libraries do not always survive the shutdown of the interpreter, and everything
    # has been checked.
    os._exit(0)


main()
