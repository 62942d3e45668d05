"""Fixtures, and a run of a script in a process of its own."""

import subprocess
import sys
import textwrap

import pytest


@pytest.fixture
def metrics(tmp_path):
    """The path of a metrics file that does not exist yet."""
    return tmp_path / "run" / "metrics.parquet"


@pytest.fixture
def run_script(tmp_path):
    """Runs Python text in a process of its own, with the arguments given."""

    def run(script, *arguments, timeout=60, check=True):
        path = tmp_path / "script.py"
        path.write_text(textwrap.dedent(script))
        command = [sys.executable, "-W", "error", str(path), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
        if check:
            assert done.returncode == 0, done.stderr
        return done

    return run
