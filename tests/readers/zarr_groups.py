"""Writes checkpoints as the Python package did, without a manifest: plain Zarr groups.

zarr_groups.py DIRECTORY    makes v2-blosc, v2-default, v3-blosc, v3-default and v3-holes in it

Values follow from position: tensor number n holds n + 0.25 * i. Each has a 0-d array, a nested
optimizer, several chunks. `v3-holes` leaves out the chunks that hold nothing but zeros.
"""

import sys

import numcodecs
import numpy
import zarr

DTYPES = ["float32", "float64", "float16", "int64", "uint8", "bool", "complex64"]


def values(number, dtype, shape):
    count = int(numpy.prod(shape))
    return (number + 0.25 * numpy.arange(count)).reshape(shape).astype(dtype)


def write(path, zarr_format, blosc, holes):
    config = {"array.write_empty_chunks": not holes}
    with zarr.config.set(config):
        root = zarr.open_group(path, mode="w", zarr_format=zarr_format)
        root.attrs.update({"epoch": 7, "timestamp": 1.5, "save_duration_ms": 20.0, "val_loss": 0.25})
        root.attrs["tags"] = ["a", "b"]
        extra = {}
        if blosc and zarr_format == 2:
            extra["compressors"] = numcodecs.Blosc(cname="zstd", clevel=3)
        elif blosc:
            extra["compressors"] = zarr.codecs.BloscCodec(cname="lz4", clevel=5, shuffle="shuffle")
        model = root.create_group("model")
        for number, dtype in enumerate(DTYPES):
            data = values(number, dtype, (7, 5))
            if holes:
                data[...] = 0
                data[0, 0] = 1
            model.create_array(name=f"layer.{number}", data=data, chunks=(3, 5), **extra)
        model.create_array(name="step", data=numpy.array(42, dtype="int32"), **extra)
        state = root.create_group("optimizer").create_group("state").create_group("0")
        state.create_array(name="exp_avg", data=values(9, "float32", (4,)), **extra)


directory = sys.argv[1]
write(f"{directory}/v2-blosc", 2, True, False)
write(f"{directory}/v2-default", 2, False, False)
write(f"{directory}/v3-blosc", 3, True, False)
write(f"{directory}/v3-default", 3, False, False)
write(f"{directory}/v3-holes", 3, True, True)
