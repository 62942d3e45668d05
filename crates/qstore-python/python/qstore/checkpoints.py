"""Checkpoints: states that are saved in the background and come back as they were."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import endings
from ._native import Checkpoints as NativeCheckpoints
from ._native import Manager
from .errors import StateError
from .staging import Staging
from .tensors import Convert, check, converter, fill
from .ticket import SaveTicket

#: How long the end of the interpreter and a manager that is forgotten wait for saves, in seconds.
PATIENCE = 60.0

_MODEL, _OPTIMIZER = "model", "optimizer"


class Checkpoints:
    """The checkpoints of a directory, to be read: nothing is saved, and no thread is started.

    :param checkpoint_dir: The directory, which exists.
    :raises OpenError: if it is not a directory of checkpoints.
    """

    checkpoint_dir: Path

    def __init__(self, checkpoint_dir: str | os.PathLike[str]) -> None:
        self.checkpoint_dir = Path(checkpoint_dir)
        self._reading = NativeCheckpoints(self.checkpoint_dir)

    @classmethod
    def _over(cls, path: Path, reading: NativeCheckpoints) -> "Checkpoints":
        self = cls.__new__(cls)
        self.checkpoint_dir, self._reading = path, reading
        return self

    def load(self, epoch: int, *, tensors: str | Convert | None = None) -> dict[str, Any]:
        """Loads a checkpoint, and verifies every byte of it.

        :param tensors: What arrays come back as: ``"numpy"``, ``"torch"``, ``"qstore"`` (``qstore.Tensor``, which has
            the buffer protocol), or what a function makes of that. None is numpy, if it can be imported. All of them
            can be written to.
        :returns: ``epoch``, ``model_state``, ``optimizer_state`` (None if none was saved), ``metadata``, ``parts``,
            ``timestamp`` in seconds since 1970, and ``save_duration_ms``.
        :raises NotFoundError: if there is none with this number.
        :raises DamagedError: if its bytes are not those that were written.

        Ctrl-C interrupts it.
        """
        return _loaded(self._reading.load(epoch, converter(tensors)))

    def load_latest(self, *, tensors: str | Convert | None = None) -> dict[str, Any] | None:
        """Loads the newest checkpoint that can be loaded; None if there are none.

        A newer one that is damaged is skipped, with a ``RuntimeWarning``.

        :raises CheckpointError: if there are checkpoints, and none of them can be loaded.
        """
        latest = self._reading.load_latest(converter(tensors))
        if latest is None:
            return None
        loaded, skipped = latest
        for number, reason in skipped:
            warnings.warn(f"checkpoint {number} was skipped: {reason}", RuntimeWarning, stacklevel=2)
        return _loaded(loaded)

    def load_into(
        self, epoch: int, model_state: Any, optimizer_state: Any = None, *, parts: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Loads a checkpoint into arrays that exist, such as those of ``model.state_dict()``.

        The states must have the structure, shapes and element types of the checkpoint. All of it is compared before the
        first array is changed. A state that is not given is not read into.

        :returns: As ``load``: the arrays that were given, and the loaded values for everything else, with named tuples
            as in the states that were given. What torch's ``load_state_dict`` takes.
        :raises StateError: if something differs. Nothing was changed.
        """
        native = self._reading.load(epoch, None)
        fill_parts(native, model_state, optimizer_state, parts)
        return _loaded(native)

    def list_checkpoints(self) -> list[int]:
        """The numbers of the checkpoints, in ascending order. What is not whole is not listed."""
        return self._reading.list_checkpoints()

    def latest_checkpoint(self) -> int | None:
        """The number of the newest save, which need not be the largest; None if there are none."""
        return self._reading.latest()

    def get_checkpoint_info(self, epoch: int) -> dict[str, Any]:
        """Describes a checkpoint without reading its arrays: ``epoch``, ``timestamp``, ``model_size_mb``, ``metadata``
        and more.

        :raises NotFoundError: if there is none with this number.
        """
        return self._reading.info(epoch)

    def verify(self, epoch: int) -> dict[str, Any]:
        """Reads and checks a checkpoint as ``load`` does, and keeps nothing of it. Returns its description.

        :raises DamagedError: if its bytes are not those that were written.
        """
        return self._reading.verify(epoch)

    def pin(self, epoch: int) -> None:
        """Keeps a checkpoint whatever the settings say, until it is unpinned."""
        self._reading.pin(epoch)

    def unpin(self, epoch: int) -> None:
        """Lets the settings decide again."""
        self._reading.unpin(epoch)

    def explain(self) -> list[tuple[int, bool, str]]:
        """What would be kept now and why, newest save first: the number, whether it is kept, and the reason."""
        return self._reading.explain()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {str(self.checkpoint_dir)!r}: {self.list_checkpoints()}>"


class CheckpointManager(Checkpoints):
    """Saves the states of a training run in the background, and loads them exactly as they were.

    ``save`` takes the state before it returns, so the loop may change its arrays at once; it is compressed, written and
    synced by a thread that never takes the GIL. A checkpoint appears as a whole or not at all, and survives a power cut
    once its ticket is done. Several managers, in one process or in several, may share a directory.

    A state is a tree of dicts, lists, tuples, None, flags, integers of any size, floats, complex numbers, texts, bytes
    and arrays: of numpy, torch, jax, tensorflow, and anything with the buffer protocol or DLPack. The keys of a dict are
    texts or integers. What cannot be saved is refused with its path, before anything is done. Nothing is pickled.

    :param checkpoint_dir: The directory. It is created.
    :param keep_last: How many of the newest saves are kept; 0 keeps all.
    :param compression: ``"zstd"``, ``"lz4"``, ``"gzip"`` or ``"none"``.
    :param compression_level: 1 (fast) to 9 (small).
    :param keep_best: Also keeps the best ``n`` by a number of the metadata: ``(3, "val_loss", "min")`` or
        ``(3, "accuracy", "max")``.
    :param keep_every: Also keeps every checkpoint whose number is a multiple of this.
    :param layout: ``"file"``, one ``epoch_0001.zarr.zip`` for each; or ``"directory"``.
    :param counter: Whether checkpoints are numbered by ``"epoch"`` or by ``"step"``; None is what the directory has,
        and epochs for a new one.
    :param busy: What a save does while one runs and another waits: ``"wait"`` for room; ``"skip"`` itself, if one runs;
        or ``"coalesce"``, take the place of the one that waits.
    :param deduplicate: Whether arrays that did not change since the previous checkpoint are linked, in directories.
    :param workers: How many threads compress and decompress; None is one for each core, at most 2.
    :raises ValueError: for a setting that cannot be used.
    :raises OpenError: if the directory cannot be used. Nothing was changed.
    """

    ends_last = True

    checkpoint_dir: Path
    keep_last: int
    compression: str
    compression_level: int

    def __init__(
        self,
        checkpoint_dir: str | os.PathLike[str],
        keep_last: int = 5,
        compression: str = "zstd",
        compression_level: int = 3,
        *,
        keep_best: tuple[int, str, str] | None = None,
        keep_every: int | None = None,
        layout: str = "file",
        counter: str | None = None,
        busy: str = "wait",
        deduplicate: bool = False,
        workers: int | None = None,
    ) -> None:
        path = Path(checkpoint_dir)
        path.mkdir(parents=True, exist_ok=True)
        settings = manager_settings(
            keep_last=keep_last,
            compression=compression,
            compression_level=compression_level,
            keep_best=keep_best,
            keep_every=keep_every,
            layout=layout,
            counter=counter,
            busy=busy,
            deduplicate=deduplicate,
            workers=workers,
        )
        self._native = Manager(path, settings)
        self._reading = self._native.checkpoints
        self.checkpoint_dir = path
        self.keep_last = keep_last
        self.compression = compression
        self.compression_level = compression_level
        self._is_closed = False
        self._staging = Staging()
        endings.watch(self)

    def save(
        self,
        epoch: int,
        model_state: Any,
        optimizer_state: Any = None,
        metadata: Mapping[str, Any] | None = None,
        *,
        parts: Mapping[str, Any] | None = None,
        snapshot: str = "copy",
    ) -> SaveTicket:
        """Takes the state now, and saves it in the background.

        :param epoch: The number of the checkpoint. An earlier one with the same number is replaced once this one is
            durable.
        :param model_state: Any tree, such as ``model.state_dict()``.
        :param optimizer_state: Any tree; None is none.
        :param metadata: Numbers, texts, and trees of them; ``keep_best`` and other programs read them without the rest.
        :param parts: Further states by name: a scheduler, random number generators, the position of a data loader.
        :param snapshot: ``"copy"`` returns when the state is copied, but for what nothing can change: ``bytes``, arrays of
            jax, and read-only views of these. ``"staged"`` returns at once, and a thread copies it: do
            not change the state before ``ticket.staged()`` has returned. If the states of two earlier calls are not copied
            yet, it waits for the older one first. The end of the interpreter waits for the thread, without a limit.
        :returns: A ticket, which can be waited for, awaited, or forgotten.
        :raises StateError: for something that cannot be saved. Nothing was done.
        :raises SaveError: once, after an earlier save failed and nobody asked for it. This one was not started.
        :raises StoppedError: after ``close``.
        :raises ForkedError: in a child of the process that opened the manager.
        """
        states = states_of(model_state, optimizer_state, parts)
        draft = self._native.draft(epoch, dict(metadata or {}))
        return self._staging.save(epoch, lambda: self._native.save(draft, states), snapshot)

    def reserve(
        self,
        model_state: Any,
        optimizer_state: Any = None,
        *,
        parts: Mapping[str, Any] | None = None,
        wait: bool = False,
    ) -> None:
        """Allocates the memory for the copy that ``save`` makes of such states, in the background.

        Without this the first save takes about ten times as long as the later ones, because the operating system has to
        clear that memory. Call it before the loop. Nothing of the states is read but their shapes.

        :param wait: Whether to return only when it is done.
        :raises StateError: for something that cannot be saved.
        """
        self._native.reserve(states_of(model_state, optimizer_state, parts), wait)

    @property
    def pending(self) -> int:
        """How many saves are running or waiting."""
        return self._native.pending + self._staging.is_copying

    def health(self) -> dict[str, Any]:
        """The first failure in the background, and the saves that were skipped or superseded."""
        return self._native.health()

    def close(self, timeout: float | None = PATIENCE) -> None:
        """Waits for all saves and ends the thread. Checkpoints can still be loaded.

        :param timeout: Seconds; None waits until all is saved.
        :raises TimeoutError: if that took longer. The saves go on, and ``close`` can be called again.
        :raises SaveError: the first failure in the background, if there was one.
        """
        try:
            self._staging.close(self._native.close, timeout)
        except TimeoutError:
            raise
        except Exception:
            self._is_closed = True
            raise
        self._is_closed = True

    def _end(self, timeout: float) -> None:
        if self._is_closed:
            return
        try:
            # A checkpoint is worth more than a few seconds.
            self.close(max(timeout, PATIENCE))
        finally:
            self._is_closed = True

    def __enter__(self) -> "CheckpointManager":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> "CheckpointManager":
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        # After an error in `__init__` there is nothing to close.
        if not getattr(self, "_is_closed", True) and not self._native.is_forked:
            self.close(PATIENCE)

    def __repr__(self) -> str:
        if self._native.is_forked:
            return f"<CheckpointManager {str(self.checkpoint_dir)!r}: of the parent process>"
        state = "closed" if self._is_closed else f"{self.pending} being saved"
        return f"<CheckpointManager {str(self.checkpoint_dir)!r}: {self.list_checkpoints()}, {state}>"

    def __reduce__(self) -> Any:
        raise TypeError("a checkpoint manager belongs to its process; open one in the worker")


def manager_settings(
    *,
    keep_last: int = 5,
    compression: str = "zstd",
    compression_level: int = 3,
    keep_best: tuple[int, str, str] | None = None,
    keep_every: int | None = None,
    layout: str = "file",
    counter: str | None = None,
    busy: str = "wait",
    deduplicate: bool = False,
    workers: int | None = None,
) -> dict[str, Any]:
    """What the native manager takes. The parameters and their defaults are those of ``CheckpointManager``."""
    return {
        "keep_last": keep_last,
        "compression": compression if compression == "none" else f"{compression}:{compression_level}",
        "keep_best": keep_best,
        "keep_every": keep_every,
        "layout": layout,
        "counter": counter,
        "busy": busy,
        "deduplicate": deduplicate,
        "workers": workers,
    }


def states_of(model: Any, optimizer: Any, parts: Mapping[str, Any] | None) -> dict[str, Any]:
    """All parts by name."""
    states = {_MODEL: model}
    if optimizer is not None:
        states[_OPTIMIZER] = optimizer
    for name, state in (parts or {}).items():
        if name in (_MODEL, _OPTIMIZER):
            raise ValueError(f"{name!r} is a parameter of its own; give the part another name")
        states[name] = state
    return states


def fill_parts(
    native: dict[str, Any], model_state: Any, optimizer_state: Any, parts: Mapping[str, Any] | None
) -> None:
    """Copies a checkpoint that was loaded without conversion into states that exist, and puts them in its parts.

    :raises StateError: if something differs. Nothing was changed.
    """
    given = states_of(model_state, optimizer_state, parts)
    if model_state is None:
        del given[_MODEL]
    found = native["parts"]
    for name, target in given.items():
        label = f"{name}_state" if name in (_MODEL, _OPTIMIZER) else name
        if name not in found:
            text = f"checkpoint {native['epoch']} has no `{label}`; its parts are {list(found)}"
            raise StateError(text, label)
        check(target, found[name], label)
    convert = converter(None)
    native["parts"] = {
        name: fill(given[name], state, convert) if name in given else _converted(state, convert)
        for name, state in found.items()
    }


def loaded_parts(native: dict[str, Any], tensors: str | Convert | None) -> dict[str, Any]:
    """The states of a checkpoint that was loaded without conversion."""
    convert = converter(tensors)
    return split({name: _converted(state, convert) for name, state in native["parts"].items()})


def split(states: Mapping[str, Any]) -> dict[str, Any]:
    """States by name as ``model_state``, ``optimizer_state`` and the other ``parts``."""
    parts = dict(states)
    model, optimizer = parts.pop(_MODEL, None), parts.pop(_OPTIMIZER, None)
    return {"model_state": model, "optimizer_state": optimizer, "parts": parts}


def _loaded(native: dict[str, Any]) -> dict[str, Any]:
    states = split(native["parts"])
    return {
        "epoch": native["epoch"],
        "model_state": states["model_state"],
        "optimizer_state": states["optimizer_state"],
        "metadata": native["metadata"],
        "parts": states["parts"],
        "timestamp": native["timestamp"],
        "save_duration_ms": native["save_duration_ms"],
    }


def _converted(state: Any, convert: Convert | None) -> Any:
    """A loaded state with its tensors converted."""
    from ._native import Tensor

    if isinstance(state, Tensor):
        return state if convert is None else convert(state)
    if isinstance(state, dict):
        return {key: _converted(node, convert) for key, node in state.items()}
    if isinstance(state, list):
        return [_converted(node, convert) for node in state]
    if isinstance(state, tuple):
        return tuple(_converted(node, convert) for node in state)
    return state
