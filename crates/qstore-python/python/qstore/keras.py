"""Keras 3: a callback that logs batches and epochs, and saves the weights and the optimizer in the background.

    from qstore.keras import QStoreCallback, resume

    last = resume("run/checkpoints", model)
    model.fit(x, y, initial_epoch=0 if last is None else last + 1, callbacks=[
        QStoreCallback("run/metrics.parquet", "run/checkpoints"),
    ])
"""

from __future__ import annotations

import os
from typing import Any

import keras  # type: ignore[import-not-found, import-untyped, unused-ignore]

from .checkpoints import CheckpointManager
from .logger import AsyncMetricsLogger

__all__ = ["QStoreCallback", "resume"]


class QStoreCallback(keras.callbacks.Callback):  # type: ignore[misc, unused-ignore]
    """Logs a row for each batch and one for each epoch, and saves a checkpoint for each epoch.

    :param output_path: The file of the metrics.
    :param checkpoint_dir: Where states are saved, by the number of the epoch; None saves none.
    :param settings: What ``CheckpointManager`` takes besides the directory.
    """

    def __init__(
        self,
        output_path: str | os.PathLike[str],
        checkpoint_dir: str | os.PathLike[str] | None = None,
        **settings: Any,
    ) -> None:
        super().__init__()
        self._path = output_path
        self._directory = checkpoint_dir
        self._settings = settings
        self._epoch = 0
        self._step = 0
        self._logger: AsyncMetricsLogger | None = None
        self._manager: CheckpointManager | None = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Opens the file and the directory."""
        self._logger = AsyncMetricsLogger(self._path)
        if self._directory is not None:
            self._manager = CheckpointManager(self._directory, **self._settings)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Remembers the epoch."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Logs one row. ``loss`` is the column ``train_loss``; the metrics are Keras's means since the epoch began."""
        if self._logger is None:
            return
        row = {name: float(value) for name, value in (logs or {}).items()}
        loss = row.pop("loss", None)
        self._logger.log({"epoch": self._epoch, "step": self._step, "train_loss": loss, **row})
        self._step += 1

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Logs one row that sums up the epoch, and saves."""
        values = {name: float(value) for name, value in (logs or {}).items()}
        train = {name: value for name, value in values.items() if not name.startswith("val_")}
        val = {name[4:]: value for name, value in values.items() if name.startswith("val_")}
        if self._logger is not None:
            self._logger.log_epoch(epoch, train, val)
        if self._manager is not None:
            self._manager.save(epoch, _weights(self.model), _optimizer(self.model), values)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Writes every row, and waits for all saves."""
        logger, self._logger = self._logger, None
        manager, self._manager = self._manager, None
        try:
            if logger is not None:
                logger.stop()
        finally:
            if manager is not None:
                manager.close(None)


def resume(checkpoint_dir: str | os.PathLike[str], model: Any) -> int | None:
    """Loads the newest checkpoint into a compiled model of the same architecture.

    :returns: The epoch that was saved; None if there is no checkpoint, and nothing was changed.
    :raises CheckpointError: if it is of another architecture.
    """
    from .errors import CheckpointError

    with CheckpointManager(checkpoint_dir) as manager:
        loaded = manager.load_latest(tensors="numpy")
    if loaded is None:
        return None
    here = [list(weight.shape) for weight in model.weights]
    there = [list(weight.shape) for weight in loaded["model_state"]]
    if here != there:
        raise CheckpointError(f"the weights of the model have the shapes {here}, but {there} in the checkpoint; build the same model")
    model.set_weights(loaded["model_state"])
    if loaded["optimizer_state"] is not None and getattr(model, "optimizer", None) is not None:
        model.optimizer.build(model.trainable_variables)
        for variable, value in zip(model.optimizer.variables, loaded["optimizer_state"], strict=True):
            variable.assign(value)
    return int(loaded["epoch"])


def _weights(model: Any) -> list[Any]:
    weights: list[Any] = model.get_weights()
    return weights


def _optimizer(model: Any) -> list[Any] | None:
    optimizer = getattr(model, "optimizer", None)
    return None if optimizer is None else [keras.ops.convert_to_numpy(variable) for variable in optimizer.variables]
