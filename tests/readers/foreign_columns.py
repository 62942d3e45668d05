"""Writes Parquet files of other programs with random options, and what is in them.

foreign_columns.py DIR SEED COUNT

Each NUMBER.parquet has a NUMBER.json beside it: the options; "columns", by name, with the kind of the values
and the values as they are stored; and "refused", the columns whose values fit into none of our types. Both are
taken from what pyarrow reads back. "file" says that the file as a whole is refused.
"""

import base64
import json
import pathlib
import random
import struct
import sys

import duckdb
import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe

ROWS = 300
CODECS = ["none", "snappy", "gzip", "brotli", "zstd", "lz4"]


def integers(bits, signed):
    low = -(1 << bits - 1) if signed else 0
    high = (1 << bits - 1 if signed else 1 << bits) - 1
    shapes = [lambda: rng.randint(low, high), lambda: rng.randint(0, 9), lambda: high, lambda: low]
    return rng.choice([shapes[:1], shapes[1:2], shapes[2:], shapes])


def texts():
    words = ["", "warm-up done", "ü", "a text that is longer than what fits inside a value", "x" * 5000]
    shapes = [
        lambda: rng.choice(words),
        lambda: f"/data/run_001/shard-{rng.randint(0, 9999):05}",
        lambda: "".join(chr(rng.randint(32, 0x2FF)) for _ in range(rng.randint(0, 40))),
        lambda: "the same",
    ]
    return [rng.choice(shapes)]


def floats():
    special = [0.0, -0.0, float("inf"), float("-inf"), float("nan"), 0.5, 1e300, 1e-320]
    return [rng.choice([rng.random, lambda: rng.choice(special), lambda: 0.25])]


# Name, type, makers of values, and whether our reader takes it.
def column_kinds():
    small = lambda: rng.randint(0, 1 << 20)
    # The first version of the format has no nanoseconds, and pyarrow does not round.
    moment = lambda: rng.randint(-(1 << 40), 1 << 40) * 1000
    of_day = lambda: rng.randint(0, 86_399_999)
    signed = [(f"int{b}", pa.int64() if b == 64 else getattr(pa, f"int{b}")(), integers(b, True)) for b in (8, 16, 32, 64)]
    unsigned = [(f"uint{b}", getattr(pa, f"uint{b}")(), integers(b if b < 64 else 63, False)) for b in (8, 16, 32, 64)]
    read = [
        ("flag", pa.bool_(), [lambda: rng.random() < 0.3]),
        ("half", pa.float16(), [lambda: rng.choice([0.5, -2.0, 65504.0, 6e-8, 0.0, float("inf"), 0.333])]),
        ("float", pa.float32(), [lambda: rng.choice([rng.random(), 1e-40, float("inf"), 0.0, 3.5])]),
        ("double", pa.float64(), floats()),
        ("text", pa.string(), texts()),
        ("large", pa.large_string(), texts()),
        ("category", pa.dictionary(pa.int32(), pa.string()), texts()),
        ("date", pa.date32(), [small]),
        ("ms", pa.timestamp("ms"), [moment]),
        ("us", pa.timestamp("us"), [moment]),
        ("ns", pa.timestamp("ns"), [moment]),
        ("utc", pa.timestamp(rng.choice(["ms", "us", "ns"]), "UTC"), [moment]),
        ("zone", pa.timestamp("us", "Europe/Berlin"), [moment]),
        ("time", pa.time32("ms"), [of_day]),
        ("time_us", pa.time64("us"), [of_day]),
        ("nothing", pa.null(), [lambda: None]),
    ]
    elements = floats()
    of_floats = [lambda: [rng.choice(elements)() for _ in range(rng.choice([0, 1, 2, 60]))]]
    read += [
        ("list", pa.list_(pa.float64()), of_floats),
        ("list32", pa.list_(pa.float32()), [lambda: [rng.choice([0.1, -0.0, 3.5, float("nan")])] * rng.randint(0, 9)]),
        ("large_list", pa.large_list(pa.float64()), of_floats),
        ("three", pa.list_(pa.float64(), 3), [lambda: [rng.random(), 0.5, float("inf")]]),
        ("never", pa.list_(pa.field("item", pa.float64(), False)), of_floats),
    ]
    refused = [
        ("holes", pa.list_(pa.float64()), [lambda: [1.0, None]]),
        ("ints", pa.list_(pa.int64()), [lambda: [1] * rng.randint(0, 3)]),
        ("texts", pa.list_(pa.string()), [lambda: ["a"]]),
        ("lists", pa.list_(pa.list_(pa.float64())), [lambda: [[1.0], []]]),
        ("structs", pa.list_(pa.struct([("a", pa.float64())])), [lambda: [{"a": 1.0}]]),
        ("struct", pa.struct([("a", pa.int64())]), [lambda: {"a": 1}]),
        ("map", pa.map_(pa.string(), pa.int64()), [lambda: [("k", 1)]]),
        ("decimal", pa.decimal128(9, 2), [lambda: None]),
        ("bytes", pa.binary(), [lambda: b"\xff\x00"]),
        ("fixed", pa.binary(5), [lambda: b"12345"]),
        ("beyond", pa.uint64(), [lambda: (1 << 64) - 1]),
    ]
    return [(*kind, True) for kind in signed + unsigned + read], [(*kind, False) for kind in refused]


def array(kind, makers, nullable):
    chance = rng.choice([0.0, 0.2, 0.2, 1.0]) if nullable else 0.0
    values = [None if rng.random() < chance else rng.choice(makers)() for _ in range(ROWS)]
    if pa.types.is_temporal(kind):
        storage = pa.int32() if kind.bit_width == 32 else pa.int64()
        return pa.array(values, storage).cast(kind)
    if pa.types.is_float16(kind):
        return pa.array(values, pa.float32()).cast(kind)
    return pa.array(values, kind)


ENCODINGS = {
    "bool": ["PLAIN", "RLE"],
    "int": ["PLAIN", "DELTA_BINARY_PACKED", "BYTE_STREAM_SPLIT"],
    "float": ["PLAIN", "BYTE_STREAM_SPLIT"],
    "text": ["PLAIN", "DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY"],
}


def physical(kind):
    if pa.types.is_boolean(kind):
        return "bool"
    if pa.types.is_floating(kind):
        return "float"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return "text"
    return "int" if pa.types.is_integer(kind) or pa.types.is_temporal(kind) else None


def pyarrow_file(path):
    read, refused = column_kinds()
    kinds = rng.sample(read, rng.randint(1, 8)) + (rng.sample(refused, rng.randint(1, 3)) if rng.random() < 0.3 else [])
    fields, arrays = [], []
    for name, kind, makers, _ in kinds:
        nullable = name in ("nothing", "decimal") or rng.random() < 0.7
        fields.append(pa.field(name, kind, nullable))
        arrays.append(array(kind, makers, nullable))
    table = pa.table(arrays, schema=pa.schema(fields))
    options = {
        "version": rng.choice(["1.0", "2.4", "2.6"]),
        "data_page_version": rng.choice(["1.0", "2.0"]),
        "compression": rng.choice(CODECS),
        "row_group_size": rng.choice([ROWS, 100, 7]),
        "data_page_size": rng.choice([1 << 20, 100, 1]),
        "write_batch_size": rng.choice([1024, 10]),
        "write_statistics": rng.random() < 0.5,
        "write_page_index": rng.random() < 0.3,
        "write_page_checksum": rng.random() < 0.3,
        "use_dictionary": rng.random() < 0.5,
        "store_schema": False,
        "use_deprecated_int96_timestamps": rng.random() < 0.1,
        "use_compliant_nested_type": rng.random() < 0.7,
    }
    is_96 = lambda kind: options["use_deprecated_int96_timestamps"] and pa.types.is_timestamp(kind)
    if options["use_dictionary"]:
        options["dictionary_pagesize_limit"] = rng.choice([1 << 20, 64])
    else:
        encodings = {}
        for field in fields:
            known = physical(field.type)
            # Booleans as runs are not for pages of version 1.
            if known and not is_96(field.type) and not (known == "bool" and options["data_page_version"] == "1.0"):
                encodings[field.name] = rng.choice(ENCODINGS[known])
            if field.name in ("list", "large_list", "list32"):
                element = "element" if options["use_compliant_nested_type"] else "item"
                encodings[f"{field.name}.list.{element}"] = rng.choice(ENCODINGS["float"])
        options["column_encoding"] = encodings
    pq.write_table(table, path, **options)
    return options, [name for name, kind, _, takes in kinds if not takes or is_96(kind)]


def duckdb_file(path):
    options = {
        "PARQUET_VERSION": rng.choice(["V1", "V2"]),
        "COMPRESSION": "'" + rng.choice(["uncompressed", "snappy", "gzip", "zstd", "brotli", "lz4_raw"]) + "'",
        "ROW_GROUP_SIZE": rng.choice([2048, 122880]),
    }
    rows = rng.choice([300, 5000])
    repeats = rng.choice([3, 10**9])
    select = f"""SELECT i::BIGINT AS step, i::INTEGER AS small, (i % 250)::UTINYINT AS tiny, i::UBIGINT AS unsigned,
        (i / 7)::DOUBLE AS loss, (i / 3)::FLOAT AS loss32, i % 3 = 0 AS flag,
        CASE WHEN i % 5 = 0 THEN NULL ELSE 'note ' || (i % {repeats}) END AS note,
        DATE '2020-01-01' + i::INTEGER % 100 AS day, TIMESTAMP '2020-01-01 00:00:00' + INTERVAL (i) SECOND AS at,
        TIME '12:00:00' AS noon, TIMESTAMPTZ '2020-01-01 00:00:00+00' AS tz,
        CASE i % 2 WHEN 0 THEN 'a' ELSE 'b' END::ENUM ('a', 'b') AS choice,
        [i / 7, 0.5]::DOUBLE[] AS list, CASE i % 3 WHEN 0 THEN NULL WHEN 1 THEN [] ELSE [i / 3] END::FLOAT[] AS list32,
        [i, i] AS ints, 0.5::DECIMAL(4, 1) AS decimal, uuid() AS id FROM range({rows}) t(i)"""
    listed = ", ".join(f"{name} {value}" for name, value in options.items())
    duckdb.sql(f"COPY ({select}) TO '{path}' (FORMAT parquet, {listed})")
    return options, ["ints", "decimal", "id"]


def polars_file(path):
    options = {
        "compression": rng.choice(["uncompressed", "snappy", "gzip", "zstd", "brotli", "lz4"]),
        "row_group_size": rng.choice([None, 100]),
        "statistics": rng.random() < 0.5,
    }
    frame = polars.DataFrame(
        {
            "step": range(ROWS),
            "small": polars.Series(range(ROWS), dtype=polars.Int16),
            "unsigned": polars.Series(range(ROWS), dtype=polars.UInt32),
            "loss": [n / 7 if n % 3 else None for n in range(ROWS)],
            "loss32": polars.Series([n / 7 for n in range(ROWS)], dtype=polars.Float32),
            "note": [f"note {n}" for n in range(ROWS)],
            "kind": polars.Series(["a", "b", None] * (ROWS // 3), dtype=polars.Categorical),
            "flag": [n % 2 == 0 for n in range(ROWS)],
            "list": [[n / 4] * (n % 4) if n % 5 else None for n in range(ROWS)],
            "ints": [[n, n] for n in range(ROWS)],
        }
    )
    frame = frame.with_columns(at=polars.lit("2020-01-01").str.to_datetime("%Y-%m-%d"))
    # Otherwise no file of polars would be continued.
    if rng.random() < 0.5:
        frame = frame.drop("ints")
    frame.write_parquet(path, **options)
    return options, [name for name in ["ints"] if name in frame.columns]


class Keys(pe.KmsClient):
    """No key service: what is encrypted need not be secret."""

    def __init__(self, _):
        super().__init__()

    def wrap_key(self, key, master):
        return base64.b64encode(master.encode() + key)

    def unwrap_key(self, wrapped, master):
        return base64.b64decode(wrapped)[len(master.encode()):]


def encrypted_file(path):
    plaintext_footer = rng.random() < 0.5
    config = pe.EncryptionConfiguration(
        footer_key="footer", column_keys={"column": ["loss"]}, plaintext_footer=plaintext_footer
    )
    factory = pe.CryptoFactory(lambda connection: Keys(connection))
    properties = factory.file_encryption_properties(pe.KmsConnectionConfig(), config)
    table = pa.table({"step": [1, 2, 3], "loss": [0.5, 0.25, 0.125]})
    with pq.ParquetWriter(path, table.schema, encryption_properties=properties) as writer:
        writer.write_table(table)
    return {"plaintext_footer": plaintext_footer}, None


def summary_file(path):
    table, collected = pa.table({"step": [1, 2, 3]}), []
    pq.write_table(table, path, metadata_collector=collected)
    collected[0].set_file_path("part-0.parquet")
    pq.write_metadata(table.schema, path, metadata_collector=collected)
    return {}, None


def stored(column):
    """The kind and the values of a column, as integers, bits, texts or flags."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.cast(pa.string())
        kind = column.type
    if pa.types.is_temporal(kind):
        column = column.cast(pa.int32() if kind.bit_width == 32 else pa.int64())
        kind = column.type
    if pa.types.is_null(kind):
        return "int", [None] * len(column)
    values = column.to_pylist()
    if pa.types.is_boolean(kind):
        return "bool", values
    if pa.types.is_integer(kind):
        return "int", [None if value is None else str(value) for value in values]
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        bits = lambda value: str(struct.unpack("<Q", struct.pack("<d", value))[0])
        return "list", [None if value is None else [bits(float(v)) for v in value] for value in values]
    if pa.types.is_floating(kind):
        bits = lambda value: str(struct.unpack("<Q", struct.pack("<d", value))[0])
        return "float", [None if value is None else bits(float(value)) for value in values]
    return "text", values


out, seed, count = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
WRITERS = [pyarrow_file] * 12 + [duckdb_file] * 2 + [polars_file] * 2 + [encrypted_file, summary_file]
for number in range(count):
    rng = random.Random(f"{seed}-{number}")
    # The rare ones come at least once.
    writer = WRITERS[-1 - number] if number < 6 else rng.choice(WRITERS)
    path = out / f"{number}.parquet"
    options, refused = writer(str(path))
    found = {"options": f"{writer.__name__} {options}", "file": refused is None, "columns": {}, "refused": refused or []}
    if refused is not None:
        table = pq.ParquetFile(path).read()
        for name in table.column_names:
            if name not in found["refused"]:
                kind, values = stored(table.column(name))
                found["columns"][name] = {"kind": kind, "values": values}
    (out / f"{number}.json").write_text(json.dumps(found))
