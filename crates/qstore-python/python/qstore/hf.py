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

from ._recording import Recording
from .logger import renamed

__all__ = ["QStoreCallback"]

#: The trainer's names for columns of ``TrainingMetrics``. Its own ``train_loss`` is the mean over the run, at its end.
_COLUMNS = {"loss": "train_loss", "eval_loss": "val_loss", "train_loss": "mean_train_loss"}


class QStoreCallback(TrainerCallback):  # type: ignore[misc, unused-ignore]
    """Logs into one Parquet file, and saves model, optimizer and scheduler; on the process of rank 0 only.

    The trainer's epochs are fractions: the column ``epoch`` has the whole ones, and ``epoch_progress`` the fraction. A
    metric that is called as one of the callback's own columns, such as ``step``, is ``step_logged``.

    :param output_path: The file of the metrics.
    :param checkpoint_dir: Where states are saved, by the number of the step; None saves none.
    :param save_steps: After how many steps; None is when the trainer saves, too.
    :param settings: What ``CheckpointManager`` takes besides the directory.
    :raises ValueError: if ``save_steps`` is less than 1; and when the training begins, if it would save nothing because the
        trainer saves nothing, or if each process has only a part of the state, as with FSDP and DeepSpeed.
    """

    def __init__(
        self,
        output_path: str | os.PathLike[str],
        checkpoint_dir: str | os.PathLike[str] | None = None,
        save_steps: int | None = None,
        **settings: Any,
    ) -> None:
        if save_steps is not None and save_steps < 1:
            raise ValueError(f"save_steps is {save_steps}; choose 1 or more, or None to save when the trainer saves")
        self._save_steps = save_steps
        self._recording = Recording(output_path, checkpoint_dir, {"counter": "step", **settings})

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Opens the file and the directory."""
        if self._recording.saves:
            # On every process: one that raised alone would leave the others waiting.
            self._check(args)
        if state.is_world_process_zero:
            self._recording.begin()

    def _check(self, args: Any) -> None:
        """
        :raises ValueError: if no state, or only a part of one, would be saved.
        """
        strategy = getattr(args, "save_strategy", None)
        if self._save_steps is None and getattr(strategy, "value", strategy) == "no":
            raise ValueError(
                'checkpoint_dir is set, but nothing would be saved: save_strategy is "no"; pass save_steps to QStoreCallback'
            )
        for name, variable in [("fsdp", "ACCELERATE_USE_FSDP"), ("deepspeed", "ACCELERATE_USE_DEEPSPEED")]:
            if getattr(args, name, None) or os.environ.get(variable, "").lower() in ("1", "true", "yes"):
                raise ValueError(
                    f"checkpoint_dir is set, but with {name} each process has only a part of the state, and QStoreCallback "
                    "saves what rank 0 has; pass checkpoint_dir=None and let the trainer save"
                )

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Logs one row."""
        if self._recording.logger is None or not logs:
            return
        progress = float(state.epoch or 0.0)
        row = {"epoch": int(progress), "step": state.global_step, "epoch_progress": progress}
        # The trainer's own `epoch` is the progress.
        others = {_COLUMNS.get(name, name): value for name, value in logs.items() if name != "epoch"}
        self._recording.logger.log({**row, **renamed(others, row)})

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
        self._recording.end()

    def _save(self, state: Any, objects: dict[str, Any]) -> None:
        if self._recording.manager is None:
            return
        from .torch import save

        save(
            self._recording.manager,
            state.global_step,
            objects["model"],
            objects.get("optimizer"),
            objects.get("lr_scheduler"),
            metadata={"epoch_progress": float(state.epoch or 0.0)},
        )
