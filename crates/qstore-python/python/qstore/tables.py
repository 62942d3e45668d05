"""Metrics files as tables of pandas, polars and pyarrow. Each is imported only when it is asked for."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_LIBRARIES = ("pandas", "polars", "pyarrow")

#: How the name ends of a file that is there while some parts are replaced by one, and that is none itself.
_PLAN = ".compacting.parquet"

#: How long the parts of a dataset are listed again, in seconds, if they are not those that are found. A compaction takes
#: two seconds for each part that it writes.
_PATIENCE = 10.0


def open_metrics(
    path: str | os.PathLike[str], library: str | None = None, *, columns: Iterable[str] | None = None
) -> Any:
    """A metrics file as a table, also while it is written, and after a crash. Of a dataset of ranks, which is a directory,
    all parts of all ranks, those that are being written as well; the column ``rank`` says whose a row is.

    :param path: The file, such as ``run/metrics.parquet``, or the directory.
    :param library: ``"pandas"``, ``"polars"`` or ``"pyarrow"``; None is the first of these that is installed.
    :param columns: Their names; None means all.
    :raises ImportError: if the library is not installed.
    :raises FileNotFoundError: if there is no such file, or no part of a rank in the directory.
    :raises OSError: if parts of a rank have been replaced for ten seconds: a compaction was killed.
    """
    path, names = Path(path), None if columns is None else list(columns)
    if not path.is_dir():
        return read_table(path, library, names, None)
    return _read_dataset(path, _chosen(library), names)


def _read_dataset(path: Path, library: str, columns: list[str] | None) -> Any:
    deadline = time.monotonic() + _PATIENCE
    while True:
        parts = _parts(path)
        if not parts:
            what = "there are no parts of ranks, such as `rank=0/part-00000.parquet`; of a run, open its `metrics.parquet`"
            raise FileNotFoundError(errno.ENOENT, what, str(path))
        plan = next((part for _, part in parts if part.name.endswith(_PLAN)), None)
        if plan is None:
            try:
                return _polars_dataset(parts, columns) if library == "polars" else _pyarrow_dataset(parts, columns, library)
            except FileNotFoundError:
                # A part was sealed or compacted after it was listed, so that it has another name.
                if time.monotonic() >= deadline:
                    raise
        elif time.monotonic() >= deadline:
            what = "parts of this rank are being compacted; if no process does that, a logger of this rank finishes it"
            raise OSError(errno.EBUSY, what, str(plan))
        else:
            time.sleep(0.05)


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
    library = _chosen(library)
    if library == "pandas":
        return _pandas(path, columns, ranges)
    if library == "polars":
        return _polars(path, columns, ranges)
    return _pyarrow(path, columns, ranges)


def _chosen(library: str | None) -> str:
    """That library, or the first one that is installed."""
    if library is None:
        library = next((name for name in _LIBRARIES if find_spec(name) is not None), None)
        if library is None:
            raise ImportError(f"a table needs one of {', '.join(_LIBRARIES)}; install one, or use read()")
    if library not in _LIBRARIES:
        raise ValueError(f'library is {library!r}; choose "pandas", "polars" or "pyarrow"')
    return library


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


def _parts(path: Path) -> list[tuple[int, Path]]:
    """The rank of each part, and its file."""
    # Those that are written first: one that is sealed in between is found twice then, and not missed.
    found = [*path.glob("rank=*/_part-*.parquet"), *path.glob("rank=*/part-*.parquet")]
    parts = {(part.parent, part.name.removeprefix("_")): part for part in found}
    named = ((part.parent.name.removeprefix("rank="), part) for part in parts.values())
    # Another directory may be called `rank=all`.
    ranks = ((int(rank), part) for rank, part in named if rank.isdecimal())
    return sorted(ranks, key=lambda each: (each[0], each[1].name.removeprefix("_")))


def _wanted(has: Iterable[str], columns: list[str] | None) -> list[str] | None:
    """Those of the columns that a part has."""
    if columns is None:
        return None
    has = set(has)
    return [name for name in columns if name in has]


def _polars_dataset(parts: list[tuple[int, Path]], columns: list[str] | None) -> Any:
    import polars  # type: ignore[import-not-found, import-untyped, unused-ignore]

    tables = []
    for rank, part in parts:
        wanted = _wanted(polars.read_parquet_schema(part), columns)
        table = polars.read_parquet(part, columns=wanted, hive_partitioning=False)
        tables.append(table.with_columns(polars.lit(rank, polars.Int32).alias("rank")))
    table = polars.concat(tables, how="diagonal")
    return table if columns is None else table.select(columns)


def _pyarrow_dataset(parts: list[tuple[int, Path]], columns: list[str] | None, library: str) -> Any:
    import pyarrow  # type: ignore[import-not-found, import-untyped, unused-ignore]
    import pyarrow.parquet  # type: ignore[import-not-found, import-untyped, unused-ignore]

    tables = []
    for rank, part in parts:
        wanted = _wanted(pyarrow.parquet.read_schema(part).names, columns)
        table = pyarrow.parquet.read_table(part, columns=wanted, partitioning=None)
        ranks = pyarrow.array([rank] * len(table), pyarrow.int32())
        tables.append(table.append_column("rank", ranks))
    table = pyarrow.concat_tables(tables, promote_options="default")
    if columns is not None:
        table = table.select(columns)
    return table.to_pandas() if library == "pandas" else table
