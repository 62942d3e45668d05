"""What is open in this process, and how it ends with the process."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
import weakref
from typing import Any, Protocol

#: How long the end of the interpreter waits for everything that is open, in seconds.
PATIENCE = 10.0


class Open(Protocol):
    """Something that holds rows or states until it is stopped."""

    def _end(self, timeout: float) -> None: ...


_live: "weakref.WeakSet[Any]" = weakref.WeakSet()
_by_path: dict[str, "weakref.ref[Any]"] = {}
_lock = threading.Lock()
_registered_in = 0


def watch(opened: Open) -> None:
    """Stops ``opened`` when the interpreter ends, unless it is stopped before."""
    global _registered_in
    _live.add(opened)
    if _registered_in == os.getpid():
        return
    if _registered_in == 0:
        atexit.register(stop_all)
    _registered_in = os.getpid()
    # A child of multiprocessing leaves by os._exit, which skips atexit.
    if "multiprocessing.util" in sys.modules:
        sys.modules["multiprocessing.util"].Finalize(None, stop_all, exitpriority=10)


def stop_all() -> None:
    """Stops everything that is open, within ``PATIENCE`` in all; checkpoint managers have more."""
    deadline = time.monotonic() + PATIENCE
    # What may take longer comes last, so that it does not use up the time of the others.
    for opened in sorted(_live, key=lambda opened: bool(getattr(opened, "ends_last", False))):
        try:
            opened._end(max(0.0, deadline - time.monotonic()))
        except Exception as error:  # the others are stopped all the same
            print(f"qstore: {error}", file=sys.stderr)


def remember(path: str, opened: Open) -> None:
    """Remembers that ``opened`` has ``path`` open.

    A notebook cell that is run twice opens the same file twice, and the first object lives until its name is bound
    again. So the next one has to find the one before.
    """
    with _lock:
        _by_path[path] = weakref.ref(opened)


def holder(path: str) -> Any:
    """What has ``path`` open in this process, or None."""
    with _lock:
        held = _by_path.get(path)
    return held() if held is not None else None


def _after_fork_in_child() -> None:
    global _lock
    # Another thread may have held it; and what the parent has open is the parent's to stop.
    _lock = threading.Lock()
    _live.clear()
    _by_path.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
