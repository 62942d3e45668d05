"""Metrics files as tables of pandas, polars and pyarrow. Each is imported only when it is asked for."""

from __future__ import annotations

import os
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_LIBRARIES = ("pandas", "polars", "pyarrow")


def open_metrics(
    path: str | os.PathLike[str], library: str | None = None, *, columns: Iterable[str] | None = None
) -> Any:
    """A metrics file as a table, also while it is written, and after a crash.

    :param path: The file, such as ``run/metrics.parquet``.
    :param library: ``"pandas"``, ``"polars"`` or ``"pyarrow"``; None is the first of these that is installed.
    :param columns: Their names; None means all.
    :raises ImportError: if the library is not installed.
    :raises FileNotFoundError: if there is no such file.
    """
    return read_table(Path(path), library, None if columns is None else list(columns), None)


def read_table(
    path: Path, library: str | None, columns: list[str] | None, ranges: list[tuple[int, int]] | None
) -> Any:
    """Reads a metrics file.

    :param library: ``"pandas"``, ``"polars"`` or ``"pyarrow"``; None is the first of these that is installed.
    :param columns: Their names; None means all.
    :param ranges: The rows, as the numbers of the first one and of the one after the last; None means all. The file may
        have more by now: rows are only ever added.
    :raises ImportError: if the library is not installed.
    :raises ValueError: for another name.
    """
    if library is None:
        library = next((name for name in _LIBRARIES if find_spec(name) is not None), None)
        if library is None:
            raise ImportError(f"a table needs one of {', '.join(_LIBRARIES)}; install one, or use read()")
    if library == "pandas":
        return _pandas(path, columns, ranges)
    if library == "polars":
        return _polars(path, columns, ranges)
    if library == "pyarrow":
        return _pyarrow(path, columns, ranges)
    raise ValueError(f'library is {library!r}; choose "pandas", "polars" or "pyarrow"')


def _pandas(path: Path, columns: list[str] | None, ranges: list[tuple[int, int]] | None) -> Any:
    import pandas  # type: ignore[import-not-found, import-untyped, unused-ignore]

    table = pandas.read_parquet(path, columns=columns)
    if ranges is None:
        return table
    parts = [table.iloc[start:end] for start, end in ranges]
    return pandas.concat(parts, ignore_index=True) if parts else table.iloc[:0]


def _polars(path: Path, columns: list[str] | None, ranges: list[tuple[int, int]] | None) -> Any:
    import polars  # type: ignore[import-not-found, import-untyped, unused-ignore]

    table = polars.read_parquet(path, columns=columns)
    if ranges is None:
        return table
    parts = [table.slice(start, end - start) for start, end in ranges]
    return polars.concat(parts) if parts else table.clear()


def _pyarrow(path: Path, columns: list[str] | None, ranges: list[tuple[int, int]] | None) -> Any:
    import pyarrow  # type: ignore[import-not-found, import-untyped, unused-ignore]
    import pyarrow.parquet  # type: ignore[import-not-found, import-untyped, unused-ignore]

    # One file, whatever its directory is called: a path such as `lr=1/` is not a column.
    table = pyarrow.parquet.read_table(path, columns=columns, partitioning=None)
    if ranges is None:
        return table
    parts = [table.slice(start, end - start) for start, end in ranges]
    return pyarrow.concat_tables(parts) if parts else table.slice(0, 0)
