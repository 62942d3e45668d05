"""The command: ``python -m qstore ls runs``, and the script ``qstore`` that pip installs."""

from __future__ import annotations

import os
import shutil
import signal
import sys

from . import _native


def main() -> int:
    """Runs the command with the arguments of the process, and returns its exit code."""
    # As a program of its own: Ctrl-C ends it at once, unless a verb has something to clean up. And a closed pipe is seen by
    # the command, which ends quietly.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    is_terminal = sys.stdout.isatty()
    sys.stdout.flush()
    width = shutil.get_terminal_size().columns if is_terminal else None
    is_colored = is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return _native.command(["qstore", *sys.argv[1:]], width, is_colored, sys.stderr.isatty())


if __name__ == "__main__":
    sys.exit(main())
