"""Runs on a page: in a browser, live, or inside a notebook.

Both are made by the command that is in this package, in a process of its own.
"""

from __future__ import annotations

import atexit
import html
import json
import os
import subprocess
import sys
import tempfile
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from ._native import Error

__all__ = ["LivePage", "Picture", "show"]

#: What a path to runs may be.
AnyPath = str | os.PathLike[str]


def show(
    *paths: AnyPath, browser: bool = True, columns: Sequence[str] = (), height: int = 640, inline: bool | None = None
) -> LivePage | Picture:
    """Shows runs: a page in the browser that follows them or, in a notebook, a picture of them as they are now.

    :param paths: Runs, or directories of runs; the current directory if there are none.
    :param browser: Whether the page is opened in the browser of this machine. Otherwise only its address is there.
    :param columns: Only these columns, inside a notebook; all that hold numbers if there are none.
    :param height: How high it is inside a notebook, in pixels.
    :param inline: Whether it is a picture inside a notebook; by default, whether this is a notebook.
    :returns: A page, which is served until it is closed or this process ends, and can only be reached from this machine; or a
        picture, which a notebook shows, and which has no connection to anything.
    :raises Error: if there is no run, or a path leads to nothing that can be shown.
    """
    if inline is None:
        inline = _is_notebook()
    names = [os.fspath(path) for path in paths]
    return Picture(_report(names, columns), height) if inline else LivePage(names, browser)


class Picture:
    """Runs as they were at one moment, as one HTML document that asks nobody for anything."""

    def __init__(self, document: str, height: int = 640) -> None:
        self._document, self._height = document, height

    @property
    def document(self) -> str:
        """The whole document."""
        return self._document

    def save(self, path: AnyPath) -> None:
        """Writes the document to a file, which any browser opens."""
        Path(path).write_text(self._document, encoding="utf-8")

    def _repr_html_(self) -> str:
        # Without an origin: what is in the names of runs and columns can reach nothing of the notebook.
        return (
            f'<iframe srcdoc="{html.escape(self._document)}" sandbox="allow-scripts allow-downloads" '
            f'style="width: 100%; height: {int(self._height)}px; border: 0" title="Q-Store runs"></iframe>'
        )

    def __repr__(self) -> str:
        return f"<qstore.pages.Picture of {len(self._document)} characters>"


class LivePage:
    """A page that follows runs, served by a process of its own until ``close``, or until this process ends."""

    def __init__(self, paths: Sequence[str], browser: bool) -> None:
        self._process = _started("serve", *paths)
        atexit.register(self.close)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            _, said = self._process.communicate()
            raise _failure(self._process, said)
        self._url: str = json.loads(line)["url"]
        if browser:
            webbrowser.open(self._url)

    @property
    def url(self) -> str:
        """The address, with the token that it takes to see the runs."""
        return self._url

    def close(self) -> None:
        """Ends the page."""
        atexit.unregister(self.close)
        self._process.terminate()
        self._process.communicate()

    def __enter__(self) -> LivePage:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<qstore.pages.LivePage at {self._url}>"


def _is_notebook() -> bool:
    """Whether a notebook shows what a cell returns."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return hasattr(shell, "kernel")


def _report(paths: Sequence[str], columns: Sequence[str]) -> str:
    chosen = [f"--columns={','.join(columns)}"] if columns else []
    with tempfile.TemporaryDirectory() as home:
        file = Path(home, "report.html")
        with _started("report", *chosen, f"--output={file}", *paths) as process:
            _, said = process.communicate()
        if process.returncode != 0:
            raise _failure(process, said)
        return file.read_text(encoding="utf-8")


def _started(verb: str, *arguments: str) -> subprocess.Popen[str]:
    # The package is found there as it is here, however that was.
    home = str(Path(__file__).parents[1])
    known = os.environ.get("PYTHONPATH")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([home, known] if known else [home])}
    return subprocess.Popen(
        [sys.executable, "-m", "qstore", verb, "--json", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def _failure(process: subprocess.Popen[str], said: str) -> Error:
    return Error(said.strip() or f"the command ended with {process.returncode}")
