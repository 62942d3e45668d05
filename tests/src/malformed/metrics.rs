//! Metrics files: read by our reader, and opened by the writer, which recovers what is damaged.

use qstore::buffer::Sink;
use qstore::parquet::{Compression, Damage, MetricsLog, Values};
use qstore::schema::{Row, Timestamp};
use qstore::storage::{FileSystem, MemoryFs, read_all};
use qstore::{MetricsFile, WriterSettings};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

const PATH: &str = "/metrics.parquet";

/// The four letters at both ends of a Parquet file, and those before our footers.
const MAGIC: &[u8] = b"PAR1";
const SEAL: &[u8] = b"QSFC";

/// The program that a footer names as its writer; only in our own files are the checksums checked.
const OURS: &[u8] = b"qstore-parquet";

pub(super) fn read_as_is(bytes: &[u8]) {
    let memory = MemoryFs::new();
    put(&memory, bytes);
    if let Ok(file) = MetricsFile::open_in(Arc::new(memory.clone()), PATH) {
        let validation = file.validate().expect("damage is in what is returned");
        assert_eq!(validation.rows, file.rows());
        let mut is_whole = true;
        for field in file.fields() {
            let mut rows = 0;
            // In batches: an untrusted file need not fit into memory at once.
            for batch in file.batches(&[&field.name], 0..u64::MAX).expect("the column is there") {
                let Ok(batch) = batch else {
                    is_whole = false;
                    break;
                };
                let len = match &batch.columns[0].values {
                    Values::Bool(values) => values.len(),
                    Values::Int(values) => values.len(),
                    Values::Float(values) => values.len(),
                    Values::Text(values) => values.len(),
                    Values::List(values) => values.len(),
                    _ => batch.rows,
                };
                assert_eq!(len, batch.rows);
                // The same bytes as plain numbers, which only texts and lists are not.
                let first = batch.first_row;
                let numbers = file.numbers(&field.name, first..first + len as u64);
                if !matches!(batch.columns[0].values, Values::Text(_) | Values::List(_)) {
                    let numbers = numbers.expect("they were read as values");
                    assert_eq!(numbers.iter().count(), len);
                }
                rows += batch.rows as u64;
            }
            assert!(!is_whole || rows == file.rows(), "{rows} of {}", file.rows());
            for group in file.groups() {
                let chunks = file.chunks(&field.name, &group).expect("it is in memory");
                let rows = chunks.last().map(|chunk| chunk.rows.end);
                assert_eq!(rows, Some(group.rows.end));
            }
        }
        // What is known about values may be damaged although every value can be read.
        let is_of_values = |damage: &&Damage| {
            !["its bounds do not agree", "the table of its spans"]
                .iter()
                .any(|words| damage.reason.contains(words))
        };
        let damaged = validation.damage.iter().filter(is_of_values).count();
        let is_read = damaged == 0 && validation.unchecked.is_empty();
        let found = (&validation.damage, &validation.unchecked);
        assert_eq!(is_whole && file.unreadable().next().is_none(), is_read, "{found:?}");
    }
    write(&memory);
}

/// Continues the file, which sets a damaged one aside, widens one column and adds another.
fn write(memory: &MemoryFs) {
    let storage: Arc<dyn FileSystem> = Arc::new(memory.clone());
    let settings = WriterSettings::default().compression(Compression::NONE);
    let Ok(mut log) = MetricsLog::<Row>::open_in(storage, PATH, settings) else { return };
    let before = Sink::<Row>::stats(&log).file_rows;
    let mut row = Row::from([("n", 0.5), ("new", 1.0)]);
    row.set("list", [0.5]).set("time", Timestamp::nanos(1));
    log.append(&row, Instant::now());
    let accepted = Sink::<Row>::stats(&log).pending_rows as u64;
    if log.close().is_ok() {
        let file = MetricsFile::open_in(Arc::new(memory.clone()), PATH)
            .expect("what was closed can be opened");
        assert_eq!(file.rows(), before + accepted, "and has all its rows");
    }
}

/// The same with matching checksums, so that the code behind the checks is reached.
pub(super) fn read_sealed(bytes: &[u8]) {
    for is_ours in [true, false] {
        if let Some(sealed) = sealed(bytes, is_ours) {
            read_as_is(&sealed);
        }
    }
}

/// Writes the correct checksum before the footer. If the file should no longer count as ours, the footer names
/// another writer, whose chunks have no checksums.
pub(super) fn sealed(bytes: &[u8], is_ours: bool) -> Option<Vec<u8>> {
    let mut bytes = bytes.to_vec();
    let tail = bytes.len().checked_sub(8)?;
    let length: [u8; 4] = bytes[tail..tail + 4].try_into().ok()?;
    let footer = tail.checked_sub(u32::from_le_bytes(length) as usize)?;
    let seal = footer.checked_sub(8)?;
    if !is_ours {
        let ours = bytes[footer..tail].windows(OURS.len()).position(|window| window == OURS)?;
        bytes[footer + ours] = b'x';
    }
    let checksum = crc32c::crc32c(&bytes[footer..tail]);
    bytes[seal..seal + 4].copy_from_slice(SEAL);
    bytes[seal + 4..footer].copy_from_slice(&checksum.to_le_bytes());
    bytes[..4].copy_from_slice(MAGIC);
    bytes[tail + 4..].copy_from_slice(MAGIC);
    Some(bytes)
}

fn put(memory: &MemoryFs, bytes: &[u8]) {
    let file = memory.create_new(Path::new(PATH)).expect("the memory is empty");
    file.write_at(0, bytes).expect("the memory has room");
}

/// The golden files of other programs: texts as deltas, brotli, the old LZ4, smaller numbers, columns that
/// cannot be read.
pub(super) fn foreign_seeds() -> Vec<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/foreign");
    let files = std::fs::read_dir(dir).expect("the golden files are there");
    let files = files.map(|entry| entry.expect("it can be listed").path());
    let mut files: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|end| end == "parquet")).collect();
    files.sort();
    files.iter().map(|path| std::fs::read(path).expect("it can be read")).collect()
}

/// Small files with every type and codec, with one group and with several.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let codecs = [
        Compression::NONE,
        Compression::GZIP,
        Compression::ZSTD,
        Compression::LZ4,
        Compression::SNAPPY,
    ];
    let file = |compression: Compression, is_plain: bool| {
        let memory = MemoryFs::new();
        let settings = WriterSettings::default().compression(compression).run_id("seed");
        let settings = settings.plain_encoding(is_plain);
        let storage: Arc<dyn FileSystem> = Arc::new(memory.clone());
        let mut log =
            MetricsLog::<Row>::open_in(storage, PATH, settings).expect("a file can be created");
        for n in 0..20_i64 {
            let mut row = Row::from([("n", n)]);
            row.set("float", n as f64 / 7.0).set("flag", n % 3 == 0);
            row.set("time", Timestamp::micros(n));
            if n % 4 != 1 {
                row.set("list", vec![n as f64; n as usize % 3]);
            }
            if n % 2 == 0 {
                row.set("text", if n % 4 == 0 { "four" } else { "a longer text than fits inside" });
            }
            log.append(&row, Instant::now());
            if n == 12 {
                log.flush().expect("it can be written");
            }
        }
        if is_plain { log.flush() } else { log.close() }.expect("it can be written");
        read_all(&memory, Path::new(PATH)).expect("it is there")
    };
    codecs.into_iter().flat_map(|codec| [file(codec, false), file(codec, true)]).collect()
}
