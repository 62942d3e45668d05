"""Saves and loads the bench's model with torch.save or DCP, peers that zarr_peer.py does not know.

torch_peer.py save BYTES INDEX             reads lines "HOW PATH" and answers each with seconds; HOW is
                                           save, save-unsynced, dcp, or dcp-async, whose seconds are
                                           those until the caller may go on
torch_peer.py load HOW PATH BYTES INDEX    prints the seconds of one load; HOW is save or dcp

BYTES are the tensors one behind the other, INDEX is JSON: a list of [name, shape], all float32.
torch.save syncs nothing; save does for it what a durable file needs. DCP syncs its two files by
default, but no directory. What was loaded is compared with BYTES, bit by bit, behind the clock.
"""

import json
import math
import os
import shutil
import sys
import time
import warnings

# That there is no numpy, and one process only, is meant so.
warnings.simplefilter("ignore")

import torch
import torch.distributed.checkpoint as dcp


def tensors(bytes_path, index_path):
    """Each in memory of its own: views of one would be saved as one."""
    index = json.load(open(index_path))
    counts = [math.prod(shape) for _, shape in index]
    data = torch.from_file(bytes_path, size=sum(counts), dtype=torch.float32)
    parts = data.split(counts)
    return {name: part.reshape(shape).clone() for (name, shape), part in zip(index, parts)}


def sync(path):
    file = os.open(path, os.O_RDONLY)
    os.fsync(file)
    os.close(file)


def save(model, path):
    """Replaces the file durably."""
    started = time.perf_counter()
    torch.save(model, path + ".tmp")
    sync(path + ".tmp")
    os.rename(path + ".tmp", path)
    sync(os.path.dirname(path))
    return time.perf_counter() - started


def save_unsynced(model, path):
    if os.path.exists(path):
        os.remove(path)
    started = time.perf_counter()
    torch.save(model, path)
    return time.perf_counter() - started


def save_with_dcp(model, path):
    shutil.rmtree(path, ignore_errors=True)
    started = time.perf_counter()
    dcp.save(model, storage_writer=dcp.FileSystemWriter(path))
    return time.perf_counter() - started


def save_with_dcp_later(model, path):
    shutil.rmtree(path, ignore_errors=True)
    started = time.perf_counter()
    saved = dcp.async_save(model, storage_writer=dcp.FileSystemWriter(path))
    took = time.perf_counter() - started
    saved.result()
    return took


SAVES = {
    "save": save,
    "save-unsynced": save_unsynced,
    "dcp": save_with_dcp,
    "dcp-async": save_with_dcp_later,
}


def load(how, path, expected):
    if how == "save":
        started = time.perf_counter()
        loaded = torch.load(path, weights_only=True, mmap=False)
        took = time.perf_counter() - started
    else:
        # DCP loads into tensors that are there; filled, so that their memory is there, too.
        loaded = {name: torch.full_like(tensor, math.nan) for name, tensor in expected.items()}
        started = time.perf_counter()
        dcp.load(loaded, storage_reader=dcp.FileSystemReader(path))
        took = time.perf_counter() - started
    assert loaded.keys() == expected.keys(), loaded.keys()
    for name, tensor in expected.items():
        assert torch.equal(loaded[name].view(torch.int32), tensor.view(torch.int32)), name
    return took


def main():
    if sys.argv[1] == "load":
        print(load(*sys.argv[2:4], tensors(*sys.argv[4:])))
        return
    model = tensors(*sys.argv[2:])
    for line in sys.stdin:
        how, path = line.strip().split(maxsplit=1)
        took = SAVES[how](model, path)
        # What was left unsynced is not to be written down in somebody else's turn.
        os.sync()
        print(took, flush=True)


main()
