"""The logger: what is logged is in the file, and what is not is told."""

import array
import asyncio
import dataclasses
import inspect
import math
import os
import pickle
import sys
import threading

import numpy
import pandas
import pyarrow.parquet
import pytest

import qstore
from qstore import AsyncMetricsLogger, QuantumMetrics, TrainingMetrics

COLUMNS = [field.name for field in dataclasses.fields(TrainingMetrics)]


def rows_of(path):
    return pandas.read_parquet(path).to_dict("records")


def test_every_column_is_a_parameter_and_arrives(metrics):
    given = {
        name: "ion_trap" if name == "backend" else float(i) if i > 2 else i
        for i, name in enumerate(COLUMNS)
        if name != "timestamp"
    }
    for name in ("circuits_executed", "qubits_used", "shots_per_circuit"):
        given[name] = int(given[name])
    with AsyncMetricsLogger(metrics) as logger:
        assert logger.log_step(**given)
    (row,) = rows_of(metrics)
    assert {name: row[name] for name in given} == given
    assert list(pandas.read_parquet(metrics).columns) == COLUMNS


def test_the_signature_is_that_of_the_columns():
    parameters = inspect.signature(AsyncMetricsLogger.log_step).parameters
    assert list(parameters) == ["self", "epoch", "step", "train_loss", "grad_norm", *(
        name for name in COLUMNS if name not in ("epoch", "step", "timestamp", "train_loss", "grad_norm")
    ), "extra"]  # fmt: skip
    kinds = [parameter.kind.name for parameter in parameters.values()]
    assert kinds[1:5] == ["POSITIONAL_OR_KEYWORD"] * 4 and set(kinds[5:-1]) == {"KEYWORD_ONLY"}
    assert kinds[-1] == "VAR_KEYWORD"
    defaults = [parameter.default for parameter in parameters.values()]
    assert defaults[1:3] == [inspect.Parameter.empty] * 2 and set(defaults[3:-1]) == {None}
    assert AsyncMetricsLogger.log_step.__doc__.startswith("Logs one step")


def test_a_call_that_does_not_fit_the_signature_is_a_type_error_and_logs_nothing(metrics):
    with AsyncMetricsLogger(metrics) as logger:
        for arguments, names, message in [
            ((), {}, "missing required argument: 'epoch'"),
            ((1,), {}, "missing required argument: 'step'"),
            ((1,), {"train_loss": 0.5, "accuracy": 0.9}, "missing required argument: 'step'"),
            ((1, 2, 0.5, 0.1, 0.2), {}, "takes at most 4 positional arguments .5 given."),
            ((1, 2), {"epoch": 1}, "multiple values for argument 'epoch'"),
            ((1, 2, None), {"train_loss": 0.5}, "multiple values for argument 'train_loss'"),
            (("one", 2), {}, "argument 'epoch'"),
            ((None, 2), {}, "argument 'epoch'"),
            ((1, 2.5), {}, "argument 'step'"),
            ((1, 2, "low"), {}, "argument 'train_loss'"),
            ((1, 2), {"qubits_used": 2.5}, "argument 'qubits_used'"),
            ((1, 2), {"backend": 5}, "argument 'backend'"),
        ]:
            with pytest.raises(TypeError, match=message):
                logger.log_step(*arguments, **names)
        with pytest.raises(OverflowError):
            logger.log_step(2**64, 1)
        with pytest.raises(TypeError, match="requires|descriptor"):
            AsyncMetricsLogger.log_step(object(), 1, 2)
    assert rows_of(metrics) == []


def test_an_error_of_a_value_is_passed_on(metrics):
    class Value:
        def __float__(self):
            raise LookupError("on purpose")

    with AsyncMetricsLogger(metrics) as logger:
        with pytest.raises(LookupError, match="on purpose"):
            logger.log_step(0, 0, Value())
        assert logger.log_step(0, 1, numpy.float32(0.5), qubits_used=numpy.int64(4))
    (row,) = rows_of(metrics)
    assert (row["train_loss"], row["qubits_used"]) == (0.5, 4)


class Text(str):
    """A text of a class of its own, as some libraries have."""


def test_names_are_recognized_however_a_program_makes_them(metrics):
    # Names are recognized by the address of their object; these are objects of their own at every step.
    with AsyncMetricsLogger(metrics) as logger:
        for step in range(300):
            made = {"".join(["train_", "loss"]): 0.5, "".join(["lay", f"er_{step % 3}"]): step, "größe": 1}
            logger.log_step(epoch=0, **{Text("step") if step % 2 else "step": step}, **made)
    frame = pandas.read_parquet(metrics)
    assert frame["step"].tolist() == list(range(300)) and set(frame["train_loss"]) == {0.5}
    assert set(frame.columns) == {*COLUMNS, "layer_0", "layer_1", "layer_2", "größe"}
    for number in range(3):
        column = frame[f"layer_{number}"]
        assert column[column.notna()].tolist() == list(range(number, 300, 3))


def test_an_argument_is_neither_kept_nor_lost(metrics):
    value, name = 1234567.25, "".join(["a_name_of_", "this_test"])
    with AsyncMetricsLogger(metrics) as logger:
        logger.log_step(0, 0, **{name: value})
        before = sys.getrefcount(value), sys.getrefcount(name)
        for step in range(1000):
            logger.log_step(0, step, value, grad_norm=value, **{name: value})
        assert (sys.getrefcount(value), sys.getrefcount(name)) == before


def test_what_was_not_measured_is_null(metrics):
    with AsyncMetricsLogger(metrics) as logger:
        logger.log_step(0, 1, 0.5)
    frame = pandas.read_parquet(metrics)
    known = [name for name in frame.columns if frame[name].notna().all()]
    assert known == ["epoch", "step", "timestamp", "train_loss"]


@pytest.mark.parametrize(
    ("value", "column", "stored"),
    [
        (1.5, "x", 1.5),
        (3, "x", 3),
        (True, "x", True),
        ("warmup", "x", "warmup"),
        (numpy.float32(0.5), "x", 0.5),
        (numpy.float64(0.5), "x", 0.5),
        (numpy.int64(7), "x", 7),
        (numpy.bool_(True), "x", True),
        (numpy.array(2.5), "x", 2.5),
        (2**63, "x", str(2**63)),
        (-(2**63), "x", -(2**63)),
        (math.inf, "x", math.inf),
    ],
)
def test_any_scalar_becomes_a_column(metrics, value, column, stored):
    with AsyncMetricsLogger(metrics) as logger:
        logger.log_step(0, 0, 0.5, x=value)
    (row,) = rows_of(metrics)
    assert row[column] == stored
    assert type(row[column]) is type(stored)


class Doubled:
    """Numbers of another library."""

    ndim = 1

    def __init__(self, values):
        self.values = values

    def tolist(self):
        return [2 * value for value in self.values]


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ([1, 2.5, True], [1.0, 2.5, 1.0]),
        ((0.5, None, numpy.float32(0.25)), [0.5, math.nan, 0.25]),
        ([], []),
        (numpy.arange(4.0)[::-2], [3.0, 1.0]),
        (numpy.arange(3, dtype="float32"), [0.0, 1.0, 2.0]),
        (numpy.arange(3, dtype=">f8"), [0.0, 1.0, 2.0]),
        (numpy.arange(3, dtype="int64"), [0.0, 1.0, 2.0]),
        (numpy.arange(3, dtype="float16"), [0.0, 1.0, 2.0]),
        (numpy.array([True, False]), [1.0, 0.0]),
        (numpy.array([2.5]), [2.5]),
        (numpy.array([]), []),
        (array.array("d", [0.5, 1.5]), [0.5, 1.5]),
        (array.array("i", [1, 2]), [1.0, 2.0]),
        (memoryview(array.array("f", [0.5])), [0.5]),
        (Doubled([1.5]), [3.0]),
    ],
    ids=repr,
)
def test_a_list_of_numbers_is_a_column_of_lists(metrics, value, stored):
    with AsyncMetricsLogger(metrics) as logger:
        logger.log_step(0, 0, 0.5, grads=value)
        logger.log({"epoch": 0, "step": 1, "grads": value})
        logger.log_step(0, 2, 0.5)
    table = pyarrow.parquet.read_table(metrics)
    assert table.schema.field("grads").type == pyarrow.list_(pyarrow.float64())
    numpy.testing.assert_equal(table["grads"].to_pylist(), [stored, stored, None])


@pytest.mark.parametrize("value", [["0.5"], [[1.0]], [0.5, object()], (1j,), numpy.array(["a"]), numpy.array([1j])])
def test_a_list_of_anything_else_is_refused(metrics, value):
    with AsyncMetricsLogger(metrics) as logger:
        with pytest.raises(TypeError):
            logger.log_step(0, 0, 0.5, grads=value)
        assert logger.log_step(0, 1, 0.5)
    assert [row["step"] for row in rows_of(metrics)] == [1]


@pytest.mark.parametrize("value", [{"a": 1}, object(), numpy.zeros((3, 1)), b"bytes", bytearray(2), {1.0}, 1j])
def test_what_is_not_a_value_is_refused_by_its_name(metrics, value):
    with AsyncMetricsLogger(metrics) as logger:
        with pytest.raises(TypeError, match="metric `histogram` is of type"):
            logger.log_step(0, 0, 0.5, histogram=value)
        assert logger.log_step(0, 1, 0.5)
    assert [row["step"] for row in rows_of(metrics)] == [1]


def test_a_metric_that_changes_its_kind_costs_no_row(metrics):
    with AsyncMetricsLogger(metrics) as logger:
        for step, lr in enumerate(["warmup", 0.1, 0.2, True]):
            logger.log_step(0, step, 0.5, lr=lr)
    frame = pandas.read_parquet(metrics)
    assert frame["step"].tolist() == [0, 1, 2, 3]
    assert frame["lr"].tolist()[0] == "warmup"
    assert frame["lr__number"].tolist()[1:3] == [0.1, 0.2]
    assert frame["lr__flag"].tolist()[3] is True


def test_whole_rows_are_dataclasses_or_dicts(metrics):
    with AsyncMetricsLogger(metrics) as logger:
        logger.log(TrainingMetrics(epoch=1, step=2, train_loss=0.25))
        logger.log(QuantumMetrics(epoch=1, step=3, circuit_depth=12, estimated_cost_usd=0.5))
        logger.log({"epoch": 1, "step": 4, "note": "by hand"})
        with pytest.raises(TypeError, match="a row is a dict"):
            logger.log(17)
    frame = pandas.read_parquet(metrics)
    assert frame["step"].tolist() == [2, 3, 4]
    assert frame["circuit_depth"].tolist()[1] == 12
    assert frame["note"].tolist()[2] == "by hand"
    assert (frame["timestamp"] > 1e9).all()


def test_an_epoch_is_a_row_with_step_minus_one(metrics):
    with AsyncMetricsLogger(metrics) as logger:
        logger.log_epoch(3, {"loss": 0.5, "accuracy": 0.8}, {"loss": 0.6, "val_f1": 0.7})
        with pytest.raises(ValueError, match="`step` is set by log_epoch itself"):
            logger.log_epoch(4, {"step": 1})
    (row,) = rows_of(metrics)
    assert (row["epoch"], row["step"], row["train_loss"], row["val_loss"]) == (3, -1, 0.5, 0.6)
    assert (row["accuracy"], row["val_f1"]) == (0.8, 0.7)


def test_what_a_call_returns_can_be_awaited_ignored_or_made_a_task(metrics):
    async def train(logger):
        assert (await logger.log_step(0, 0, 0.5)).outcome == "accepted"
        assert await asyncio.create_task(logger.log_step(0, 1, 0.5))
        assert all(await asyncio.gather(*(logger.log_step(0, step, 0.5) for step in range(2, 5))))
        assert await asyncio.wait_for(logger.log_step(0, 5, 0.5), 1)
        async with asyncio.TaskGroup() as group:
            group.create_task(logger.log_epoch(0, {"loss": 0.5}))

    with AsyncMetricsLogger(metrics) as logger:
        asyncio.run(train(logger))
    assert len(rows_of(metrics)) == 7


def test_an_await_never_suspends_whatever_the_event_loop(metrics):
    async def train(logger):
        logged = [await logger.log_step(0, step, 0.5) for step in range(3)]
        return [*logged, await logger.log_epoch(0, {"loss": 0.5})]

    with AsyncMetricsLogger(metrics) as logger:
        # Without an event loop: a coroutine that suspends would return from `send`.
        with pytest.raises(StopIteration) as ended:
            train(logger).send(None)
        assert all(ended.value.value) and len(ended.value.value) == 4
        done = logger.log_step(0, 9, 0.5)
        with pytest.raises(KeyError, match="thrown"):
            done.throw(KeyError("thrown"))
        done.close()


def test_a_million_rows_leave_no_memory_behind(run_script, metrics):
    script = """
        import sys
        import warnings
        import qstore

        # A row may find the buffer full, which is no matter here.
        warnings.simplefilter("ignore", RuntimeWarning)

        def resident():
            with open("/proc/self/statm") as statm:
                return int(statm.read().split()[1]) * 4096 / 1e6

        def log(rows):
            for step in range(rows):
                logger.log_step(0, step, 0.5, accuracy=0.9, note="warm", flag=True)
                buffer.push((step, "an object"))
                buffer.pop(0)

        logger = qstore.AsyncMetricsLogger(sys.argv[1], flush_interval=10_000, overflow="drop_oldest")
        buffer = qstore.AsyncBuffer(10)
        log(200_000)
        logger.flush(60)
        before = resident()
        log(1_000_000)
        logger.flush(60)
        grown = resident() - before
        logger.stop()
        print(grown)
        assert grown < 32, grown
    """
    if not os.path.exists("/proc/self/statm"):
        pytest.skip("this system does not tell the resident memory")
    run_script(script, metrics, timeout=300)


def test_a_dropped_row_is_an_outcome_and_warned_of_once(metrics):
    logger = AsyncMetricsLogger(metrics, buffer_size=1, flush_interval=1)
    with pytest.warns(RuntimeWarning, match="the buffer was full") as warned:
        kept = sum(bool(logger.log_step(0, step, 0.5)) for step in range(20_000))
    summary = logger.stop()
    assert len(warned) == 1
    assert summary["buffer"]["dropped"] == 20_000 - kept > 0
    assert logger.health()["losses"]["dropped"]["count"] == 20_000 - kept
    assert summary["writer"]["rows_written"] == kept == len(rows_of(metrics))


def test_a_row_after_the_stop_is_refused(metrics):
    logger = AsyncMetricsLogger(metrics)
    logger.stop()
    with pytest.raises(qstore.StoppedError, match="has stopped"):
        logger.log_step(0, 0, 0.5)
    assert logger.stop()["buffer"]["refused"] == 1


def test_a_flush_is_an_acknowledgment(metrics):
    logger = AsyncMetricsLogger(metrics, flush_interval=1_000_000, flush_seconds=1e6)
    logger.log_step(0, 0, 0.5)
    logger.flush(timeout=30)
    assert len(rows_of(metrics)) == 1
    logger.stop()


def test_many_threads_log_at_the_same_time(metrics):
    with AsyncMetricsLogger(metrics, buffer_size=100_000) as logger:
        threads = [
            threading.Thread(target=lambda: [logger.log_step(0, step, 0.5) for step in range(1_000)])
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(rows_of(metrics)) == 4_000


def test_the_same_path_again_takes_the_file_over(metrics):
    first = AsyncMetricsLogger(metrics)
    first.log_step(0, 0, 0.5)
    second = AsyncMetricsLogger(metrics)
    second.log_step(0, 1, 0.5)
    second.stop()
    with pytest.raises(qstore.StoppedError):
        first.log_step(0, 2, 0.5)
    assert [row["step"] for row in rows_of(metrics)] == [0, 1]
    third = AsyncMetricsLogger(metrics)
    with pytest.raises(qstore.OpenError, match="open in another writer"):
        AsyncMetricsLogger(metrics, exist_ok=False)
    third.stop()


@pytest.mark.parametrize(
    "settings",
    [
        {"buffer_size": 0},
        {"flush_interval": 0},
        {"flush_seconds": -1.0},
        {"flush_seconds": float("nan")},
        {"compression": "middling"},
        {"overflow": "wait"},
        {"rank": -1},
        {"columns": ["a", "a"]},
        {"columns": "accuracy"},
    ],
)
def test_a_setting_that_cannot_be_used_is_named(metrics, settings):
    (name,) = settings
    with pytest.raises(ValueError, match=name):
        AsyncMetricsLogger(metrics, **settings)


def test_a_file_that_is_something_else_is_left_alone(metrics):
    metrics.parent.mkdir()
    metrics.write_text("notes")
    with pytest.raises(qstore.OpenError, match="not a valid Parquet file"):
        AsyncMetricsLogger(metrics)
    assert metrics.read_text() == "notes"


def test_errors_and_rows_are_pickled_and_loggers_are_not(metrics):
    for error in (qstore.OpenError("a"), qstore.WriteError("b"), qstore.StoppedError("c"), qstore.ForkedError("d")):
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), again.args) == (type(error), error.args)
        assert isinstance(error, qstore.Error)
    row = TrainingMetrics(epoch=1, step=2, train_loss=0.5)
    assert pickle.loads(pickle.dumps(row)) == row
    with AsyncMetricsLogger(metrics) as logger, pytest.raises(TypeError, match="open one in the worker"):
        pickle.dumps(logger)


def test_it_shows_what_it_did(metrics):
    with AsyncMetricsLogger(metrics) as logger:
        logger.log_step(0, 0, 0.5)
        assert "running, 1 rows, 0 dropped" in repr(logger)
    assert "stopped" in repr(logger)
    assert "<th>rows in the file</th><td>1</td>" in logger._repr_html_()


def test_the_package_imports_nothing_that_is_slow(run_script):
    script = """
        import sys
        before = set(sys.modules)
        import qstore
        slow = {"numpy", "torch", "pandas", "pyarrow", "asyncio", "multiprocessing"}
        assert not slow & (set(sys.modules) - before), slow & set(sys.modules)
    """
    run_script(script)


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_what_was_logged_is_a_table_while_the_logger_lives_and_afterwards(tmp_path, library):
    pytest.importorskip(library)
    path = tmp_path / "metrics.parquet"
    with qstore.AsyncMetricsLogger(path) as logger:
        for step in range(10):
            logger.log_step(0, step, 0.5, extra=step)
        assert len(logger.dataframe(library)) == 10
        logger.log_step(0, 10, 0.25)
        table = logger.dataframe(library, columns=["step", "extra"])
        assert len(table) == 11 and len(table.columns) == 2
    assert len(logger.dataframe(library)) == 11
    assert len(qstore.open_metrics(path, library, columns=["step"])) == 11
    with pytest.raises(FileNotFoundError):
        qstore.open_metrics(tmp_path / "none.parquet", library)
    with pytest.raises(ValueError, match="excel"):
        logger.dataframe("excel")


def values_by_column(table, library):
    if library == "pandas":
        return table.to_dict("list")
    return table.to_dict(as_series=False) if library == "polars" else table.to_pydict()


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_ranks_write_one_table(tmp_path, library):
    pytest.importorskip(library)
    dataset = tmp_path / "run" / "metrics"
    loggers = [AsyncMetricsLogger(dataset, rank=rank, columns=["accuracy"]) for rank in (0, 1)]
    for step in range(10):
        for rank, logger in enumerate(loggers):
            logger.log_step(0, step, 0.5 + rank, **({"late": step} if rank == 1 and step > 5 else {}))
    loggers[0].stop()
    loggers[1].flush()
    assert (dataset / "rank=0" / "part-00000.parquet").exists()  # sealed
    assert (dataset / "rank=1" / "_part-00000.parquet").exists()  # being written
    names = ["rank", "step", "train_loss", "accuracy", "late"]
    for table in (qstore.open_metrics(dataset, library, columns=names), loggers[1].dataframe(library)):
        rows = values_by_column(table, library)
        assert list(rows["rank"]) == [0] * 10 + [1] * 10 and list(rows["step"]) == [*range(10)] * 2
        assert list(rows["train_loss"]) == [0.5] * 10 + [1.5] * 10
        late = [value for value in rows["late"] if value is not None and not math.isnan(value)]
        assert late == [6, 7, 8, 9] and len(rows["accuracy"]) == 20
    # A second process with the same rank is refused; here it is a cell that is run twice.
    again = AsyncMetricsLogger(dataset, rank=1)
    again.log_step(1, 0, 0.25)
    again.stop()
    assert len(qstore.open_metrics(dataset, library)) == 21
    with pytest.raises(qstore.StoppedError):
        loggers[1].log_step(0, 10, 0.5)
    with AsyncMetricsLogger(dataset, rank=0), pytest.raises(qstore.OpenError, match="open in another writer"):
        AsyncMetricsLogger(dataset, rank=0, exist_ok=False)
    (dataset / "rank=all").mkdir()
    (dataset / "rank=all" / "part-00000.parquet").write_text("somebody else's")
    assert len(qstore.open_metrics(dataset, library)) == 21
    with pytest.raises(FileNotFoundError, match="no parts of ranks"):
        qstore.open_metrics(tmp_path, library)


def test_a_table_of_a_dataset_is_whole_while_parts_are_sealed(tmp_path):
    """A part has another name between two looks at the directory: it is neither missed nor read twice."""
    from qstore import tables

    dataset = tmp_path / "metrics"
    with AsyncMetricsLogger(dataset, rank=3) as logger:
        logger.log_step(0, 0, 0.5)
    sealed = dataset / "rank=3" / "part-00000.parquet"
    opened = sealed.with_name("_part-00000.parquet")
    os.link(sealed, opened)
    assert tables._parts(dataset) == [(3, sealed)]
    looks = []

    def parts(path):
        looks.append(path)
        return [(3, opened)] if len(looks) == 1 else [(3, sealed)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "_parts", parts)
        opened.unlink()
        assert len(qstore.open_metrics(dataset, "pyarrow")) == 1
    assert len(looks) == 2


def test_parts_that_are_being_replaced_are_waited_for(tmp_path, monkeypatch):
    from qstore import tables

    dataset = tmp_path / "metrics"
    with AsyncMetricsLogger(dataset, rank=0) as logger:
        logger.log_step(0, 0, 0.5)
    # As `compact_rank` writes it while both the old parts and the new one may be listed.
    plan = dataset / "rank=0" / "part-00003.compacting.parquet"
    plan.write_text("a plan")
    monkeypatch.setattr(tables.time, "sleep", lambda _: plan.unlink())
    assert len(qstore.open_metrics(dataset, "pyarrow")) == 1
    plan.write_text("what a killed compaction leaves")
    monkeypatch.setattr(tables, "_PATIENCE", 0.0)
    with pytest.raises(OSError, match="are being compacted") as error:
        qstore.open_metrics(dataset, "pyarrow")
    assert error.value.filename == str(plan)
