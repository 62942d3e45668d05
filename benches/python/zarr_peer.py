"""Saves and loads the bench's model with zarr-python or TensorStore, the peers it is measured beside.

zarr_peer.py save BYTES INDEX    reads lines "HOW DIRECTORY" and answers each with seconds; HOW is
                                 lz4 or zstd with zarr-python, or tensorstore (zstd)
zarr_peer.py load DIRECTORY      prints the seconds of one load

BYTES are the tensors one behind the other, INDEX is JSON: a list of [name, shape], all float32.
zarr-python syncs nothing, and has no way to ask for it; TensorStore syncs each file by default.
"""

import json
import os
import shutil
import sys
import time

import numpy
import tensorstore
import zarr


def tensors(bytes_path, index_path):
    data = numpy.fromfile(bytes_path, dtype="<f4")
    start = 0
    for name, shape in json.load(open(index_path)):
        count = int(numpy.prod(shape))
        yield name, data[start : start + count].reshape(shape)
        start += count


def save(model, codec, path):
    shutil.rmtree(path, ignore_errors=True)
    cname, shuffle = {"lz4": ("lz4", "bitshuffle"), "zstd": ("zstd", "shuffle")}[codec]
    started = time.perf_counter()
    group = zarr.open_group(path, mode="w").create_group("model")
    for name, array in model:
        compressor = zarr.codecs.BloscCodec(cname=cname, clevel=3, shuffle=shuffle)
        group.create_array(name=name, data=array, compressors=compressor)
    return time.perf_counter() - started


def save_with_tensorstore(model, path):
    shutil.rmtree(path, ignore_errors=True)
    started = time.perf_counter()
    blosc = {"cname": "zstd", "clevel": 3, "shuffle": "shuffle", "typesize": 4, "blocksize": 0}
    codecs = [
        {"name": "bytes", "configuration": {"endian": "little"}},
        {"name": "blosc", "configuration": blosc},
    ]
    writes = []
    for name, array in model:
        store = {"driver": "file", "path": f"{path}/model/{name}/"}
        options = {"dtype": tensorstore.float32, "shape": array.shape, "create": True}
        spec = {"driver": "zarr3", "kvstore": store, "metadata": {"codecs": codecs}}
        layout = tensorstore.ChunkLayout(chunk_shape=array.shape)
        array_there = tensorstore.open(spec, chunk_layout=layout, **options).result()
        writes.append(array_there.write(array))
    for write in writes:
        write.result()
    return time.perf_counter() - started


def load(path):
    started = time.perf_counter()
    group = zarr.open_group(path, mode="r")["model"]
    arrays = {name: array[...] for name, array in group.arrays()}
    took = time.perf_counter() - started
    assert len(arrays) == 148, len(arrays)
    return took


def main():
    if sys.argv[1] == "load":
        print(load(sys.argv[2]))
        return
    model = list(tensors(sys.argv[2], sys.argv[3]))
    for line in sys.stdin:
        how, path = line.strip().split(maxsplit=1)
        took = save_with_tensorstore(model, path) if how == "tensorstore" else save(model, how, path)
        # What was left unsynced is not to be written down in somebody else's turn.
        os.sync()
        print(took, flush=True)


main()
