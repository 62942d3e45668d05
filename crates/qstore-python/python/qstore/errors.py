"""The exceptions of checkpoints. Those of metrics are native."""

from __future__ import annotations

from ._native import Error

__all__ = ["CheckpointError", "DamagedError", "NotFoundError", "SaveError", "StateError"]


class CheckpointError(Error):
    """A checkpoint could not be saved, loaded or listed."""


class NotFoundError(CheckpointError, ValueError):
    """There is no checkpoint with that number. The message names those that exist."""


class DamagedError(CheckpointError):
    """The bytes of a checkpoint are not those that were written."""

    #: The path of the tensor that is affected, such as ``"model/layer.0.weight"``; None if it is not one tensor.
    tensor: str | None

    def __init__(self, message: str, tensor: str | None = None) -> None:
        super().__init__(message)
        self.tensor = tensor


class SaveError(CheckpointError):
    """A save failed in the background. Earlier checkpoints are unchanged."""


class StateError(CheckpointError, TypeError):
    """A state has something that cannot be saved, or does not fit what is to be filled. Nothing was done."""

    #: Where it is in the state, such as ``"model.layers.0.weight"``; None if it is the state as a whole.
    path: str | None

    def __init__(self, message: str, path: str | None = None) -> None:
        super().__init__(message)
        self.path = path
