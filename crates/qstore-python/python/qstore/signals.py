"""SIGTERM as a flag: what a scheduler sends before it kills a job."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any

__all__ = ["StopSignal"]


class StopSignal:
    """True once the process was asked to stop, so that a loop can end at a good place.

        with StopSignal() as stop:
            for epoch in range(100):
                if stop:
                    break
                ...

    A second signal does what it did before, which for SIGTERM is to end the process at once. Without this, SIGTERM ends a
    process without its ``atexit`` functions, and what was not flushed is lost.

    :param signals: Which ones. SIGINT among them turns the first Ctrl-C into the flag, too.
    :raises ValueError: when entered in another thread than the main one, as Python allows handlers only there, or with what
        is no signal. No handler was changed.
    """

    def __init__(self, *signals: int) -> None:
        self._signals = signals or (signal.SIGTERM,)
        self._before: dict[int, Any] = {}
        #: The signal that came; None if none did.
        self.signal: int | None = None

    def __enter__(self) -> "StopSignal":
        self.signal = None
        try:
            for number in self._signals:
                self._before[number] = signal.signal(number, self._note)
        except BaseException:  # a number that is no signal, another thread
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for number in list(self._before):
            self._restore(number)

    def _note(self, number: int, _: FrameType | None) -> None:
        self.signal = number
        self._restore(number)

    def _restore(self, number: int) -> None:
        before = self._before.pop(number, None)
        # None is a handler that was not installed by Python, and cannot be restored by it.
        signal.signal(number, signal.SIG_DFL if before is None else before)

    def __bool__(self) -> bool:
        return self.signal is not None

    def __repr__(self) -> str:
        state = "not asked to stop" if self.signal is None else f"asked to stop by {signal.Signals(self.signal).name}"
        return f"<StopSignal: {state}>"
