"""Reads a metrics file with pandas each time it is asked to.

each.py FILE

For every line on standard input it prints how many rows the file has. Row number n must hold n in its
column `n`, and n / 8 in `loss`, which is NaN in every seventh.
"""

import sys

import pandas


def main():
    path = sys.argv[1]
    print("ready", flush=True)
    for _ in sys.stdin:
        table = pandas.read_parquet(path)
        numbers = table["n"].tolist()
        assert numbers == list(range(len(numbers))), "wrong numbers"
        for n, loss in zip(numbers, table["loss"].tolist()):
            assert loss != loss if n % 7 == 0 else loss == n / 8, f"{loss} in row {n}"
        print(len(numbers), flush=True)


main()
