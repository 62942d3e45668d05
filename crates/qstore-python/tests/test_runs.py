"""Runs: how they are made, resumed and ended, and what is read of them."""

import argparse
import dataclasses
import json
import os
import signal
import subprocess
import sys
import types

import numpy
import pytest

import qstore
from qstore import Run


def epochs(run, first, last, loss=lambda epoch: 1.0 / (1 + epoch)):
    """Logs ten steps and saves a checkpoint in each epoch."""
    weights = {"w": numpy.full(4, float(first))}
    for epoch in range(first, last):
        for step in range(10 * epoch, 10 * epoch + 10):
            run.log_step(epoch, step, train_loss=loss(epoch), accuracy=0.5)
        weights["w"] += 1
        run.save(epoch, weights, {"lr": 0.1}, metadata={"val_loss": loss(epoch)})
    return weights


def test_a_run_logs_saves_and_is_finished_by_its_block(tmp_path):
    with Run.create(tmp_path, params={"lr": 0.1}, tags=["baseline"], notes="a note", seed=7) as run:
        assert run.path == tmp_path / "run_001" and run.attempt == 1 and run.resumed is None
        assert qstore.open_run(run.path).status().state == "running"
        epochs(run, 0, 3)
        run.log_epoch(2, {"loss": 0.5}, {"loss": 0.6})
        run.log({"epoch": 2, "step": 30, "note": "the last one"})
    reader = qstore.open_run(run.path)
    assert str(reader.status()) == "finished" and reader.status().age_seconds >= 0
    assert (reader.params, reader.tags, reader.notes) == ({"lr": 0.1}, ["baseline"], "a note")
    assert reader.info["seed"] == 7 and reader.id == run.id
    assert reader.progress()["rows"] == 32 and reader.progress()["step"] == 30
    assert reader.checkpoints.list_checkpoints() == [0, 1, 2]
    assert reader.checkpoints.load(2)["metadata"]["val_loss"] == 1.0 / 3
    assert not any(reader.losses().values())


def test_a_block_that_raises_ends_the_run_as_failed_with_its_text(tmp_path):
    with pytest.raises(ZeroDivisionError), Run.create(tmp_path) as run:
        run.log_step(0, 1, 0.5)
        1 / 0
    reader = qstore.open_run(run.path)
    assert reader.status().state == "failed"
    assert reader.status().reason.endswith("ZeroDivisionError: division by zero")
    assert reader.attempts[0]["error"] == "ZeroDivisionError: division by zero"
    assert reader.progress()["rows"] == 1


@pytest.mark.parametrize(("raised", "state"), [(SystemExit(0), "finished"), (SystemExit(3), "failed"), (KeyboardInterrupt(), "failed")])
def test_what_a_program_leaves_its_block_with_decides_how_the_run_ended(tmp_path, raised, state):
    with pytest.raises(type(raised)), Run.create(tmp_path) as run:
        raise raised
    assert qstore.open_run(run.path).status().state == state


def test_a_run_that_was_ended_in_its_block_stays_as_it_ended(tmp_path):
    with Run.create(tmp_path) as run:
        run.fail("diverged")
    assert qstore.open_run(run.path).attempts[0]["error"] == "diverged"
    with pytest.raises(qstore.StoppedError):
        run.finish()
    with pytest.raises(qstore.StoppedError):
        run.log_step(0, 1, 0.5)
    with pytest.raises(qstore.StoppedError):
        run.save(1, {})


def test_a_resumed_run_goes_on_from_its_checkpoint_and_its_clean_rows_are_those_of_one_run(tmp_path):
    path = tmp_path / "run"
    with pytest.raises(RuntimeError), Run.resume_or_start(path, params={"lr": 0.1}) as run:
        saved = epochs(run, 0, 3)
        run.flush()
        for step in range(30, 37):  # will be repeated
            run.log_step(3, step, train_loss=9.0)
        raise RuntimeError("out of memory")
    with Run.resume_or_start(path, params={"lr": 0.2}) as run:
        assert run.attempt == 2
        assert (run.resumed.epoch, run.resumed.step, run.resumed.rows_missing) == (2, 29, 0)
        assert run.resumed.metadata["val_loss"] == 1.0 / 3
        states = run.resumed.states()
        assert numpy.array_equal(states["model_state"]["w"], saved["w"])
        assert states["optimizer_state"] == {"lr": 0.1}
        model = {"w": numpy.zeros(4)}
        filled = run.resumed.load_into(model)
        assert filled["model_state"]["w"] is model["w"] and model["w"][0] == 3.0
        assert run.last_step == 29
        epochs(run, 3, 5)
    reader = qstore.open_run(path)
    assert reader.read("step")["step"] == list(range(50))
    assert max(reader.read("train_loss")["train_loss"]) == 1.0
    assert len(reader.read("step", all_rows=True)["step"]) == 57
    assert [(attempt, len(rows)) for attempt, rows in reader.current_rows()] == [(1, 30), (2, 20)]
    assert [each["outcome"] for each in reader.attempts] == ["failed", "finished"]
    assert reader.params == {"lr": 0.1} and reader.attempts[1]["params"] == {"lr": 0.2}
    for library in ("pandas", "polars", "pyarrow"):
        table = reader.dataframe(library, columns=["step", "accuracy"])
        assert table["step"].to_numpy().tolist() == list(range(50)), library
    assert len(reader.dataframe("polars", all_rows=True)) == 57


def test_a_staged_save_counts_the_rows_of_its_call(tmp_path):
    path = tmp_path / "run"
    run = Run.create_at(path)
    for step in range(10):
        run.log_step(0, step, 0.5)
    ticket = run.save(0, {"w": numpy.zeros(1 << 20)}, snapshot="staged")
    for step in range(10, 25):
        run.log_step(1, step, 0.5)
    ticket.wait(60)
    run.finish()
    with Run.resume(path) as run:
        assert run.resumed.step == 9
    assert qstore.open_run(path).progress()["rows"] == 10


def test_a_staged_save_that_fails_makes_the_run_fail(tmp_path):
    run = Run.create(tmp_path)
    run.save(0, {"w": {1, 2}}, snapshot="staged")
    with pytest.raises(qstore.StateError):
        run.finish()
    reader = qstore.open_run(run.path)
    assert reader.status().state == "failed" and "StateError" in reader.attempts[0]["error"]


def test_another_checkpoint_is_resumed_from_by_its_number(tmp_path):
    with Run.create(tmp_path) as run:
        epochs(run, 0, 3)
    with Run.resume(run.path, resume_from=1) as again:
        assert (again.resumed.epoch, again.resumed.step) == (1, 19)
    with pytest.raises(qstore.NotFoundError):
        Run.resume(run.path, resume_from=7)


def test_a_cell_that_is_run_twice_loses_no_run(tmp_path):
    def cell():
        run = Run.create(tmp_path, record_environment=False)
        run.log_step(0, 1, 0.5)
        return run

    run = cell()
    first = run.path
    with pytest.warns(ResourceWarning, match="was not finished"):
        run = cell()
    run.finish()
    reader = qstore.open_run(first)
    assert reader.progress()["rows"] == 1 and reader.status().state == "failed"
    assert reader.attempts[0]["error"] == "it was forgotten without `finish`"
    assert [path.name for path in qstore.find_runs(tmp_path)] == ["run_001", "run_002"]
    assert qstore.latest_run(tmp_path) == run.path


def test_a_cell_that_resumes_twice_ends_the_first_attempt(tmp_path):
    first = Run.resume_or_start(tmp_path / "run")
    epochs(first, 0, 2)
    second = Run.resume_or_start(tmp_path / "run")
    assert second.resumed.epoch == 1 and second.attempt == 2
    second.finish()
    errors = [attempt.get("error") for attempt in qstore.open_run(second.path).attempts]
    assert errors == ["it was resumed by the same process", None]
    with pytest.raises(qstore.StoppedError):
        first.log_step(2, 20, 0.5)


def test_names_that_are_taken_and_directories_that_are_no_run(tmp_path):
    with Run.create(tmp_path, name="a") as run:
        with pytest.raises(qstore.RunningError, match="being written"):
            Run.create_at(run.path)
        run.log_step(0, 1, 0.5)
    for create in (lambda: Run.create(tmp_path, name="a"), lambda: Run.create_at(run.path)):
        with pytest.raises(qstore.RunExistsError, match="already holds a run") as raised:
            create()
        assert isinstance(raised.value, FileExistsError)
    for missing in (lambda: Run.resume(tmp_path), lambda: qstore.open_run(tmp_path / "none")):
        with pytest.raises(qstore.NotARunError, match="is not a run"):
            missing()
    assert qstore.latest_run(tmp_path / "none") is None
    with pytest.raises(TypeError, match="Run.create"):
        Run(tmp_path)
    with pytest.raises(TypeError, match="belongs to its process"):
        import pickle

        pickle.dumps(run)


@pytest.mark.parametrize(
    "settings",
    [
        {"name": "a/b"},
        {"goal": ("loss", "lowest")},
        {"tags": "one"},
        {"checkpoints": {"busy": "never"}},
        {"metrics": {"overflow": "wait"}},
        {"finish_timeout": -1.0},
        {"system_metrics": 0.01},
    ],
)
def test_a_setting_that_cannot_be_used_is_named(tmp_path, settings):
    with pytest.raises(ValueError, match=next(iter(settings.get("checkpoints", settings.get("metrics", settings))))):
        Run.create(tmp_path, **settings)


@pytest.mark.parametrize("settings", [{"learning_rate": 1}, {"checkpoints": {"keep": 1}}, {"params": 5}])
def test_an_unknown_setting_is_a_type_error(tmp_path, settings):
    with pytest.raises(TypeError):
        Run.create(tmp_path, **settings)
    assert not os.listdir(tmp_path)


@dataclasses.dataclass
class Model:
    layers: int = 3
    backend: object = None


def test_parameters_of_any_form_have_dotted_names_and_plain_values(tmp_path):
    params = {
        "model": Model(),
        "args": argparse.Namespace(lr=0.1, path=tmp_path),
        "more": types.SimpleNamespace(rate=numpy.float32(0.5), count=numpy.int64(4)),
        "sizes": (1, 2),
        "nan": float("nan"),
        "big": 2**70,
        "empty": {},
        "kind": type,
        "api_token": "secret",
    }
    with Run.create(tmp_path / "runs", params=params) as run:
        pass
    recorded = qstore.open_run(run.path).params
    assert recorded == {
        "model.layers": 3,
        "model.backend": None,
        "args.lr": 0.1,
        "args.path": str(tmp_path),
        "more.rate": 0.5,
        "more.count": 4,
        "sizes": [1, 2],
        "nan": None,
        "big": str(2**70),
        "empty": None,
        "kind": "<class 'type'>",
        "api_token": "***",
    }
    with Run.create(tmp_path / "runs", params=argparse.Namespace(lr=0.1)) as run:
        pass
    assert qstore.open_run(run.path).params == {"lr": 0.1}


def test_tags_and_notes_change_while_a_run_goes_on_and_later(tmp_path):
    with Run.create(tmp_path, tags=["a"]) as run:
        run.tag("b", "c", "a")
        run.untag("a")
        run.note("going on")
        reader = qstore.open_run(run.path)
        assert (reader.tags, reader.notes) == (["b", "c"], "going on")
    edited = qstore.edit_run(run.path, tags=["best"], remove_tags=["b"], notes="")
    assert edited["tags"] == ["c", "best"]
    assert reader.refresh()
    assert (reader.tags, reader.notes) == (["c", "best"], "")


def test_values_are_looked_up_among_the_rows_that_count(tmp_path):
    with Run.create(tmp_path, goal=("train_loss", "min")) as run:
        for step in range(100):
            run.log_step(step // 10, step, train_loss=abs(step - 70.0), text=f"step {step}", grads=[0.5, float(step)])
    reader = qstore.open_run(run.path)
    assert reader.info["goal"] == {"metric": "train_loss", "direction": "min"}
    assert reader.best("train_loss") == {"value": 0.0, "row": 70, "step": 70, "epoch": 7}
    assert reader.best("train_loss", "max")["step"] == 0
    assert reader.last("text") == {"value": "step 99", "row": 99, "step": 99, "epoch": 9}
    assert reader.last("grads")["value"] == [0.5, 99.0]
    assert reader.last("nothing") is None and reader.best("text") is None
    assert {"train_loss", "text", "grads"} <= set(reader.columns())
    assert set(reader.read()) == set(reader.columns())
    assert reader.read("grads", "val_loss")["grads"][3] == [0.5, 3.0]
    with pytest.raises(qstore.RunError, match="no_such_column"):
        reader.read("no_such_column")
    with pytest.raises(ValueError, match="goal"):
        reader.best("train_loss", "least")
    with pytest.raises(ValueError, match="pandas"):
        reader.dataframe("excel")
    assert reader.size_on_disk() > 0


def test_a_reader_moves_on_when_it_is_refreshed(tmp_path):
    with Run.create(tmp_path) as run:
        reader = qstore.open_run(run.path)
        assert reader.progress()["rows"] == 0
        run.log_step(0, 1, 0.5)
        run.flush()
        assert reader.refresh() and reader.progress()["rows"] == 1
        assert reader.refresh() is False
    assert "running" not in repr(reader)
    html = reader._repr_html_()
    assert "finished" in html and html.startswith("<table>")
    assert "ended" in repr(run) and run._repr_html_().startswith("<table>")


def test_a_run_that_is_killed_is_crashed_and_can_be_resumed(tmp_path):
    script = """
        import os, signal, sys
        import qstore
        run = qstore.Run.create_at(sys.argv[1])
        run.log_step(0, 1, 0.5)
        run.save(0, {"w": [1.0]}).wait()
        os.kill(os.getpid(), signal.SIGKILL)
    """
    path = tmp_path / "script.py"
    import textwrap

    path.write_text(textwrap.dedent(script))
    killed = subprocess.run([sys.executable, str(path), str(tmp_path / "run")], timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert qstore.open_run(tmp_path / "run").status().state == "crashed"
    with Run.resume(tmp_path / "run") as run:
        assert run.resumed.epoch == 0 and run.resumed.rows_missing == 0
    assert qstore.open_run(tmp_path / "run").status().state == "finished"


def test_another_process_that_writes_it_is_named(tmp_path, run_script):
    with Run.create(tmp_path / "runs") as run:
        said = run_script(
            """
            import sys, qstore
            try:
                qstore.Run.resume(sys.argv[1])
            except qstore.RunningError as error:
                print(error)
            """,
            run.path,
        )
        assert f"process {os.getpid()}" in said.stdout
        run.log_step(0, 1, 0.5)
    assert qstore.open_run(run.path).progress()["rows"] == 1


def test_a_script_that_forgets_the_end_is_recorded_as_failed_with_every_row(tmp_path, run_script):
    run_script(
        """
        import sys, qstore
        run = qstore.Run.create_at(sys.argv[1])
        for step in range(50):
            run.log_step(0, step, 0.5)
        run.save(0, {"w": [1.0]})
        """,
        tmp_path / "run",
    )
    reader = qstore.open_run(tmp_path / "run")
    assert reader.attempts[0]["error"] == "the process ended without `finish`"
    assert reader.progress()["rows"] == 50 and reader.checkpoints.list_checkpoints() == [0]


def test_a_forked_child_changes_nothing_of_the_run(tmp_path, run_script):
    done = run_script(
        """
        import os, sys, warnings
        import qstore
        run = qstore.Run.create_at(sys.argv[1])
        run.log_step(0, 1, 0.5)
        child = os.fork()
        if child == 0:
            warnings.simplefilter("ignore")
            refused = 0
            for call in (run.finish, run.flush, run.stats, lambda: run.save(0, {}), lambda: run.fail("x")):
                try:
                    call()
                except qstore.ForkedError:
                    refused += 1
            assert not run.log_step(0, 2, 0.5) and refused == 5 and run.pending == 0
            sys.exit(0)
        assert os.waitpid(child, 0)[1] == 0
        run.log_step(0, 3, 0.5)
        run.finish()
        """,
        tmp_path / "run",
    )
    assert done.stderr == ""
    reader = qstore.open_run(tmp_path / "run")
    assert reader.progress()["rows"] == 2 and reader.status().state == "finished"


def test_system_metrics_are_a_second_file(tmp_path):
    with Run.create(tmp_path, system_metrics=0.1, record_environment=False) as run:
        run.log_step(0, 1, 0.5)
    assert (run.path / "system.parquet").exists() == (sys.platform == "linux")
    assert "argv" not in json.dumps(qstore.open_run(run.path).attempts) or qstore.open_run(run.path).attempts[0]["argv"] == []


def test_in_an_asynchronous_loop(tmp_path):
    import asyncio

    async def train():
        async with Run.create(tmp_path) as run:
            await run.log_step(0, 1, 0.5)
            assert (await run.save(0, {"w": [1.0]})).kind == "saved"
            return run

    run = asyncio.run(train())
    assert qstore.open_run(run.path).status().state == "finished"


def test_a_run_of_checkpoints_by_settings(tmp_path):
    with Run.create(tmp_path, checkpoints={"keep_last": 1, "keep_best": (1, "val_loss", "min")}) as run:
        for epoch in range(5):
            run.save(epoch, {"w": numpy.zeros(3)}, metadata={"val_loss": abs(epoch - 2.0)}).wait()
        run.reserve({"w": numpy.zeros(3)}, wait=True)
        assert run.checkpoints.list_checkpoints() == [2, 4] and run.pending == 0
        assert set(run.health()) == {"metrics", "checkpoints"}
        assert run.checkpoints.explain()[0][:2] == (4, True)
    opened = qstore.Checkpoints(run.path / "checkpoints")
    assert opened.list_checkpoints() == [2, 4] and "[2, 4]" in repr(opened)
