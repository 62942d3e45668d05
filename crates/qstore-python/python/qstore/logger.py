"""The logger: one call a step, and a file that can be read at any moment."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from . import endings
from ._native import Logged, Logger
from .tables import open_metrics


class AsyncMetricsLogger(Logger):
    """Logs the metrics of a training run into one Parquet file, without ever waiting for the disk.

    A background thread writes. A row that finds the buffer full is dropped: the call returns a ``Logged`` that is
    false, the first one is a ``RuntimeWarning``, and ``stats()``, ``health()`` and the file itself count them.

    ``log_step``, ``log_epoch`` and ``log`` return at once. What they return can also be awaited, so that the same
    line works in a synchronous and in an asynchronous loop.

    :param output_path: The file; with ``rank`` a directory. Its directory is created. An existing file is continued.
    :param buffer_size: How many rows fit into the buffer; a row takes 320 bytes.
    :param flush_interval: The file is updated after this many rows,
    :param flush_seconds: or after this time, whichever comes first.
    :param compression: ``"gzip"``, ``"zstd"``, ``"lz4"``, ``"snappy"`` or ``"none"``, or with a level as in
        ``"zstd:3"``.
    :param overflow: ``"drop_newest"`` or ``"drop_oldest"``.
    :param rank: The number of this process among those that train together, which all pass the same ``output_path``: the
        directory of a dataset. Each writes files of its own, below ``rank=N``, which are read as one table; see
        ``open_metrics``. Nobody waits for another rank. A new file is begun every 10 minutes or 128 MiB.
    :param columns: Metrics, which are numbers, that the file has from its beginning, null until there is a value. Pass
        the same ones on all ranks: most engines take the columns of a table from its first file.
    :param exist_ok: Whether a logger of this process that has the file open is stopped first, as in a notebook cell
        that is run twice. A writer of another process is never stopped.
    :raises ValueError: for a setting that cannot be used.
    :raises OpenError: if the file belongs to another writer, or is not a Parquet file. It is unchanged.
    """

    output_path: Path

    def __new__(
        cls,
        output_path: str | os.PathLike[str],
        buffer_size: int = 10_000,
        flush_interval: int = 100,
        flush_seconds: float = 10.0,
        *,
        compression: str = "gzip",
        overflow: str = "drop_newest",
        rank: int | None = None,
        columns: Iterable[str] = (),
        exist_ok: bool = True,
    ) -> "AsyncMetricsLogger":
        if rank is not None and not 0 <= rank < 2**32:
            raise ValueError(f"rank is {rank}; choose the number of this process, counted from 0")
        if isinstance(columns, str):
            raise ValueError(f"columns is {columns!r}; pass a list of names")
        path = Path(output_path)
        path.parent.mkdir(parents=True, exist_ok=True)
        real = os.path.realpath(path if rank is None else path / f"rank={rank}")
        before = endings.holder(real)
        if before is not None and exist_ok:
            before.stop()
        settings = {
            "buffer_size": buffer_size,
            "flush_interval": flush_interval,
            "flush_seconds": flush_seconds,
            "compression": compression,
            "overflow": overflow,
        }
        self = super().__new__(cls, path, settings, list(columns), rank)
        self.output_path = path
        self._is_stopped = False
        endings.watch(self)
        endings.remember(real, self)
        return self

    def log(self, metrics: Any) -> Logged:
        """Logs a whole row as it is: ``TrainingMetrics``, ``QuantumMetrics``, another dataclass, or a dict.

        A row without a ``timestamp`` is stamped with the time of this call.
        """
        row = as_dict(metrics)
        row.setdefault("timestamp", time.time())
        return self.log_row(row)

    def stop(self, timeout: float | None = 30.0) -> dict[str, Any]:
        """Writes every row, closes the file and ends the thread. Returns ``stats()``.

        :param timeout: Seconds; None waits until all is written.
        :raises TimeoutError: if that took longer. It goes on by itself, and ``stop`` can be called again.
        :raises WriteError: if rows could not be written. They are still held: make room, and call it again.
        """
        summary = super().stop(timeout)
        self._is_stopped = True
        return summary

    def dataframe(self, library: str | None = None, *, columns: Iterable[str] | None = None) -> Any:
        """Everything that was logged so far, as a table of ``"pandas"``, ``"polars"`` or ``"pyarrow"``; of a dataset, by all
        ranks.

        Waits until it is in the file, unless the logger is stopped.

        :param library: Which one; None is the first of these that is installed.
        :param columns: Their names; None means all.
        :raises ImportError: if it is not installed.
        :raises WriteError: if rows could not be written.
        """
        if not self._is_stopped:
            self.flush()
        return open_metrics(self.output_path, library, columns=columns)

    def _end(self, timeout: float) -> None:
        if not self._is_stopped:
            self.stop(timeout)

    def __enter__(self) -> "AsyncMetricsLogger":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def __aenter__(self) -> "AsyncMetricsLogger":
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stop()

    def __del__(self) -> None:
        if getattr(self, "_is_stopped", True) or self.is_forked:
            return
        warnings.warn(f"{self!r} was not stopped", ResourceWarning, stacklevel=2)
        self.stop(5.0)

    def __repr__(self) -> str:
        if self.is_forked:
            return f"<AsyncMetricsLogger {str(self.output_path)!r}: of the parent process>"
        now = self.stats()
        state = "stopped" if self._is_stopped else "running"
        rows, dropped = now["buffer"]["pushed"], now["buffer"]["dropped"]
        return f"<AsyncMetricsLogger {str(self.output_path)!r}: {state}, {rows} rows, {dropped} dropped>"

    def _repr_html_(self) -> str:
        from html import escape

        now = self.stats()
        cells = {
            "file": self.output_path,
            "state": "stopped" if self._is_stopped else "running",
            "rows logged": now["buffer"]["pushed"],
            "rows in the file": now["writer"]["file_rows"],
            "rows dropped": now["buffer"]["dropped"],
            "errors": now["writer"]["errors"],
        }
        rows = "".join(
            f"<tr><th>{escape(name)}</th><td>{escape(str(value))}</td></tr>" for name, value in cells.items()
        )
        return f"<table>{rows}</table>"

    def __reduce__(self) -> Any:
        raise TypeError("a logger belongs to its process; open one in the worker, under another name")


def renamed(values: Mapping[str, Any], taken: Collection[str]) -> dict[str, Any]:
    """The values under names that are not taken: ``NAME`` is called ``NAME_logged`` if it is."""
    row, used = {}, {*taken, *values}
    for name, value in values.items():
        free = name
        if name in taken:
            while free in used:
                free += "_logged"
            used.add(free)
        row[free] = value
    return row


def as_dict(metrics: Any) -> dict[str, Any]:
    """The names and values of a row."""
    if isinstance(metrics, dict):
        return dict(metrics)
    import dataclasses

    if dataclasses.is_dataclass(metrics) and not isinstance(metrics, type):
        return {field.name: getattr(metrics, field.name) for field in dataclasses.fields(metrics)}
    if hasattr(metrics, "to_dict"):
        return dict(metrics.to_dict())
    raise TypeError(
        f"a row is a dict, a dataclass or something with to_dict(), not a {type(metrics).__name__}"
    )
