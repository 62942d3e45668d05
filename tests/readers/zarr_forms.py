"""Writes groups in the forms that Zarr allows, some of which Q-Store can read and some of which it cannot.

zarr_forms.py DIRECTORY    makes DIRECTORY/read/NAME and DIRECTORY/refused/NAME

Each has the array `model/w`. In those that can be read, element number i in C order is i, but for
`v3-sharded-holes`, whose first 60 elements are 0.
"""

import sys
import warnings

import numcodecs
import numpy
import zarr

warnings.simplefilter("ignore")
SHAPE = (7, 5, 4)
DATA = numpy.arange(140).reshape(SHAPE)


def group(path, zarr_format, attributes=None):
    root = zarr.open_group(path, mode="w", zarr_format=zarr_format)
    root.attrs.update({"epoch": 7, **(attributes or {})})
    return root.create_group("model")


def write(name, zarr_format, data=DATA, dtype="float32", attributes=None, **how):
    model = group(f"{sys.argv[1]}/{name}", zarr_format, attributes)
    how = {"chunks": (3, 2, 4), **how}
    attributes = how.pop("of_array", {})
    # Chunks that hold nothing but the fill value are written, but for one group.
    with zarr.config.set({"array.write_empty_chunks": not name.endswith("holes")}):
        array = model.create_array(name="w", shape=data.shape, dtype=dtype, **how)
        array[...] = data.astype(dtype)
    array.attrs.update(attributes)


# Order F: one chunk and several, chunks that do not divide the shape, one and no dimension.
for order in "CF":
    write(f"read/v2-{order}", 2, order=order)
    write(f"read/v2-{order}-whole", 2, order=order, chunks=SHAPE, dtype=">i4")
    write(f"read/v2-{order}-flat", 2, data=DATA.reshape(-1), order=order, chunks=(50,))
write("read/v2-F-one", 2, data=DATA[:1, 0, 0], order="F", chunks=(1,))
write("read/v2-F-scalar", 2, data=DATA[0, 0, 0], order="F", chunks=())
zlib = numcodecs.Zlib(level=5)
write("read/v2-F-zlib", 2, order="F", compressors=zlib, dtype="float64")

for order in [(2, 1, 0), (1, 2, 0), (0, 1, 2)]:
    transpose = zarr.codecs.TransposeCodec(order=order)
    write(f"read/v3-transpose-{order}", 3, filters=[transpose])
    write(f"read/v3-transpose-sharded-{order}", 3, filters=[transpose], shards=(6, 4, 4))

write("read/v3-sharded", 3, shards=(6, 4, 4))
write("read/v3-sharded-raw", 3, shards=(6, 6, 4), compressors=None, dtype="int64")
location = {"shape": (6, 4, 4), "index_location": "start"}
write("read/v3-sharded-start", 3, shards=location)
blosc = zarr.codecs.BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle")
write("read/v3-sharded-blosc", 3, shards=(9, 6, 4), compressors=blosc)
# The part that holds nothing but the fill value is left out of its shard.
write("read/v3-sharded-holes", 3, data=DATA * (DATA >= 60), shards=(6, 4, 4), fill_value=0)
write("read/v3-sharded-one", 3, data=DATA.reshape(-1), chunks=(1,), shards=(70,))
write("read/v3-sharded-nan-fill", 3, shards=(6, 4, 4), fill_value=float("nan"))

words = {
    "best": float("inf"), "worst": float("-inf"), "loss": float("nan"),
    "text": "NaN, Infinity", "nested": {"list": [1.5, float("nan"), {"x": float("-inf")}]},
}
for version in (2, 3):
    write(f"read/v{version}-words", version, attributes=words, of_array=words)
    write(f"read/v{version}-nan-fill", version, fill_value=float("nan"))

# Codecs and element types that this version does not have.
for codec in [numcodecs.LZ4(), numcodecs.BZ2(), numcodecs.LZMA()]:
    write(f"refused/v2-{codec.codec_id}", 2, compressors=codec)
delta = numcodecs.Delta(dtype="<i4")
write("refused/v2-delta", 2, filters=[delta], dtype="int32")
write("refused/v2-F-lz4", 2, order="F", compressors=numcodecs.LZ4())
for name in ["BZ2", "LZ4"]:
    codec = getattr(__import__("zarr.codecs.numcodecs", fromlist=[name]), name)()
    write(f"refused/v3-{name.lower()}", 3, compressors=codec)
    write(f"refused/v3-sharded-{name.lower()}", 3, compressors=codec, shards=(6, 4, 4))
for version in (2, 3):
    times = group(f"{sys.argv[1]}/refused/v{version}-datetime64", version)
    days = numpy.arange(4).astype("datetime64[D]")
    times.create_array(name="w", shape=(4,), dtype=days.dtype, chunks=(2,))[...] = days
    texts = group(f"{sys.argv[1]}/refused/v{version}-text", version)
    texts.create_array(name="w", shape=(2,), dtype="<U5", chunks=(2,))[...] = ["a", "b"]
    structs = group(f"{sys.argv[1]}/refused/v{version}-struct", version)
    pair = numpy.dtype([("a", "<i4"), ("b", "<f8")])
    structs.create_array(name="w", shape=(2,), dtype=pair, chunks=(2,))
