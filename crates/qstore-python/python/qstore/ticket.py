"""The ticket of a save: it can be waited for, awaited, or ignored."""

from __future__ import annotations

import dataclasses
import os
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Generator
from typing import Any

from ._native import ForkedError, Notifier, Ticket


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


class Deadline:
    """When several waits end that have one limit, in seconds; None is never.

    :raises ValueError: for a negative number and for NaN.
    """

    def __init__(self, timeout: float | None) -> None:
        if timeout is not None and not timeout >= 0:
            raise ValueError(f"timeout is {timeout}; it must be None or a number of seconds that is not negative")
        self._end = None if timeout is None else time.monotonic() + timeout

    def left(self) -> float | None:
        """The seconds that are left, no more than a wait of Python takes."""
        if self._end is None:
            return None
        return min(max(0.0, self._end - time.monotonic()), threading.TIMEOUT_MAX)


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

    def staged(self, timeout: float | None = None) -> None:
        """Returns once the state is copied, so that its arrays may be changed. With ``snapshot="copy"`` it is already.

        :raises TimeoutError: if that took longer than ``timeout`` seconds. The copy goes on.
        :raises StateError: for something that cannot be saved.
        """

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
            await _thread(self._ticket.wait)
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


class StagedTicket(SaveTicket):
    """The pending result of a save whose state is copied in a thread."""

    __slots__ = ("_asked", "_before", "_epoch", "_error", "_home", "_is_staged")

    def __init__(self, epoch: int, save: Callable[[], Ticket], before: "StagedTicket | None" = None) -> None:
        self._epoch = epoch
        #: The one whose copy this one waits for, until this one is copied.
        self._before = before
        self._home = os.getpid()
        self._is_staged = threading.Event()
        self._error: BaseException | None = None
        self._asked = False
        self._coroutine = None
        # Not a daemon: the end of the interpreter waits for it.
        threading.Thread(target=self._stage, args=(save,), name="qstore-stage").start()

    def _stage(self, save: Callable[[], Ticket]) -> None:
        try:
            self._ticket = save()
        except BaseException as error:  # raised to the first caller who asks
            self._error = error
        finally:
            self._before = None
            self._is_staged.set()

    @property
    def is_copied(self) -> bool:
        """Whether the copy has ended, well or not."""
        return self._is_staged.is_set()

    def staged(self, timeout: float | None = None) -> None:
        self._wait_for_copy(timeout)
        if self._error is not None:
            self._asked = True
            raise self._error

    def _wait_for_copy(self, timeout: float | None) -> None:
        self._check_process()
        if not self._is_staged.wait(Deadline(timeout).left()):
            raise TimeoutError(f"the state of {self.epoch} was not copied within {timeout} s; the copy goes on")

    def _check_process(self) -> None:
        if not self._is_staged.is_set() and self._home != os.getpid():
            raise ForkedError(f"the state of {self.epoch} is copied by the process that this one was forked from")

    def settle(self, timeout: float | None = None) -> None:
        """Waits for the copy, and raises its error if nobody has asked for it.

        :raises TimeoutError: if that took longer than ``timeout`` seconds. The copy goes on.
        """
        self._wait_for_copy(timeout)
        if not self._asked:
            self.staged()

    def settle_before(self) -> None:
        """Waits for the copy that this one waits for, so that no more than two states are held. Its error is left to others."""
        self._check_process()
        before = self._before
        if before is not None:
            before._is_staged.wait()

    @property
    def epoch(self) -> int:
        return self._epoch

    @property
    def done(self) -> bool:
        return self._is_staged.is_set() and (self._error is not None or self._ticket.done)

    @property
    def outcome(self) -> SaveOutcome | None:
        return self.wait() if self.done else None

    def wait(self, timeout: float | None = None) -> SaveOutcome:
        deadline = Deadline(timeout)
        self.staged(timeout)
        return SaveOutcome(**self._ticket.wait(deadline.left()))

    async def _finished(self) -> SaveOutcome:
        self._check_process()
        if not self._is_staged.is_set():
            await _thread(self._is_staged.wait)
        self.staged()
        return await super()._finished()

    def __repr__(self) -> str:
        if self._error is not None:
            return f"<SaveTicket: {self.epoch} failed, {self._error}>"
        return super().__repr__() if self._is_staged.is_set() else f"<SaveTicket: {self.epoch} is being copied>"


def _trio() -> Any:
    """trio, if its event loop is the one that runs."""
    trio = sys.modules.get("trio")
    return trio if trio is not None and trio.lowlevel.in_trio_run() else None


async def _readable(notifier: Notifier) -> None:
    """Waits until the save has ended, in whichever event loop this is."""
    trio = _trio()
    if trio is not None:
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


async def _thread(wait: Callable[[], Any]) -> None:
    """Waits in a thread, where no descriptor can be waited for."""
    trio = _trio()
    if trio is not None:
        await trio.to_thread.run_sync(wait, abandon_on_cancel=True)
        return
    import asyncio

    await asyncio.to_thread(wait)
