"""Reads a part of a dataset with fastparquet, which knows the oldest encodings only.

fast.py FILE
"""

import sys

import fastparquet

table = fastparquet.ParquetFile(sys.argv[1]).to_pandas(columns=["step", "train_loss", "accuracy"])
assert list(table["step"]) == list(range(len(table))), table
assert len(table) == 5000 and set(table["train_loss"]) == {2.0} and set(table["accuracy"]) == {1.0}, table
