"""What the tests of the original package ask of a replacement, by their names, through ``qstore.compat``."""

import asyncio
import time

import pandas

from qstore.compat import AsyncBuffer, AsyncMetricsLogger, AsyncMetricsWriter, TrainingMetrics


def test_buffer_push_pop():
    buffer = AsyncBuffer(maxsize=10)
    assert [buffer.push(i) for i in range(5)] == [True] * 5
    assert len(buffer) == 5
    assert [buffer.pop(timeout=0.1) for _ in range(5)] == list(range(5))
    assert len(buffer) == 0


def test_buffer_overflow():
    buffer = AsyncBuffer(maxsize=5)
    assert [buffer.push(i) for i in range(6)] == [True] * 5 + [False]
    assert buffer.dropped_count == 1


def test_buffer_timeout():
    assert AsyncBuffer(maxsize=5).pop(timeout=0.1) is None


def test_buffer_stats():
    buffer = AsyncBuffer(maxsize=10, name="test")
    buffer.push(1)
    buffer.push(2)
    assert buffer.pop() == 1
    stats = buffer.stats()
    assert (stats["name"], stats["pushed"], stats["popped"], stats["dropped"]) == ("test", 2, 1, 0)


def test_writer_basic_write(tmp_path):
    buffer = AsyncBuffer(maxsize=100)
    writer = AsyncMetricsWriter(buffer=buffer, output_path=tmp_path / "m.parquet", flush_interval=5)
    writer.start()
    for i in range(10):
        buffer.push({"step": i, "loss": 1.0 / (i + 1)})
    writer.stop()
    frame = pandas.read_parquet(tmp_path / "m.parquet")
    assert list(frame.columns) == ["step", "loss"]
    assert frame["step"].tolist() == list(range(10))


def test_writer_append_mode(tmp_path):
    buffer = AsyncBuffer(maxsize=100)
    for session in range(2):
        writer = AsyncMetricsWriter(buffer, tmp_path / "m.parquet", flush_interval=5)
        writer.start()
        for i in range(5):
            assert buffer.push({"step": 5 * session + i, "loss": 0.5})
        writer.stop()
    assert pandas.read_parquet(tmp_path / "m.parquet")["step"].tolist() == list(range(10))


def test_training_metrics_creation_and_to_dict():
    row = TrainingMetrics(epoch=1, step=10, timestamp=time.time(), train_loss=0.5)
    assert (row.epoch, row.grad_norm, row.shots_per_circuit, row.backend) == (1, 0.0, 1024, "simulator")
    assert len(row.to_dict()) == 18


def test_logger_log_step(tmp_path):
    async def train():
        logger = AsyncMetricsLogger(tmp_path / "m.parquet", buffer_size=100, flush_interval=10)
        for step in range(20):
            await logger.log_step(epoch=1, step=step, train_loss=0.5, grad_norm=0.1)
        logger.stop()

    asyncio.run(train())
    frame = pandas.read_parquet(tmp_path / "m.parquet")
    assert (len(frame), set(frame["epoch"])) == (20, {1})
    assert str(frame["epoch"].dtype) == "int64"


def test_logger_log_epoch(tmp_path):
    async def train():
        logger = AsyncMetricsLogger(tmp_path / "m.parquet")
        await logger.log_epoch(1, {"loss": 0.5, "accuracy": 0.8}, {"loss": 0.55, "accuracy": 0.75})
        logger.stop()

    asyncio.run(train())
    (row,) = pandas.read_parquet(tmp_path / "m.parquet").to_dict("records")
    assert (row["step"], row["train_loss"], row["val_loss"]) == (-1, 0.5, 0.55)
    assert (row["accuracy"], row["val_accuracy"]) == (0.8, 0.75)


def test_logger_stats_of_one_that_is_never_stopped(run_script, tmp_path):
    script = """
        import sys
        from qstore.compat import AsyncMetricsLogger
        logger = AsyncMetricsLogger(sys.argv[1])
        assert set(logger.stats()) == {"buffer", "writer"}
    """
    run_script(script, tmp_path / "m.parquet", timeout=20)
