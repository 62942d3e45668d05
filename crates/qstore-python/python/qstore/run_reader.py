"""Reading runs: their status, their rows that count, their parameters and checkpoints, while they go on or later."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from . import _native
from .checkpoints import Checkpoints
from .tables import read_table

__all__ = ["RunReader", "RunStatus", "edit_run", "find_runs", "latest_run", "open_run"]


@dataclasses.dataclass(frozen=True)
class RunStatus:
    """What has become of a run, and how that is known."""

    #: ``"running"``, ``"finished"``, ``"failed"``, ``"crashed"`` or ``"unknown"``.
    state: str
    #: Half a sentence: ``"the lock is free"``; the error, if it failed.
    reason: str
    #: The seconds since its end or, if none is recorded, since the last change of its metrics file.
    age_seconds: float | None

    def __str__(self) -> str:
        return self.state


class RunReader:
    """A run, open for reading. It takes no lock of the run, writes nothing, and works while the run goes on.

    Opening reads ``run.json`` only. The metrics are one version of the file until ``refresh``.

    :param path: The directory of the run.
    :raises NotARunError: if it is not one.
    :raises RunError: if its ``run.json`` is malformed, or of a later version.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        #: The directory.
        self.path: Path = Path(path)
        self._native = _native.RunReader(self.path)
        self._info: dict[str, Any] = json.loads(self._native.run_json())

    @property
    def info(self) -> dict[str, Any]:
        """What ``run.json`` says."""
        return self._info

    @property
    def name(self) -> str:
        """The name that it was created with."""
        return str(self._info["name"])

    @property
    def id(self) -> str:
        """A UUID that no other run has; a copy of the run has the same."""
        return str(self._info["id"])

    @property
    def params(self) -> dict[str, Any]:
        """The parameters of the training, by their dotted names. Those that an attempt changed are with the attempt."""
        return dict(self._info.get("params", {}))

    @property
    def tags(self) -> list[str]:
        """The words to find it by."""
        return list(self._info.get("tags", []))

    @property
    def notes(self) -> str:
        """Free text."""
        return str(self._info.get("notes", ""))

    @property
    def attempts(self) -> list[dict[str, Any]]:
        """One for each time that it was started: ``number``, ``started``, ``ended``, ``outcome``, ``error`` and more."""
        return list(self._info.get("attempts", []))

    def status(self) -> RunStatus:
        """What has become of the run at this moment. It is derived from a lock, never stored, so it is never out of date."""
        state, age, reason = self._native.status()
        return RunStatus(state, reason, age)

    def progress(self) -> dict[str, Any]:
        """How far the run is: ``rows`` that count, and ``epoch``, ``step`` and ``timestamp`` of the last one."""
        return self._native.progress()

    def last(self, column: str) -> dict[str, Any] | None:
        """The last value of a column that is not null: ``value``, ``row``, ``step``, ``epoch``. None if there is none."""
        return self._native.last(column)

    def best(self, column: str, goal: str = "min") -> dict[str, Any] | None:
        """The best finite value of a column, as ``last``. ``goal`` is ``"min"`` or ``"max"``."""
        return self._native.best(column, goal)

    def losses(self) -> dict[str, int]:
        """What was lost over all attempts: rows ``dropped``, ``evicted``, ``rejected`` and more."""
        return self._native.losses()

    def columns(self) -> list[str]:
        """The names of the columns."""
        return self._native.columns()

    def current_rows(self) -> list[tuple[int | None, range]]:
        """The rows that count, as an uninterrupted run would have logged them: the attempt, and their numbers in the file.

        Rows that a resumed run has repeated are in the file and do not count.
        """
        return [(attempt, range(start, end)) for attempt, start, end in self._native.current_rows()]

    def read(self, *columns: str, all_rows: bool = False) -> dict[str, list[Any]]:
        """Columns as lists, None for null, without any other package.

        :param columns: Their names; none means all.
        :param all_rows: Whether rows that do not count anymore are read, too.
        :raises RunError: for a name that the file does not have.
        """
        return self._native.read(list(columns or self._native.columns()), self._ranges(all_rows))

    def dataframe(
        self, library: str | None = None, *, columns: Iterable[str] | None = None, all_rows: bool = False
    ) -> Any:
        """The rows that count as a table of ``"pandas"``, ``"polars"`` or ``"pyarrow"``.

        :param library: Which one; None is the first of these that is installed.
        :param columns: Their names; None means all.
        :param all_rows: Whether rows that do not count anymore are in it, too.
        :raises ImportError: if it is not installed.
        """
        names = None if columns is None else list(columns)
        return read_table(self.path / "metrics.parquet", library, names, self._ranges(all_rows))

    def _ranges(self, all_rows: bool) -> list[tuple[int, int]]:
        if all_rows:
            return [(0, self._native.rows())]
        return [(start, end) for _, start, end in self._native.current_rows()]

    @property
    def checkpoints(self) -> Checkpoints | None:
        """The checkpoints; None if there is no directory of them."""
        native = self._native.checkpoints()
        return None if native is None else Checkpoints._over(self.path / "checkpoints", native)

    def size_on_disk(self) -> int:
        """The lengths of all files of the run, in bytes."""
        return self._native.size_on_disk()

    def refresh(self) -> bool:
        """Reads ``run.json`` again and moves on to the newest version of the metrics. Whether anything has changed."""
        has_changed = self._native.refresh()
        self._info = json.loads(self._native.run_json())
        return has_changed

    def __repr__(self) -> str:
        return f"<RunReader {str(self.path)!r}: {self.status()}>"

    def _repr_html_(self) -> str:
        from html import escape

        status, progress = self.status(), self.progress()
        cells = {
            "run": self.path,
            "status": f"{status.state}: {status.reason}",
            "attempts": len(self.attempts),
            "rows": progress["rows"],
            "last step": progress["step"],
            **{f"param {name}": value for name, value in self.params.items()},
            "tags": ", ".join(self.tags),
        }
        rows = "".join(
            f"<tr><th>{escape(str(name))}</th><td>{escape(str(value))}</td></tr>" for name, value in cells.items()
        )
        return f"<table>{rows}</table>"


def open_run(path: str | os.PathLike[str]) -> RunReader:
    """Opens a run for reading."""
    return RunReader(path)


def find_runs(path: str | os.PathLike[str] = "runs", *, deep: bool = False) -> list[Path]:
    """The paths of the runs in a directory, sorted by name, numbers in names by their value.

    :param deep: Whether directories below it are searched, too.
    """
    return [Path(found) for found in _native.find_runs(Path(path), deep)]


def latest_run(path: str | os.PathLike[str] = "runs") -> Path | None:
    """The run with the largest number in a name such as ``run_001``; None if there is none."""
    found = _native.latest_run(Path(path))
    return None if found is None else Path(found)


def edit_run(
    path: str | os.PathLike[str],
    *,
    tags: Iterable[str] = (),
    remove_tags: Iterable[str] = (),
    notes: str | None = None,
) -> dict[str, Any]:
    """Adds and removes tags and replaces the notes of a run, while it goes on or not.

    :returns: What ``run.json`` says now.
    """
    edited: dict[str, Any] = json.loads(_native.edit_run(Path(path), list(tags), list(remove_tags), notes))
    return edited
