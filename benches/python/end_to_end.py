"""One simulated training run with a Python peer: end_to_end.py PLAN.

PLAN is the JSON file that the Rust contenders read, too, with the fields of `end_to_end/plan.rs`; the
loop is the same as in `end_to_end/training.rs`. Writes the outcome where the plan says.
"""

import array
import json
import os
import resource
import struct
import sys
import time

import numpy
from metrics_peers import PEERS


def load_model(plan):
    data, start, model = numpy.fromfile(plan["model_bytes"], dtype="<f4"), 0, {}
    for name, shape in json.load(open(plan["model_index"])):
        count = int(numpy.prod(shape))
        model[name] = data[start : start + count].reshape(shape)
        start += count
    return model


def save_plainly(home, epoch, model):
    """What one writes without a checkpointer: one file, synced, renamed, directory synced."""
    path = f"{home}/model.npz"
    with open(path + ".tmp", "wb") as file:
        numpy.savez(file, **model)
        file.flush()
        os.fsync(file.fileno())
    os.rename(path + ".tmp", path)
    directory = os.open(home, os.O_RDONLY)
    os.fsync(directory)
    os.close(directory)


def percentile(values, share):
    return values[min(int(len(values) * share), len(values) - 1)]


def main():
    plan = json.load(open(sys.argv[1]))
    workload = json.load(open(plan["workload"]))
    columns, steps = workload["columns"], workload["steps"]
    at_step, at_time = columns.index("step"), columns.index("timestamp")
    model = load_model(plan)
    home, checkpoints_home = f"{plan['dir']}/metrics", f"{plan['dir']}/checkpoints"
    os.makedirs(home)
    os.makedirs(checkpoints_home)
    peer = PEERS[plan["contender"]](home, columns)
    save = getattr(peer, "checkpoint", save_plainly)
    progress = os.open(plan["progress"], os.O_WRONLY | os.O_CREAT)

    rate, seconds = plan["rate"], plan["seconds"]
    burst = max(rate // 1_000, 1)
    every = burst / rate
    calls, saves = array.array("q"), []
    cpu_before = time.process_time() - time.thread_time()
    started = due = time.perf_counter()
    step, next_save = 0, 1
    while True:
        now = time.perf_counter()
        if now - started >= seconds:
            break
        time.sleep(max(due - now, 0))
        # More than 50 bursts behind: it cannot keep up, and goes on from here.
        due = max(due, now - 50 * every) + every
        for _ in range(burst):
            values = list(steps[step % len(steps)])
            values[at_step], values[at_time] = step, time.time()
            before = time.perf_counter_ns()
            peer.log(step, values)
            calls.append(time.perf_counter_ns() - before)
            step += 1
        os.pwrite(progress, struct.pack("<Q", step), 0)
        if plan["checkpoints"] and now - started >= next_save * seconds / (plan["checkpoints"] + 1):
            before = time.perf_counter()
            save(checkpoints_home, next_save, model)
            saves.append(time.perf_counter() - before)
            next_save += 1
    took = time.perf_counter() - started
    before = time.perf_counter()
    peer.finish()
    finish = time.perf_counter() - before
    cpu = max(time.process_time() - time.thread_time() - cpu_before, 0.0)
    # A service process counts when it has ended and was waited for.
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    calls, saves = sorted(calls), sorted(saves)
    outcome = {
        "steps": step,
        "seconds": took,
        "log_us": [percentile(calls, share) / 1e3 for share in (0.5, 0.99, 0.999, 1.0)],
        "checkpoints": len(saves),
        "checkpoint_ms": [1e3 * (percentile(saves, share) if saves else 0.0) for share in (0.5, 1.0)],
        "storage_seconds": sum(calls) / 1e9 + sum(saves),
        "background_seconds": cpu + children.ru_utime + children.ru_stime,
        "finish_seconds": finish,
    }
    with open(plan["outcome"], "w") as file:
        json.dump(outcome, file)


main()
