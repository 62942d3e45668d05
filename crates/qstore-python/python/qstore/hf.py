"""Hugging Face ``Trainer``: a callback that logs what the trainer logs, and saves its states in the background.

    from qstore.hf import QStoreCallback

    trainer = Trainer(model, arguments, ..., callbacks=[QStoreCallback("run/metrics.parquet", "run/checkpoints")])

A callback cannot replace the trainer's own saving; ``save_strategy="no"`` turns that off, and ``save_steps`` of this
callback says when it saves.
"""

from __future__ import annotations

import os
from typing import Any

from transformers import TrainerCallback  # type: ignore[import-not-found, import-untyped, unused-ignore]

from .checkpoints import CheckpointManager
from .logger import AsyncMetricsLogger

__all__ = ["QStoreCallback"]

#: The trainer's names for columns of ``TrainingMetrics``. Its own ``train_loss`` is the mean over the run, at its end.
_COLUMNS = {"loss": "train_loss", "eval_loss": "val_loss", "train_loss": "mean_train_loss"}


class QStoreCallback(TrainerCallback):  # type: ignore[misc, unused-ignore]
    """Logs into one Parquet file, and saves model, optimizer and scheduler; on the process of rank 0 only.

    The trainer's epochs are fractions: the column ``epoch`` has the whole ones, and ``epoch_progress`` the fraction.

    :param output_path: The file of the metrics.
    :param checkpoint_dir: Where states are saved, by the number of the step; None saves none.
    :param save_steps: After how many steps; None is when the trainer saves, too.
    :param settings: What ``CheckpointManager`` takes besides the directory.
    """

    def __init__(
        self,
        output_path: str | os.PathLike[str],
        checkpoint_dir: str | os.PathLike[str] | None = None,
        save_steps: int | None = None,
        **settings: Any,
    ) -> None:
        self._path = output_path
        self._directory = checkpoint_dir
        self._save_steps = save_steps
        self._settings = {"counter": "step", **settings}
        self._logger: AsyncMetricsLogger | None = None
        self._manager: CheckpointManager | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Opens the file and the directory."""
        if state.is_world_process_zero:
            self._logger = AsyncMetricsLogger(self._path)
            if self._directory is not None:
                self._manager = CheckpointManager(self._directory, **self._settings)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Logs one row."""
        if self._logger is None or not logs:
            return
        progress = float(state.epoch or 0.0)
        row = {"epoch": int(progress), "step": state.global_step, "epoch_progress": progress}
        row.update({_COLUMNS.get(name, name): value for name, value in logs.items() if name not in row})
        self._logger.log(row)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Saves, if it is time to."""
        if self._save_steps is not None and state.global_step % self._save_steps == 0:
            self._save(state, kwargs)

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Saves beside the trainer."""
        if self._save_steps is None:
            self._save(state, kwargs)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Writes every row, and waits for all saves."""
        logger, self._logger = self._logger, None
        manager, self._manager = self._manager, None
        try:
            if logger is not None:
                logger.stop()
        finally:
            if manager is not None:
                manager.close(None)

    def _save(self, state: Any, objects: dict[str, Any]) -> None:
        if self._manager is None:
            return
        from . import torch

        torch.save(
            self._manager,
            state.global_step,
            objects["model"],
            objects.get("optimizer"),
            objects.get("lr_scheduler"),
            metadata={"epoch_progress": float(state.epoch or 0.0)},
        )
