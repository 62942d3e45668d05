"""Training runs: one object that logs, saves, resumes, and records how it ended."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from . import _native, endings
from ._native import Logged, StoppedError
from .checkpoints import Checkpoints, fill_parts, loaded_parts, manager_settings, split, states_of
from .errors import SaveError, StateError
from .logger import as_dict
from .params import json_of
from .staging import Staging
from .tensors import Convert
from .ticket import SaveTicket

if TYPE_CHECKING:
    from .ledger import Ledger

__all__ = ["Resumed", "Run", "RunSettings"]


class RunSettings(TypedDict, total=False):
    """The settings that ``Run.create``, ``create_at``, ``resume`` and ``resume_or_start`` take."""

    #: What it belongs to.
    group: str | None
    #: Words to find it by. A run that is resumed keeps those it has and gets these as well.
    tags: Iterable[str]
    #: Free text.
    notes: str
    #: The parameters of the training: a mapping, a namespace or a dataclass, which may be nested. Those of a run that is
    #: resumed stay; what is different is recorded with the attempt. A value under the name of a secret (``…token``,
    #: ``…password``) is not recorded.
    params: Any
    #: What decides its random choices.
    seed: int | None
    #: What it is judged by: ``("val_loss", "min")`` or ``("accuracy", "max")``.
    goal: tuple[str, str] | None
    #: How rows are logged and written: parameters of ``AsyncMetricsLogger``, such as ``{"flush_interval": 10}``.
    metrics: Mapping[str, Any]
    #: How checkpoints are saved and kept: parameters of ``CheckpointManager``, such as ``{"keep_last": 3}``.
    checkpoints: Mapping[str, Any]
    #: How often the processor, the memory, the disk and the GPUs are measured, in seconds; None is never. Linux only.
    system_metrics: float | None
    #: Whether arguments, directory, variables and git are recorded. Default True.
    record_environment: bool
    #: How long git may take to tell whether the source code was changed, in seconds. Default 0.2.
    git_timeout: float
    #: How long the end waits for what is still to be written, in seconds. Default 60; None is without a limit.
    finish_timeout: float | None


class Resumed:
    """What a resumed run goes on from: a checkpoint, and what is known of the rows after it."""

    #: The number of the checkpoint.
    epoch: int
    #: The step after which it was saved, if that is known.
    step: int | None
    metadata: dict[str, Any]
    #: Newer checkpoints that could not be loaded, and why.
    skipped: list[tuple[int, str]]
    #: Rows that the checkpoint has seen and the metrics file does not have: 0 unless the disk was full or failed.
    rows_missing: int

    def __init__(self, native: dict[str, Any]) -> None:
        self._native = native
        self.epoch = native["epoch"]
        self.step = native["step"]
        self.metadata = native["metadata"]
        self.skipped = native["skipped"]
        self.rows_missing = native["rows_missing"]

    def states(self, *, tensors: str | Convert | None = None) -> dict[str, Any]:
        """The states, as ``CheckpointManager.load`` returns them: ``model_state``, ``optimizer_state``, ``parts``.

        :param tensors: What arrays come back as.
        """
        return loaded_parts(self._native, tensors)

    def load_into(
        self, model_state: Any, optimizer_state: Any = None, *, parts: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Copies the states into arrays that exist, as ``CheckpointManager.load_into`` does.

        :raises StateError: if something differs. Nothing was changed.
        """
        filled = dict(self._native)
        fill_parts(filled, model_state, optimizer_state, parts)
        return split(filled["parts"])

    def __repr__(self) -> str:
        return f"<Resumed: from checkpoint {self.epoch}, step {self.step}>"


class Run(_native.Run):
    """A training run that is being written: a directory with metrics, checkpoints, and a record of every start and end.

        with Run.resume_or_start("runs/baseline", params={"lr": 0.01}) as run:
            first = 0 if run.resumed is None else run.resumed.epoch + 1
            for epoch in range(first, 10):
                run.log_step(epoch, epoch, train_loss=0.5)
                run.save(epoch, model.state_dict())

    The ``with`` block decides how it ends: well, or as failed with the text of the exception. A run that is ended in no way is
    recorded as failed when the process ends, and what was logged and saved is written. One that is killed is ``crashed`` for
    everyone who looks.

    ``log_step``, ``log_epoch`` and ``log`` are those of ``AsyncMetricsLogger``. Make one with ``create``, ``create_at``,
    ``resume`` or ``resume_or_start``.
    """

    ends_last = True

    path: Path
    _staging: Staging
    _has_ended: bool
    #: What it goes on from; None for a start from scratch.
    resumed: Resumed | None

    def __new__(cls, *_: Any, **__: Any) -> "Run":
        raise TypeError("a run is made by Run.create, Run.create_at, Run.resume or Run.resume_or_start")

    @classmethod
    def create(
        cls, runs: str | os.PathLike[str] = "runs", *, name: str | None = None, **settings: Unpack[RunSettings]
    ) -> "Run":
        """Creates a run in a directory of runs: ``run_001``, or the next free number, or ``name``.

        A notebook cell that is run twice makes two runs.

        :param settings: See ``RunSettings``.
        :raises RunExistsError: if the name is taken.
        :raises ValueError: for a setting that cannot be used.
        """
        return cls._open("create", Path(runs), settings, name=name)

    @classmethod
    def create_at(cls, path: str | os.PathLike[str], **settings: Unpack[RunSettings]) -> "Run":
        """Creates the run ``path``, which may exist as a directory, but not as a run.

        :raises RunExistsError: if it is a run.
        """
        return cls._open("create_at", Path(path), settings)

    @classmethod
    def resume(
        cls, path: str | os.PathLike[str], *, resume_from: int | None = None, **settings: Unpack[RunSettings]
    ) -> "Run":
        """Continues a run as a new attempt, from its newest checkpoint that can be loaded.

        Rows that will be repeated stay in the file and do not count anymore. ``resumed`` has the states. If this process has
        the run open already, as from a notebook cell that is run twice, that one is ended first.

        :param resume_from: The number of another checkpoint.
        :raises NotARunError: if it is not a run.
        :raises RunningError: if another process writes it.
        :raises CheckpointError: if there are checkpoints, and none can be loaded.
        """
        return cls._open("resume", Path(path), settings, resume_from=resume_from)

    @classmethod
    def resume_or_start(
        cls, path: str | os.PathLike[str], *, resume_from: int | None = None, **settings: Unpack[RunSettings]
    ) -> "Run":
        """Resumes ``path`` if it is a run, and creates it otherwise: one line for the start and for every restart."""
        return cls._open("resume_or_start", Path(path), settings, resume_from=resume_from)

    @classmethod
    def _open(
        cls,
        how: str,
        path: Path,
        settings: RunSettings,
        *,
        name: str | None = None,
        resume_from: int | None = None,
    ) -> "Run":
        native = _settings(**settings)
        native.update(name=name, resume_from=resume_from)
        if how.startswith("resume"):
            before = endings.holder(_key(path))
            if before is not None and not before._has_ended:
                before.fail("it was resumed by the same process")
        self: Run = super().__new__(cls, how, path, native)
        self.path = Path(self.dir)
        self._staging = Staging()
        self._has_ended = False
        endings.watch(self)
        endings.remember(_key(self.path), self)
        resumed = self.take_resumed()
        self.resumed = None if resumed is None else Resumed(resumed)
        for number, reason in () if self.resumed is None else self.resumed.skipped:
            warnings.warn(f"checkpoint {number} was skipped: {reason}", RuntimeWarning, stacklevel=3)
        return self

    def log(self, metrics: Any) -> Logged:
        """Logs a whole row as it is: ``TrainingMetrics``, ``QuantumMetrics``, another dataclass, or a dict.

        A row without a ``timestamp`` is stamped with the time of this call.
        """
        row = as_dict(metrics)
        row.setdefault("timestamp", time.time())
        return self.log_row(row)

    def save(
        self,
        epoch: int,
        model_state: Any,
        optimizer_state: Any = None,
        metadata: Mapping[str, Any] | None = None,
        *,
        step: int | None = None,
        parts: Mapping[str, Any] | None = None,
        snapshot: str = "copy",
    ) -> SaveTicket:
        """Takes the state now, and saves it in the background, as ``CheckpointManager.save``.

        The checkpoint appears after the rows that were logged before this call. It records how many these are, so that a
        resumed run knows which rows it repeats.

        :param step: The last step that the state has seen; None is the last one that was logged.
        """
        states = states_of(model_state, optimizer_state, parts)
        draft = self.draft(epoch, self.last_step if step is None else step, dict(metadata or {}))
        return self._staging.save(epoch, lambda: self.save_draft(draft, states), snapshot)

    def reserve(
        self,
        model_state: Any,
        optimizer_state: Any = None,
        *,
        parts: Mapping[str, Any] | None = None,
        wait: bool = False,
    ) -> None:
        """Allocates the memory for the copy that ``save`` makes, as ``CheckpointManager.reserve``."""
        self.reserve_parts(states_of(model_state, optimizer_state, parts), wait)

    @property
    def checkpoints(self) -> Checkpoints:
        """The checkpoints of the run, to be loaded and listed."""
        return Checkpoints._over(self.path / "checkpoints", self.saved)

    def ledger(self, **settings: Any) -> "Ledger":
        """Opens the ledger of the run's jobs on quantum computers, ``jobs.parquet``.

        :param settings: What ``Ledger`` takes besides the path, such as ``budget_usd``.
        """
        from .ledger import Ledger

        return Ledger(self.path / "jobs.parquet", attempt=self.attempt, **settings)

    def tag(self, *tags: str) -> None:
        """Adds words to find the run by."""
        _native.edit_run(self.path, list(tags), [], None)

    def untag(self, *tags: str) -> None:
        """Removes words."""
        _native.edit_run(self.path, [], list(tags), None)

    def note(self, text: str) -> None:
        """Replaces the notes."""
        _native.edit_run(self.path, [], [], text)

    def finish(self) -> dict[str, Any]:
        """Ends the run well, once every save and every row is written, within ``finish_timeout``.

        Ctrl-C ends the wait, and not the end.

        :returns: ``metrics`` (as ``stats()``), ``system_error`` and ``save_error``.
        :raises SaveError: for a save that failed and that nobody asked for. The run has ended as failed.
        :raises TimeoutError: if something is not written yet. The run has not ended; call it again.
        :raises WriteError: if rows could not be written. They are still held: make room, and call it again.
        """
        failure = self._staging.failure()
        if failure is None:
            return self._ended(self.end_well)
        self._ended(lambda: self.end_with(_text_of(failure)))
        raise failure

    def fail(self, error: BaseException | str) -> dict[str, Any]:
        """Ends the run with an error, which becomes part of ``run.json``. Everything is written, as by ``finish``."""
        text = error if isinstance(error, str) else _text_of(error)
        self._staging.failure()
        return self._ended(lambda: self.end_with(text))

    def _ended(self, end: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        try:
            summary = end()
        except (SaveError, StateError, StoppedError):
            self._has_ended = True
            raise
        self._has_ended = True
        return summary

    def _end(self, _: float) -> None:
        if not self._has_ended:
            self.fail("the process ended without `finish`")

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if self._has_ended or self.is_forked:
            return
        if error is None or (isinstance(error, SystemExit) and not error.code):
            self.finish()
            return
        try:
            self.fail(error)
        except Exception as another:  # the error of the block is the one to raise
            error.add_note(f"qstore could not end the run: {another}")

    async def __aenter__(self) -> "Run":
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.__exit__(kind, error, trace)

    def __del__(self) -> None:
        if getattr(self, "_has_ended", True) or self.is_forked:
            return
        warnings.warn(f"{self!r} was not finished", ResourceWarning, stacklevel=2)
        self.fail("it was forgotten without `finish`")

    def __repr__(self) -> str:
        if self.is_forked:
            return f"<Run {str(self.path)!r}: of the parent process>"
        state = "ended" if self._has_ended else "running"
        rows = self.stats()["buffer"]["pushed"]
        return f"<Run {str(self.path)!r}: {state}, attempt {self.attempt}, {rows} rows>"

    def _repr_html_(self) -> str:
        from .run_reader import RunReader

        return RunReader(self.path)._repr_html_()

    def __reduce__(self) -> Any:
        raise TypeError("a run belongs to its process; open one in the worker, or read it with qstore.open_run")


def _key(path: Path) -> str:
    """Under which a run is remembered. The file of a logger has another one."""
    return os.path.realpath(path) + os.sep


def _text_of(error: BaseException) -> str:
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _settings(
    *,
    group: str | None = None,
    tags: Iterable[str] = (),
    notes: str = "",
    params: Any = None,
    seed: int | None = None,
    goal: tuple[str, str] | None = None,
    metrics: Mapping[str, Any] | None = None,
    checkpoints: Mapping[str, Any] | None = None,
    system_metrics: float | None = None,
    record_environment: bool = True,
    git_timeout: float = 0.2,
    finish_timeout: float | None = 60.0,
) -> dict[str, Any]:
    """What the native run takes."""
    if isinstance(tags, str):
        raise ValueError(f"tags is {tags!r}; pass a list of texts")
    return {
        "group": group,
        "tags": list(tags),
        "notes": notes,
        "params": json_of(params),
        "seed": seed,
        "goal": goal,
        "metrics": _metrics(**(metrics or {})),
        "checkpoints": manager_settings(**(checkpoints or {})),
        "system_metrics": system_metrics,
        "record_environment": record_environment,
        "git_timeout": git_timeout,
        "finish_timeout": finish_timeout,
    }


def _metrics(
    *,
    buffer_size: int = 10_000,
    flush_interval: int = 100,
    flush_seconds: float = 10.0,
    compression: str = "gzip",
    overflow: str = "drop_newest",
) -> dict[str, Any]:
    """What the native logger takes."""
    return {
        "buffer_size": buffer_size,
        "flush_interval": flush_interval,
        "flush_seconds": flush_seconds,
        "compression": compression,
        "overflow": overflow,
    }
