"""The ticket of a save: it can be waited for, awaited, or ignored."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Coroutine, Generator
from typing import Any

from ._native import Notifier, Ticket


@dataclasses.dataclass(frozen=True)
class SaveOutcome:
    """How a save ended when nothing failed. True if a checkpoint was saved."""

    #: ``"saved"``; ``"skipped"``, if an earlier save was running and the manager skips then; or ``"superseded"``, if a
    #: newer state took its place before it began.
    kind: str
    epoch: int
    #: The position of this save among all saves into the directory.
    save_seq: int | None = None
    #: The size on the disk.
    stored_bytes: int = 0
    #: How many of these bytes are shared with the previous checkpoint.
    linked_bytes: int = 0
    #: From the beginning of the save until it was durable.
    seconds: float = 0.0
    #: The checkpoints that retention removed.
    removed: list[int] = dataclasses.field(default_factory=list)
    #: Why older checkpoints could not be removed. This one is saved all the same.
    retention_error: str | None = None
    #: Why ``keep_best`` cannot rank this checkpoint.
    unranked: str | None = None
    #: The epoch that was saved instead.
    superseded_by: int | None = None

    def __bool__(self) -> bool:
        return self.kind == "saved"


class SaveTicket(Coroutine[Any, Any, SaveOutcome]):
    """The pending result of one save.

    Wait for it with ``wait``, await it in asyncio or trio, make a task of it, or forget it: the save goes on in any case,
    and a failure that nobody asked for is raised by the next save.
    """

    __slots__ = ("__weakref__", "_coroutine", "_ticket")

    def __init__(self, ticket: Ticket) -> None:
        self._ticket = ticket
        self._coroutine: Coroutine[Any, Any, SaveOutcome] | None = None

    @property
    def epoch(self) -> int:
        """The epoch or step that is being saved."""
        return self._ticket.number

    @property
    def done(self) -> bool:
        """Whether the save has ended."""
        return self._ticket.done

    @property
    def outcome(self) -> SaveOutcome | None:
        """How the save ended; None while it goes on.

        :raises SaveError: if it failed.
        """
        return self.wait() if self._ticket.done else None

    def wait(self, timeout: float | None = None) -> SaveOutcome:
        """Waits until the checkpoint is durable, without the GIL.

        :param timeout: Seconds; None waits until the save has ended.
        :raises TimeoutError: if that took longer. The save goes on.
        :raises SaveError: if it failed.
        :raises ForkedError: in a child of the process that saves.
        """
        return SaveOutcome(**self._ticket.wait(timeout))

    async def _finished(self) -> SaveOutcome:
        notifier = self._ticket.notifier()
        if notifier is not None:
            try:
                await _readable(notifier)
            finally:
                # Not left to the collector: a canceled task is often part of a cycle.
                notifier.close()
        elif not self._ticket.done:
            await _in_a_thread(self._ticket)
        return self.wait()

    def __await__(self) -> Generator[Any, Any, SaveOutcome]:
        return self._finished().__await__()

    def send(self, value: Any) -> Any:
        """As a coroutine: what ``asyncio.create_task`` calls."""
        if self._coroutine is None:
            self._coroutine = self._finished()
        return self._coroutine.send(value)

    def throw(self, typ: Any, val: Any = None, tb: Any = None) -> Any:
        """As a coroutine: ends the await, and not the save."""
        if self._coroutine is None:
            self._coroutine = self._finished()
        error = typ if val is None else val
        return self._coroutine.throw(error() if isinstance(error, type) else error)

    def close(self) -> None:
        """As a coroutine: ends the await, and not the save."""
        if self._coroutine is not None:
            self._coroutine.close()

    def __repr__(self) -> str:
        if not self._ticket.done:
            return f"<SaveTicket: {self.epoch} is being saved>"
        try:
            return f"<SaveTicket: {self.epoch} was {self.wait().kind}>"
        except Exception as error:
            return f"<SaveTicket: {self.epoch} failed, {error}>"

    def __reduce__(self) -> Any:
        raise TypeError("a ticket belongs to the process that saves")


async def _readable(notifier: Notifier) -> None:
    """Waits until the save has ended, in whichever event loop this is."""
    if "trio" in sys.modules:
        trio = sys.modules["trio"]
        if trio.lowlevel.in_trio_run():
            await trio.lowlevel.wait_readable(notifier.fileno())
            return
    import asyncio

    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not future.done():
            future.set_result(None)

    loop.add_reader(notifier.fileno(), wake)
    try:
        await future
    finally:
        loop.remove_reader(notifier.fileno())


async def _in_a_thread(ticket: Ticket) -> None:
    """Where no descriptor can be waited for."""
    import asyncio

    await asyncio.to_thread(ticket.wait)
