"""What a callback of a framework opens for a training: a logger and, if it saves, a checkpoint manager."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from typing import Any

from .checkpoints import CheckpointManager
from .logger import AsyncMetricsLogger


class Recording:
    """Opens both when a training begins, and ends both when it ends.

    A training that raises never ends for its callbacks: what it left open is ended when the next one begins, or with the
    process.

    :param output_path: The file of the metrics.
    :param checkpoint_dir: Where states are saved; None saves none.
    :param settings: What ``CheckpointManager`` takes besides the directory.
    """

    def __init__(
        self,
        output_path: str | os.PathLike[str],
        checkpoint_dir: str | os.PathLike[str] | None,
        settings: Mapping[str, Any],
    ) -> None:
        self._path = output_path
        self._directory = checkpoint_dir
        self._settings = settings
        self.logger: AsyncMetricsLogger | None = None
        self.manager: CheckpointManager | None = None

    @property
    def saves(self) -> bool:
        """Whether states are saved."""
        return self._directory is not None

    def begin(self) -> None:
        """Opens the file and the directory; neither stays open if one cannot be."""
        try:
            self.end()
        except Exception as error:  # of the training before, which is over
            text = f"what the training before this one left open ended with an error: {error}"
            warnings.warn(text, RuntimeWarning, stacklevel=3)
        self.logger = AsyncMetricsLogger(self._path)
        if self._directory is None:
            return
        try:
            self.manager = CheckpointManager(self._directory, **self._settings)
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        """Writes every row, and waits for all saves.

        :raises WriteError: if rows could not be written. All saves were waited for.
        :raises SaveError: if a save failed.
        """
        logger, self.logger = self.logger, None
        manager, self.manager = self.manager, None
        try:
            if logger is not None:
                logger.stop()
        finally:
            if manager is not None:
                manager.close(None)
