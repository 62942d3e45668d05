"""Reads a live dataset of ranks again and again with one engine.

live.py ENGINE DIR PROGRESS READS GAP SECONDS

Half of the READS are planned (the directory is listed) GAP seconds before they run; after SECONDS no more are
begun. Rank r holds the numbers from 0 in its column `n`, flushed a hundred at a time, and PROGRESS says how many of
each rank were flushed at least. A read must find, for each rank, what some version of each part holds: the first k
hundred numbers, at least as many as were flushed when it was planned, if the engine sees open parts.

What an engine may have planned on stays in place for 2 × GAP seconds. On a busy machine a read may come later than
that; then it may fail.

Prints a line of JSON for each read: {"case": NAME, "outcome": "right" | "not found" | "late" | "failed" | "wrong",
"message": …}. Only a part that was sealed between planning and reading may be not found.
"""

import json
import os
import sys
import time
from collections import deque

BATCH = 100
SEES_OPEN_PARTS = {"duckdb", "polars", "datafusion"}
NOT_FOUND = ["no such file", "not found", "notfound", "filenotfound", "does not exist", "not_exist"]


class Duckdb:
    def __init__(self, path):
        self.path = path

    def plan(self):
        import duckdb

        connection = duckdb.connect()
        connection.execute(
            "prepare planned as select rank, count(*), sum(n), max(n) from "
            f"read_parquet('{self.path}/**/*.parquet', hive_partitioning = true) group by rank"
        )
        return lambda: connection.execute("execute planned").fetchall()


class Polars:
    def __init__(self, path):
        self.path = path

    def plan(self):
        import polars

        frame = polars.scan_parquet(f"{self.path}/**/*.parquet", hive_partitioning=True)
        frame.collect_schema()
        n = polars.col("n")
        frame = frame.group_by("rank").agg(n.count(), n.sum().alias("sum"), n.max().alias("max"))
        return lambda: frame.collect().rows()


class Pyarrow:
    def __init__(self, path):
        self.path = path

    def plan(self):
        import pyarrow.dataset

        dataset = pyarrow.dataset.dataset(self.path, partitioning="hive")
        if not dataset.files:
            return lambda: []
        n = [("n", "count"), ("n", "sum"), ("n", "max")]

        def run():
            table = dataset.to_table(columns=["rank", "n"]).group_by("rank").aggregate(n)
            names = ["rank", "n_count", "n_sum", "n_max"]
            return [tuple(row[name] for name in names) for row in table.to_pylist()]

        return run


class Datafusion:
    def __init__(self, path):
        self.path = path

    def plan(self):
        import datafusion
        import pyarrow

        context = datafusion.SessionContext()
        partitions = [("rank", pyarrow.int32())]
        context.register_parquet("m", self.path, table_partition_cols=partitions)
        frame = context.sql("select rank, count(*) as c, sum(n) as s, max(n) as m from m group by rank")

        def run():
            rows = [row for batch in frame.collect() for row in batch.to_pylist()]
            return [(row["rank"], row["c"], row["s"], row["m"]) for row in rows]

        return run


class Spark:
    def __init__(self, path):
        from pyspark.sql import SparkSession

        self.path = path
        builder = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
        builder = builder.config("spark.ui.showConsoleProgress", "false")
        builder = builder.config("spark.driver.memory", "1g").config("spark.sql.shuffle.partitions", "2")
        self.session = builder.getOrCreate()
        self.session.sparkContext.setLogLevel("OFF")

    def plan(self):
        from pyspark.sql import functions

        try:
            frame = self.session.read.parquet(self.path)
        except Exception as error:
            if "UNABLE_TO_INFER_SCHEMA" in str(error):
                return lambda: []  # nothing is sealed yet
            raise
        n = [functions.count("n"), functions.sum("n"), functions.max("n")]
        frame = frame.groupBy("rank").agg(*n)
        return lambda: [tuple(row) for row in frame.collect()]


def sealed(path):
    names = set()
    for rank in os.listdir(path):
        listed = os.listdir(os.path.join(path, rank))
        names |= {(rank, name) for name in listed if not name.startswith(("_", "."))}
    return names


class Reads:
    def __init__(self, engine, path, progress, gap):
        self.name, self.path, self.progress, self.gap = engine, path, progress, gap
        self.engine = globals()[engine.capitalize()](path)
        self.seen = {}
        self.count = 0

    def flushed(self):
        if self.name not in SEES_OPEN_PARTS:
            return dict(self.seen)
        with open(self.progress) as file:
            return {int(rank): rows for rank, rows in json.load(file).items()}

    def plan(self, kind):
        read = {"kind": kind, "at": time.monotonic(), "sealed": sealed(self.path), "least": self.flushed()}
        try:
            read["run"] = self.engine.plan()
        except Exception as error:
            read["error"] = error
        return read

    def check(self, rows, least):
        found = {}
        for rank, count, total, most in rows:
            found[int(rank)] = int(count)
            if count % BATCH or most != count - 1 or total != count * (count - 1) / 2:
                return f"rank {rank}: {count} rows up to {most}, sum {total}"
        for rank, rows in least.items():
            if found.get(rank, 0) < rows:
                return f"rank {rank}: {found.get(rank, 0)} rows of {rows} that were there before"
        self.seen = found
        return None

    def run(self, read):
        outcome, message = "right", ""
        try:
            if "error" in read:
                raise read["error"]
            wrong = self.check(read["run"](), read["least"])
            if wrong:
                outcome, message = "wrong", wrong
        except Exception as error:
            age = time.monotonic() - read["at"]
            message = f"after {age:.1f} s, {type(error).__name__}: {error}"[:600]
            is_not_found = any(text in message.lower() for text in NOT_FOUND)
            was_sealed = sealed(self.path) != read["sealed"]
            outcome = "not found" if is_not_found and was_sealed else "failed"
            if outcome == "failed" and age > 2 * self.gap:
                outcome = "late"
        self.count += 1
        name = f"{self.name}/{read['kind']}/{self.count}"
        print(json.dumps({"case": name, "outcome": outcome, "message": message}), flush=True)


def main():
    engine, path, progress, reads, gap, seconds = sys.argv[1:]
    reads, gap = int(reads), float(gap)
    all_reads = Reads(engine, path, progress, gap)
    # Spark takes a while to start.
    end = time.monotonic() + float(seconds)
    planned, left = deque(), reads // 2
    while (left or planned) and all_reads.count < reads:
        while planned and planned[0]["at"] + gap <= time.monotonic():
            all_reads.run(planned.popleft())
        if time.monotonic() > end:
            left = 0
        if left:
            left -= 1
            planned.append(all_reads.plan("planned"))
            all_reads.run(all_reads.plan("at once"))
            # Spread over the time, so that parts are sealed meanwhile.
            time.sleep(min(3.0, max(0.0, (end - time.monotonic()) / max(left, 1))))
        elif planned:
            time.sleep(max(0.0, planned[0]["at"] + gap - time.monotonic()))
    os._exit(0)


main()
