"""Runs of plain torch: one call saves what a run needs to go on, one call goes on.

    import qstore.torch

    with CheckpointManager("run/checkpoints") as manager:
        last = qstore.torch.resume(manager, model, optimizer, scheduler)
        for epoch in range(0 if last is None else last["epoch"] + 1, 100):
            ...
            qstore.torch.save(manager, epoch, model, optimizer, scheduler, metadata={"val_loss": loss})
"""

from __future__ import annotations

import random
import sys
from collections.abc import Mapping
from typing import Any

from .checkpoints import CheckpointManager
from .ticket import SaveTicket

__all__ = ["random_states", "restore_random_states", "resume", "save"]

_SCHEDULER, _RANDOM = "scheduler", "random"


def save(
    manager: CheckpointManager,
    epoch: int,
    model: Any,
    optimizer: Any = None,
    scheduler: Any = None,
    *,
    metadata: Mapping[str, Any] | None = None,
    parts: Mapping[str, Any] | None = None,
    snapshot: str = "copy",
) -> SaveTicket:
    """Takes the states of a run now, and saves them in the background.

    The states of the random number generators of torch, numpy and Python are saved, too.

    :param model: What has a ``state_dict()``; so for ``optimizer`` and ``scheduler``.
    :param parts: Further states by name. ``"scheduler"`` and ``"random"`` are taken.
    :param snapshot: As of ``CheckpointManager.save``. With ``"staged"``, call ``ticket.staged()`` before the next forward
        pass, which may change buffers.
    :raises StateError: for something that cannot be saved. Nothing was done.
    """
    others = {_RANDOM: random_states(), **({} if scheduler is None else {_SCHEDULER: scheduler.state_dict()})}
    for name, state in (parts or {}).items():
        if name in others or name == _SCHEDULER:
            raise ValueError(f"{name!r} is saved by this function itself; give the part another name")
        others[name] = state
    state = None if optimizer is None else optimizer.state_dict()
    return manager.save(epoch, model.state_dict(), state, metadata, parts=others, snapshot=snapshot)


def resume(
    manager: CheckpointManager,
    model: Any,
    optimizer: Any = None,
    scheduler: Any = None,
    *,
    epoch: int | None = None,
    randomness: bool = True,
) -> dict[str, Any] | None:
    """Loads a checkpoint into a run: a run that is resumed does what the one that was saved would have done.

    :param epoch: Which one; None is the newest that can be loaded.
    :param randomness: Whether the random number generators are set as well.
    :returns: What ``load`` returns; None if there is no checkpoint, and nothing was changed.
    :raises CheckpointError: if the checkpoint has no state for something that was given.
    :raises NotFoundError: if there is none with this number.
    """
    from .errors import CheckpointError

    if epoch is None:
        loaded = manager.load_latest(tensors="torch")
        if loaded is None:
            return None
    else:
        loaded = manager.load(epoch, tensors="torch")
    given = {"optimizer": (optimizer, loaded["optimizer_state"]), _SCHEDULER: (scheduler, loaded["parts"].get(_SCHEDULER))}
    for name, (target, state) in given.items():
        if target is not None and state is None:
            raise CheckpointError(f"checkpoint {loaded['epoch']} has no state of the {name}; pass None for it")
    model.load_state_dict(loaded["model_state"])
    for target, state in given.values():
        if target is not None:
            target.load_state_dict(state)
    states = loaded["parts"].get(_RANDOM)
    if randomness and states is not None:
        restore_random_states(states)
    return loaded


def random_states() -> dict[str, Any]:
    """The states of the random number generators of Python, torch (of each CUDA device, if one is in use) and numpy (if
    it was imported).
    """
    torch = _torch()
    states = {"python": random.getstate(), "torch": torch.get_rng_state()}
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        states["cuda"] = torch.cuda.get_rng_state_all()
    if "numpy" in sys.modules:
        states["numpy"] = sys.modules["numpy"].random.get_state(legacy=False)
    return states


def restore_random_states(states: Mapping[str, Any]) -> None:
    """Sets the generators that ``states`` has, as ``random_states`` returned it or as it was loaded."""
    torch = _torch()
    random.setstate(states["python"])
    torch.set_rng_state(torch.as_tensor(states["torch"]))
    if "cuda" in states and torch.cuda.is_available():
        devices = states["cuda"][: torch.cuda.device_count()]
        torch.cuda.set_rng_state_all([torch.as_tensor(state) for state in devices])
    if "numpy" in states:
        import numpy

        state = dict(states["numpy"])
        state["state"] = {name: _plain(value) for name, value in state["state"].items()}
        numpy.random.set_state(state)


def _plain(value: Any) -> Any:
    """numpy's generator takes arrays of numpy only."""
    return value.numpy() if hasattr(value, "numpy") else value


def _torch() -> Any:
    import torch  # type: ignore[import-not-found, import-untyped, unused-ignore]

    return torch
