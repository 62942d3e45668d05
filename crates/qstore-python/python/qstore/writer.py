"""The writer: what is in a buffer, into one Parquet file."""

from __future__ import annotations

import contextlib
import os
import threading
import time
import warnings
from pathlib import Path
from typing import Any

from . import endings
from ._native import RowWriter
from .buffer import AsyncBuffer
from .logger import as_dict

#: How many rows are taken out of the buffer at once.
_BATCH = 512

#: A stop is noticed within this time while the buffer is empty, in seconds.
_POLL = 0.05

#: The writer waits this long for room in its own ring, in seconds: forever. Rows wait in the buffer meanwhile.
_FOREVER = 1e9

_NEW: dict[str, Any] = {
    "rows_written": 0,
    "flushes": 0,
    "errors": 0,
    "pending_rows": 0,
    "file_rows": 0,
    "rejected_rows": 0,
    "omitted_values": 0,
    "last_rejection": None,
    "bytes_written": 0,
}


class AsyncMetricsWriter(threading.Thread):
    """Takes rows out of a buffer and appends them to one Parquet file, in the background.

    A row is a dict, a dataclass or something with ``to_dict()``. The columns are the union of their names; what a
    row lacks is null. The buffer stays open after ``stop``, and another writer can go on with it.

    :param buffer: Where the rows come from.
    :param output_path: The file. Its directory is created. An existing file is continued.
    :param flush_interval: The file is updated after this many rows,
    :param flush_seconds: or after this time, whichever comes first.
    """

    def __init__(
        self,
        buffer: AsyncBuffer,
        output_path: str | os.PathLike[str],
        flush_interval: int = 100,
        flush_seconds: float = 10.0,
        *,
        compression: str = "gzip",
    ) -> None:
        super().__init__(name="AsyncMetricsWriter", daemon=True)
        self.buffer = buffer
        self.output_path: Path = Path(output_path)
        self.output_path.parent.mkdir(parents=True, exist_ok=True)
        self.flush_interval = flush_interval
        self.flush_seconds = flush_seconds
        self.compression = compression
        self._stop_event = threading.Event()
        self._rows: RowWriter | None = None
        self._rejected: list[Any] = [0, None]

    def start(self) -> None:
        """Opens the file and starts the thread.

        :raises OpenError: if the file belongs to another writer, or is not a Parquet file.
        """
        if self._rows is None:
            self._rows = RowWriter(
                self.output_path, 10_000, self.flush_interval, self.flush_seconds, self.compression, _FOREVER
            )
        endings.watch(self)
        super().start()

    def run(self) -> None:
        """The thread's own work."""
        rows = self._rows
        assert rows is not None, "start() opens the file"
        while True:
            is_last = self._stop_event.is_set()
            batch = self.buffer.pop_many(_BATCH, 0.0 if is_last else _POLL)
            for row in batch:
                try:
                    rows.log(as_dict(row))
                except Exception as error:  # that row, whatever its to_dict() does; the others are good
                    self._reject(error)
            if is_last and not batch:
                return

    def _reject(self, error: Exception) -> None:
        self._rejected[0] += 1
        if self._rejected[1] is not None:
            return
        self._rejected[1] = f"{type(error).__name__}: {error}"
        # Where warnings are errors, this one must not end the thread that writes the other rows.
        with contextlib.suppress(RuntimeWarning):
            warnings.warn(
                f"a row for {self.output_path} was rejected: {self._rejected[1]}; further ones are counted in "
                "stats() and health()",
                RuntimeWarning,
                stacklevel=2,
            )

    def stop(self, timeout: float | None = 30.0) -> None:
        """Writes every row that is in the buffer, closes the file and ends the thread.

        :raises TimeoutError: if that took longer than ``timeout`` seconds. It goes on by itself.
        :raises WriteError: if rows could not be written. They are still held.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        self._stop_event.set()
        if self.is_alive():
            self.join(timeout)
            if self.is_alive():
                raise TimeoutError(f"the writer of {self.output_path} was not done after {timeout} s; it goes on")
        if self._rows is not None:
            self._rows.stop(None if deadline is None else max(0.0, deadline - time.monotonic()))

    def _end(self, timeout: float) -> None:
        self.stop(timeout)

    def stats(self) -> dict[str, Any]:
        """``rows_written``, ``flushes``, ``errors``, ``pending_rows``, ``output_path``, and more."""
        stats = self._rows.stats() if self._rows is not None else dict(_NEW)
        stats["output_path"] = str(self.output_path)
        count, reason = self._rejected
        stats["rejected_rows"] += count
        stats["last_rejection"] = stats["last_rejection"] or reason
        return stats

    def health(self) -> dict[str, Any]:
        """The first error, and what was lost, by kind."""
        found = self._rows.health() if self._rows is not None else {"first_error": None, "errors": 0, "losses": {}}
        count, reason = self._rejected
        if count:
            known = found["losses"].setdefault("rejected", {"count": 0, "first": None, "reason": reason})
            known["count"] += count
        return found

    @property
    def rows_written(self) -> int:
        """Rows that are in the file through this writer."""
        return int(self.stats()["rows_written"])

    @property
    def flushes(self) -> int:
        """How often the file was updated."""
        return int(self.stats()["flushes"])

    @property
    def errors(self) -> int:
        """How often that failed. The rows were kept."""
        return int(self.stats()["errors"])
