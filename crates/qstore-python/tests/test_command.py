"""The command: ``python -m qstore VERB``."""

import json
import os
import pty
import signal
import subprocess
import sys

import pytest

import qstore


@pytest.fixture
def runs(tmp_path):
    for loss in (0.5, 0.25):
        with qstore.Run.create(tmp_path / "runs", params={"lr": loss}, record_environment=False) as run:
            for step in range(100):
                run.log_step(0, step, train_loss=loss)
    return tmp_path / "runs"


def command(*arguments, **more):
    return subprocess.run(
        [sys.executable, "-m", "qstore", *map(str, arguments)], capture_output=True, text=True, timeout=60, **more
    )


def test_runs_are_listed_and_shown(runs):
    listed = command("ls", runs)
    assert listed.returncode == 0 and listed.stderr == ""
    assert "run_001" in listed.stdout and "finished" in listed.stdout and "\x1b" not in listed.stdout
    document = json.loads(command("ls", "--json", runs).stdout)
    assert document["schema"] == "qstore.ls/1"
    here = command("ls", env={**os.environ, "QSTORE_DIR": str(runs)})
    assert here.stdout == listed.stdout


def test_the_exit_codes_are_those_of_the_program(runs):
    assert command("--help").returncode == 0
    missing = command("show", runs / "run_009")
    assert missing.returncode == 4 and missing.stderr.startswith("qstore show: ")
    assert command("no-such-verb").returncode == 2


def test_a_tag_and_a_name_that_is_no_text(runs):
    named = os.fsencode(runs) + b"/caf\xe9"
    os.rename(runs / "run_002", named)
    assert subprocess.run([sys.executable, "-m", "qstore", "tag", named, "+best"], timeout=60).returncode == 0
    assert qstore.open_run(os.fsdecode(named)).tags == ["best"]


def test_a_terminal_has_colors_unless_they_are_refused(runs):
    for environment, has_colors in [({"TERM": "xterm", "NO_COLOR": ""}, True), ({"TERM": "xterm", "NO_COLOR": "1"}, False)]:
        ours, theirs = pty.openpty()
        done = subprocess.Popen(
            [sys.executable, "-m", "qstore", "ls", str(runs)], stdout=theirs, env={**os.environ, **environment}
        )
        os.close(theirs)
        said = b""
        try:
            while chunk := os.read(ours, 65536):
                said += chunk
        except OSError:  # as Linux reports that the other end is closed
            pass
        os.close(ours)
        assert done.wait(60) == 0 and b"run_001" in said
        assert (b"\x1b[" in said) == has_colors


def test_an_interrupt_ends_a_verb_that_follows_a_run(tmp_path):
    with qstore.Run.create(tmp_path / "runs", metrics={"flush_interval": 1}) as run:
        run.log_step(0, 1, 0.5)
        run.flush()
        follow = [sys.executable, "-m", "qstore", "tail", "--follow", str(run.path)]
        with subprocess.Popen(follow, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            while "0.5" not in process.stdout.readline():
                assert process.poll() is None
            process.send_signal(signal.SIGINT)
            assert process.wait(60) in (0, 130, -signal.SIGINT)
            assert "Traceback" not in process.stderr.read()
