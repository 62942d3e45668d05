"""A bounded buffer whose push never waits."""

from __future__ import annotations

import time
from typing import Any

from ._native import Buffer


class AsyncBuffer(Buffer):
    """A bounded first-in, first-out buffer for any objects, between any threads.

    ``push`` never waits: an item that finds the buffer full is dropped and counted, and ``push`` returns False.
    ``pop`` waits without the GIL.

    :param maxsize: How many items fit, 1 or more.
    :param name: The name in ``stats()``.
    :raises ValueError: if ``maxsize`` is 0.
    """

    created_at: float

    def __new__(cls, maxsize: int = 10_000, name: str | None = None) -> "AsyncBuffer":
        buffer = super().__new__(cls, maxsize, "async_buffer" if name is None else name)
        buffer.created_at = time.time()
        return buffer

    def __repr__(self) -> str:
        return f"<AsyncBuffer {self.name!r}: {len(self)} of {self.maxsize}, {self.dropped_count} dropped>"

    def __reduce__(self) -> Any:
        raise TypeError("an AsyncBuffer belongs to its process; make one in each process")
