"""The exceptions of checkpoints, runs and ledgers. Those of metrics are native."""

from __future__ import annotations

from ._native import Error

__all__ = [
    "AlreadyPaidError",
    "CheckpointError",
    "DamagedError",
    "LedgerError",
    "NotARunError",
    "NotFoundError",
    "OverBudgetError",
    "RunError",
    "RunExistsError",
    "RunningError",
    "SaveError",
    "StateError",
    "UnderWayError",
]


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


class RunError(Error):
    """A run could not be opened, ended, changed or read."""


class NotARunError(RunError, FileNotFoundError):
    """The directory is not a run, or does not exist."""


class RunExistsError(RunError, FileExistsError):
    """There already is a run of that name. It is unchanged."""


class RunningError(RunError):
    """The run is being written: by another process, or by children that its writer forked. The message names it."""


class LedgerError(Error):
    """A ledger of jobs refused something, or could not record it."""

    #: The token of the job that it is about; None if it is about none.
    job: str | None

    def __init__(self, message: str, job: str | None = None) -> None:
        super().__init__(message)
        self.job = job


class AlreadyPaidError(LedgerError):
    """A job for the same batch is done: read its result, or pay for the batch again with ``repeated=True``."""


class UnderWayError(LedgerError):
    """A job for the same batch is under way, or in doubt: call ``Ledger.reconcile`` first."""


class OverBudgetError(LedgerError):
    """The job may cost more than what is left."""
