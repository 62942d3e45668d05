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
import numpy

from ._recording import Recording
from .checkpoints import CheckpointManager
from .errors import CheckpointError
from .logger import renamed

__all__ = ["QStoreCallback", "resume"]


class QStoreCallback(keras.callbacks.Callback):  # type: ignore[misc, unused-ignore]
    """Logs a row for each batch and one for each epoch, and saves a checkpoint for each epoch.

    ``step`` goes on from ``optimizer.iterations``, which ``resume`` restores.

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
        self._recording = Recording(output_path, checkpoint_dir, settings)
        self._epoch = 0
        # The step of the next batch, and of the first one of the epoch.
        self._step = self._first = 0

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Opens the file and the directory."""
        optimizer = getattr(self.model, "optimizer", None)
        # Once: while a model is fitted with jax, each look at its variables copies all of them.
        self._step = 0 if optimizer is None else int(keras.ops.convert_to_numpy(optimizer.iterations))
        self._recording.begin()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Remembers the epoch."""
        self._epoch, self._first = epoch, self._step

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Logs one row. ``loss`` is the column ``train_loss``; the metrics are Keras's means since the epoch began."""
        # Keras counts the batches of an epoch, also those that it does not report, as with `steps_per_execution`.
        step = self._first + batch
        self._step = step + 1
        if self._recording.logger is None:
            return
        row = {name: float(value) for name, value in (logs or {}).items()}
        loss = row.pop("loss", None)
        own = {"epoch": self._epoch, "step": step, "train_loss": loss}
        self._recording.logger.log({**own, **renamed(row, own)})

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Logs one row that sums up the epoch, and saves."""
        values = {name: float(value) for name, value in (logs or {}).items()}
        train = {name: value for name, value in values.items() if not name.startswith("val_")}
        val = {name[4:]: value for name, value in values.items() if name.startswith("val_")}
        if self._recording.logger is not None:
            self._recording.logger.log_epoch(epoch, train, val)
        if self._recording.manager is not None:
            self._recording.manager.save(epoch, _weights(self.model), _optimizer(self.model), values)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Writes every row, and waits for all saves."""
        self._recording.end()


def resume(checkpoint_dir: str | os.PathLike[str], model: Any) -> int | None:
    """Loads the newest checkpoint into a compiled model of the same architecture.

    :returns: The epoch that was saved; None if there is no checkpoint, and nothing was changed.
    :raises CheckpointError: if its weights, or the variables of its optimizer, have other shapes. Neither was changed.
    """
    with CheckpointManager(checkpoint_dir) as manager:
        loaded = manager.load_latest(tensors="numpy")
    if loaded is None:
        return None
    weights, state = loaded["model_state"], loaded["optimizer_state"]
    _compare("weights of the model", "model", model.weights, weights)
    pairs: list[tuple[Any, Any]] = []
    optimizer = getattr(model, "optimizer", None)
    if state is not None and optimizer is not None:
        optimizer.build(model.trainable_variables)
        _compare("variables of the optimizer", "optimizer", optimizer.variables, state)
        pairs = list(zip(optimizer.variables, state, strict=True))
    model.set_weights(weights)
    for variable, value in pairs:
        variable.assign(value)
    return int(loaded["epoch"])


def _compare(what: str, name: str, here: list[Any], saved: Any) -> None:
    """
    :raises CheckpointError: if the shapes differ.
    """
    if not isinstance(saved, list):
        raise CheckpointError(f"the checkpoint has a {type(saved).__name__} as the {what}, not a list: Keras did not save it")
    ours, theirs = ([list(numpy.shape(each)) for each in arrays] for arrays in (here, saved))
    if ours != theirs:
        raise CheckpointError(f"the {what} have the shapes {ours}, but {theirs} in the checkpoint; build the same {name}")


def _weights(model: Any) -> list[Any]:
    weights: list[Any] = model.get_weights()
    return weights


def _optimizer(model: Any) -> list[Any] | None:
    optimizer = getattr(model, "optimizer", None)
    return None if optimizer is None else [keras.ops.convert_to_numpy(variable) for variable in optimizer.variables]
