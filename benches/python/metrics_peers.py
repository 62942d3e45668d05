"""What Python programs log a training step with: one class each, all given the same 18 values.

A class opens its files in a directory of its own, logs steps, finishes, and counts the rows that can
be read from such a directory afterwards. Everything is used as its documentation shows it, at its
default settings unless a comment says otherwise. Values that a tool cannot take (text and missing
ones, for some) are left out, which is in that tool's favour.
"""

import csv
import glob
import json
import os
import sqlite3
import struct
import sys
import sysconfig
import types


class Csv:
    """One line a step, flushed to the system each time: a kill loses nothing."""

    def __init__(self, home, columns):
        self.file = open(f"{home}/steps.csv", "w", newline="")
        self.writer = csv.writer(self.file)
        self.writer.writerow(columns)

    def log(self, step, values):
        self.writer.writerow(values)
        self.file.flush()

    def finish(self):
        self.file.close()

    @staticmethod
    def rows(home):
        with open(f"{home}/steps.csv", "rb") as file:
            return max(file.read().count(b"\n") - 1, 0)


class Sqlite:
    """WAL, synchronous = NORMAL, a transaction a step: a kill loses nothing."""

    def __init__(self, home, columns):
        self.connection = sqlite3.connect(f"{home}/steps.sqlite", isolation_level=None)
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute("PRAGMA synchronous = NORMAL")
        self.connection.execute(f"CREATE TABLE steps ({', '.join(columns)})")
        self.insert = f"INSERT INTO steps VALUES ({', '.join('?' * len(columns))})"

    def log(self, step, values):
        self.connection.execute(self.insert, values)

    def finish(self):
        self.connection.close()

    @staticmethod
    def rows(home):
        with sqlite3.connect(f"{home}/steps.sqlite") as connection:
            return connection.execute("SELECT count(*) FROM steps").fetchone()[0]


class PyarrowWriter:
    """A ParquetWriter that gets a row group per 1 000 steps; no file before it is closed."""

    GROUP = 1_000

    def __init__(self, home, columns):
        import pyarrow
        import pyarrow.parquet

        self.columns, self.pending = columns, []
        whole = {"epoch", "step", "circuits_executed", "qubits_used", "shots_per_circuit"}

        def kind(column):
            if column == "backend":
                return pyarrow.string()
            return pyarrow.int64() if column in whole else pyarrow.float64()

        self.schema = pyarrow.schema([(column, kind(column)) for column in columns])
        self.table = pyarrow.Table
        self.writer = pyarrow.parquet.ParquetWriter(f"{home}/steps.parquet", self.schema, compression="gzip")

    def log(self, step, values):
        self.pending.append(values)
        if len(self.pending) == self.GROUP:
            self.write()

    def write(self):
        columns = dict(zip(self.columns, zip(*self.pending)))
        self.writer.write_table(self.table.from_pydict(columns, schema=self.schema))
        self.pending.clear()

    def finish(self):
        if self.pending:
            self.write()
        self.writer.close()

    @staticmethod
    def rows(home):
        return rows_of_parquet(f"{home}/steps.parquet")


class PandasRewrite:
    """All rows so far written anew by pandas every 100 steps, renamed into place; not synced."""

    EVERY = 100

    def __init__(self, home, columns):
        import pandas

        self.pandas, self.columns, self.all = pandas, columns, []
        self.path = f"{home}/steps.parquet"

    def log(self, step, values):
        self.all.append(values)
        if len(self.all) % self.EVERY == 0:
            self.write()

    def write(self):
        frame = self.pandas.DataFrame(self.all, columns=self.columns)
        frame.to_parquet(self.path + ".tmp", compression="gzip")
        os.rename(self.path + ".tmp", self.path)

    def finish(self):
        self.write()

    @staticmethod
    def rows(home):
        return rows_of_parquet(f"{home}/steps.parquet")


class Original:
    """The Python package this project follows, version 4.1.1: its logger, its checkpoints."""

    def __init__(self, home, columns):
        storage = original_storage()
        self.metrics, self.columns = storage.TrainingMetrics, columns
        with SilentOutput():
            self.logger = storage.AsyncMetricsLogger(f"{home}/steps.parquet", buffer_size=10_000)

    def log(self, step, values):
        # `await` without the event loop: it never suspends.
        try:
            self.logger.log(self.metrics(**dict(zip(self.columns, values)))).send(None)
        except StopIteration:
            pass

    def checkpoint(self, home, epoch, model):
        import asyncio

        if not hasattr(self, "manager"):
            self.manager = original_storage().CheckpointManager(home, keep_last=2)
        with SilentOutput():
            asyncio.run(self.manager.save(epoch, model))

    def finish(self):
        with SilentOutput():
            self.logger.stop()

    @staticmethod
    def rows(home):
        return rows_of_parquet(f"{home}/steps.parquet")


class TensorboardX:
    """add_scalar for every number; its own queue and flush every 120 s."""

    def __init__(self, home, columns):
        from tensorboardX import SummaryWriter

        self.writer, self.columns = SummaryWriter(home), columns

    def log(self, step, values):
        for column, value in zip(self.columns, values):
            if isinstance(value, (int, float)):
                self.writer.add_scalar(column, value, step)

    def finish(self):
        self.writer.close()

    @staticmethod
    def rows(home):
        count = 0
        for path in glob.glob(f"{home}/events*"):
            data, at = open(path, "rb").read(), 0
            while at + 12 <= len(data):
                (length,) = struct.unpack_from("<Q", data, at)
                end = at + 12 + length + 4
                if end > len(data):
                    break
                count += b"throughput_samples_per_sec" in data[at:end]
                at = end
        return count


class WandbOffline:
    """mode = "offline": a service process of its own writes the file."""

    def __init__(self, home, columns):
        os.environ["WANDB_SILENT"] = "true"
        import wandb

        self.columns = columns
        self.run = wandb.init(project="bench", dir=home, mode="offline")

    def log(self, step, values):
        self.run.log(numbers(self.columns, values), step=step)

    def finish(self):
        self.run.finish()

    @staticmethod
    def rows(home):
        from wandb.proto import wandb_internal_pb2

        count = 0
        for path in glob.glob(f"{home}/wandb/offline-run-*/*.wandb"):
            for record in records_of_log(open(path, "rb").read()):
                parsed = wandb_internal_pb2.Record()
                parsed.ParseFromString(record)
                count += parsed.WhichOneof("record_type") == "history"
        return count


class Trackio:
    """A local SQLite database, written by a thread of its own."""

    def __init__(self, home, columns):
        os.environ["TRACKIO_DIR"] = home
        import trackio

        self.trackio, self.columns = trackio, columns
        with SilentOutput():
            trackio.init(project="bench", embed=False)

    def log(self, step, values):
        self.trackio.log(numbers(self.columns, values), step=step)

    def finish(self):
        with SilentOutput():
            self.trackio.finish()

    @staticmethod
    def rows(home):
        with sqlite3.connect(f"{home}/bench.db") as connection:
            return connection.execute("SELECT count(*) FROM metrics").fetchone()[0]


class Mlflow:
    """Its file store, which needs no server: one small file per metric, appended to."""

    def __init__(self, home, columns):
        os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
        import mlflow

        self.mlflow, self.columns = mlflow, columns
        mlflow.set_tracking_uri(f"file:{home}")
        mlflow.set_experiment("bench")
        mlflow.start_run()

    def log(self, step, values):
        self.mlflow.log_metrics(numbers(self.columns, values), step=step)

    def finish(self):
        self.mlflow.end_run()

    @staticmethod
    def rows(home):
        paths = glob.glob(f"{home}/*/*/metrics/throughput_samples_per_sec")
        return sum(open(path, "rb").read().count(b"\n") for path in paths)


PEERS = {
    "original": Original,
    "csv": Csv,
    "sqlite3": Sqlite,
    "pyarrow": PyarrowWriter,
    "pandas": PandasRewrite,
    "tensorboardx": TensorboardX,
    "wandb": WandbOffline,
    "trackio": Trackio,
    "mlflow": Mlflow,
}


class SilentOutput:
    """Keeps what a tool prints off our output."""

    def __enter__(self):
        self.before, sys.stdout = sys.stdout, open(os.devnull, "w")

    def __exit__(self, *_):
        sys.stdout.close()
        sys.stdout = self.before


def original_storage():
    """Its top package imports a quantum SDK, so an empty one stands in for that."""
    if "q_store" not in sys.modules:
        package = types.ModuleType("q_store")
        package.__path__ = [os.path.join(sysconfig.get_paths()["purelib"], "q_store")]
        sys.modules["q_store"] = package
    import q_store.storage

    return q_store.storage


def numbers(columns, values):
    return {column: value for column, value in zip(columns, values) if isinstance(value, (int, float))}


def rows_of_parquet(path):
    """As pandas would find it: a file that cannot be opened has no rows."""
    import pyarrow.parquet

    try:
        return pyarrow.parquet.read_metadata(path).num_rows
    except (OSError, pyarrow.ArrowInvalid):
        return 0


def records_of_log(data):
    """The records of a log in LevelDB's format behind a header of 7 bytes."""
    block, at, parts = 32_768, 7, []
    while at + 7 <= len(data):
        left = block - at % block
        if left < 7:
            at += left
            continue
        length, kind = struct.unpack_from("<HB", data, at + 4)
        if kind == 0 or at + 7 + length > len(data):
            return
        parts.append(data[at + 7 : at + 7 + length])
        at += 7 + length
        # 1 is a whole record, 2 to 4 are its first, middle and last part.
        if kind in (1, 4):
            yield b"".join(parts)
            parts = []


if __name__ == "__main__":
    # metrics_peers.py PEER DIRECTORY: prints how many rows can be read there.
    try:
        print(PEERS[sys.argv[1]].rows(sys.argv[2]))
    except (OSError, sqlite3.Error, json.JSONDecodeError):
        print(0)
