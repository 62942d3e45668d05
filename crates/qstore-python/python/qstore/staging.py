"""The order of saves, of which some are copied in a thread."""

from __future__ import annotations

from collections.abc import Callable

from ._native import Ticket
from .ticket import Deadline, SaveTicket, StagedTicket


class Staging:
    """Starts the saves of a manager or a run in the order of the calls, and no more than two copies at a time."""

    def __init__(self) -> None:
        self._last: StagedTicket | None = None

    @property
    def is_copying(self) -> bool:
        """Whether the state of the last staged save is not copied yet."""
        return self._last is not None and not self._last.is_copied

    def save(self, epoch: int, start: Callable[[], Ticket], snapshot: str) -> SaveTicket:
        """Copies the state and starts the save by ``start``: now, or in a thread with ``snapshot="staged"``.

        :raises ValueError: for another name.
        """
        before = self._last
        if snapshot == "copy":
            if before is not None:
                before.settle()
            return SaveTicket(start())
        if snapshot != "staged":
            raise ValueError(f'snapshot is {snapshot!r}; choose "copy" (default) or "staged"')
        if before is not None:
            if before.done:
                before.settle()
            # Each thread holds a state: one is copied, and one waits.
            before.settle_before()

        def in_order() -> Ticket:
            if before is not None:
                before.settle()
            return start()

        self._last = StagedTicket(epoch, in_order, before)
        return self._last

    def close(self, close: Callable[[float | None], object], timeout: float | None) -> None:
        """Waits for the copies, then calls ``close`` with the time that is left.

        :raises TimeoutError: if that took longer than ``timeout`` seconds. What is copied goes on, and ``close`` was not
            called unless it raised this.
        :raises Exception: what ``close`` raised, or the failure of a staged save that nobody asked for. It is closed then.
        """
        deadline = Deadline(timeout)
        # What is being copied is not saved yet, so the engine must not be closed before.
        failure = self.failure(timeout)
        try:
            close(timeout if self._last is None else deadline.left())
        except TimeoutError:
            raise
        except Exception as error:
            if failure is not None:
                error.add_note(f"a staged save failed, too: {failure}")
            raise
        if failure is not None:
            raise failure

    def failure(self, timeout: float | None = None) -> Exception | None:
        """Waits for the copies. Returns the failure of a staged save that nobody asked for.

        :raises TimeoutError: if that took longer than ``timeout`` seconds. The copies go on.
        """
        if self._last is None:
            return None
        try:
            self._last.settle(timeout)
        except TimeoutError:
            raise
        except Exception as error:
            return error
        return None
