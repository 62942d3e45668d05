"""Lightning: metrics by ``MetricsLogger``, checkpoints by ``AsyncCheckpointIO``.

    from qstore.lightning import AsyncCheckpointIO, MetricsLogger

    trainer = Trainer(logger=MetricsLogger("runs"), plugins=[AsyncCheckpointIO()])

Both packages are served, ``lightning`` and ``pytorch_lightning``: the one that the program has imported.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from .checkpoints import CheckpointManager
from .logger import AsyncMetricsLogger, renamed
from .ticket import SaveTicket

__all__ = ["AsyncCheckpointIO", "MetricsLogger"]


def _package() -> str:
    """The package that the program uses. Their classes are not each other's."""
    names = {"lightning.pytorch": "lightning", "pytorch_lightning": "pytorch_lightning"}
    for name, first in names.items():
        if first in sys.modules:
            return name
    for name in names:
        try:
            import_module(name)
        except ImportError:
            continue
        return name
    raise ImportError("qstore.lightning needs `lightning` or `pytorch_lightning`; install one of them")


_NAME = _package()
_Logger: Any = import_module(f"{_NAME}.loggers.logger").Logger
_CheckpointIO: Any = import_module(f"{_NAME}.plugins.io").CheckpointIO
_rank_zero_only: Any = import_module(f"{_NAME}.utilities").rank_zero_only


class MetricsLogger(_Logger):  # type: ignore[misc]
    """Logs what a module logs, into ``SAVE_DIR/NAME/version_N/metrics.parquet``, and its hyperparameters beside it.

    Each name is a column; ``train_loss``, ``val_loss`` and the other columns of ``TrainingMetrics`` are those.

    :param save_dir: Where runs are recorded.
    :param name: The directory of the experiment.
    :param version: The run; None is the next number.
    :param settings: What ``AsyncMetricsLogger`` takes besides the path.
    """

    def __init__(
        self,
        save_dir: str | os.PathLike[str],
        name: str = "qstore_logs",
        version: int | str | None = None,
        **settings: Any,
    ) -> None:
        super().__init__()
        self._save_dir = os.fspath(save_dir)
        self._name = name
        self._version = version
        self._settings = settings
        self._open: AsyncMetricsLogger | None = None

    @property
    def name(self) -> str:
        """The directory of the experiment."""
        return self._name

    @property
    def version(self) -> int | str:
        """The run: the one that was given, or the first number that is free."""
        if self._version is None:
            runs = Path(self.root_dir).glob("version_*")
            numbers = [int(run.name[8:]) for run in runs if run.name[8:].isdecimal()]
            self._version = max(numbers, default=-1) + 1
        return self._version

    @property
    def save_dir(self) -> str:
        """Where runs are recorded."""
        return self._save_dir

    @property
    def root_dir(self) -> str:
        """The directory of all runs of the experiment."""
        return os.path.join(self._save_dir, self._name)

    @property
    def log_dir(self) -> str:
        """The directory of the run."""
        version = self.version
        return os.path.join(self.root_dir, version if isinstance(version, str) else f"version_{version}")

    @property
    def experiment(self) -> AsyncMetricsLogger:
        """The logger itself. After ``finalize`` it is opened again, and continues the file."""
        if self._open is None:
            self._open = AsyncMetricsLogger(os.path.join(self.log_dir, "metrics.parquet"), **self._settings)
        return self._open

    @_rank_zero_only  # type: ignore[untyped-decorator, unused-ignore]
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Logs one row. A metric that is called ``step`` is the column ``step_logged``."""
        row = {"epoch": int(metrics.get("epoch", 0)), "step": -1 if step is None else int(step)}
        others = {name: value for name, value in metrics.items() if name != "epoch"}
        self.experiment.log({**row, **renamed(others, row)})

    @_rank_zero_only  # type: ignore[untyped-decorator, unused-ignore]
    def log_hyperparams(self, params: Mapping[str, Any] | Namespace, *_: Any, **__: Any) -> None:
        """Writes ``hparams.json``; what JSON does not have is written as its text."""
        values = vars(params) if isinstance(params, Namespace) else dict(params)
        os.makedirs(self.log_dir, exist_ok=True)
        with open(os.path.join(self.log_dir, "hparams.json"), "w", encoding="utf-8") as file:
            json.dump(values, file, indent=2, default=str)

    @_rank_zero_only  # type: ignore[untyped-decorator, unused-ignore]
    def save(self) -> None:
        """Waits until all rows are in the file."""
        if self._open is not None:
            self._open.flush()

    @_rank_zero_only  # type: ignore[untyped-decorator, unused-ignore]
    def finalize(self, status: str) -> None:
        """Writes every row and closes the file."""
        opened, self._open = self._open, None
        if opened is not None:
            opened.stop()


class AsyncCheckpointIO(_CheckpointIO):  # type: ignore[misc]
    """Saves the checkpoints of a ``Trainer`` in the background: ``PATH.ckpt`` is a directory of a ``CheckpointManager``.

    ``save_checkpoint`` returns once the state is copied. Lightning's checkpoints have what callbacks and
    ``save_hyperparameters`` put there: what cannot be saved is refused with its path.

    :param settings: What ``CheckpointManager`` takes besides the directory.
    """

    def __init__(self, **settings: Any) -> None:
        self._settings = settings
        self._saving: list[tuple[CheckpointManager, SaveTicket, str]] = []

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any | None = None
    ) -> None:
        """Takes the state now, and saves it in the background. A failure is raised by the next save, or by ``teardown``.

        A save of the same path that still runs is waited for first: of two managers, the one that ended last would have the
        newest checkpoint.
        """
        if storage_options is not None:
            raise TypeError("AsyncCheckpointIO has no storage_options; pass settings to its constructor")
        real = os.path.realpath(path)
        self._wait(lambda ticket, path: ticket.done or path == real)
        manager = CheckpointManager(path, **{"keep_last": 1, **self._settings})
        try:
            ticket = manager.save(int(checkpoint.get("global_step", 0)), checkpoint)
        except BaseException:
            manager.close(None)
            raise
        self._saving.append((manager, ticket, real))

    def load_checkpoint(
        self, path: str | os.PathLike[str], map_location: Any | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Loads a checkpoint. Nothing in it is ever executed, whatever ``weights_only`` is.

        :raises FileNotFoundError: if there is none.
        """
        self._wait_for(path)
        if not os.path.isdir(path):
            raise FileNotFoundError(f"there is no checkpoint {os.fspath(path)!r}")
        with CheckpointManager(path, **self._settings) as manager:
            loaded = manager.load_latest(tensors="torch")
        if loaded is None:
            raise FileNotFoundError(f"{os.fspath(path)!r} has no checkpoint")
        state: dict[str, Any] = loaded["model_state"]
        return state if map_location is None else _moved(state, map_location)

    def remove_checkpoint(self, path: str | os.PathLike[str]) -> None:
        """Removes a checkpoint, after its save has ended."""
        self._wait_for(path)
        if os.path.isdir(path):
            shutil.rmtree(path)

    def teardown(self) -> None:
        """Waits for all saves.

        :raises SaveError: if one failed: the first failure, with a note for each of the others.
        """
        self._wait(lambda ticket, path: True)

    def _wait_for(self, path: str | os.PathLike[str]) -> None:
        real = os.path.realpath(path)
        self._wait(lambda ticket, path: path == real)

    def _wait(self, is_meant: Callable[[SaveTicket, str], bool]) -> None:
        """Waits for the saves that are meant, all of them, and raises the first failure then."""
        failure: Exception | None = None
        for entry in list(self._saving):
            manager, ticket, path = entry
            if not is_meant(ticket, path):
                continue
            try:
                manager.close(None)
            except Exception as error:
                if failure is None:
                    failure = error
                else:
                    failure.add_note(f"another save failed: {error}")
            # Only now: an interrupt leaves it to the next wait.
            self._saving.remove(entry)
        if failure is not None:
            raise failure


def _moved(state: Any, device: Any) -> Any:
    """A state whose tensors are on another device. Lightning passes a device, or a function as torch's ``map_location``."""
    if isinstance(state, dict):
        return {key: _moved(node, device) for key, node in state.items()}
    if isinstance(state, (list, tuple)):
        return type(state)(_moved(node, device) for node in state)
    if not hasattr(state, "is_floating_point"):
        return state
    if callable(device):
        moved = device(state, "cpu")
        return state if moved is None else moved
    return state.to(device.get("cpu", "cpu") if isinstance(device, dict) else device)
