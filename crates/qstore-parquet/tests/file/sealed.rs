//! Sealed row groups grow: whatever is in them, nothing of it changes, and each part of them can be read
//! alone.

use super::*;
use fastrand::Rng;
use qstore_parquet::{Compression, MetricsFile, Validation};

/// Rows of a full group.
const FULL: usize = 10;

fn settings() -> WriterSettings {
    WriterSettings::default()
        .row_group_rows_max(FULL)
        .twin_bytes_min(0)
        .reuse_after(std::time::Duration::ZERO)
}

fn read(memory: &MemoryFs) -> MetricsFile {
    MetricsFile::open_in(Arc::new(memory.clone()), PATH).unwrap()
}

fn check(memory: &MemoryFs, rows: &[Row]) -> Validation {
    let file = read(memory);
    let table = file.read(&[], 0..u64::MAX).unwrap();
    assert_eq!(table.rows, rows.len());
    for (number, (found, row)) in table.iter_rows().zip(rows).enumerate() {
        assert_eq!(bits(&found), bits(row), "row {number}");
    }
    file.validate().unwrap()
}

/// Regression: 30 days at 100 rows a second were 4 000 groups, whose entries every flush wrote again.
#[test]
fn groups_that_are_full_become_one_and_each_piece_is_read_alone() {
    let memory = MemoryFs::new();
    let mut log = open(&memory, settings());
    let rows: Vec<_> = (0..2_000).map(row).collect();
    for (number, row) in rows.iter().enumerate() {
        log.append(row, Instant::now());
        if number % FULL == FULL - 1 {
            log.flush().unwrap();
        }
    }
    let file = read(&memory);
    assert!(file.row_groups() < 45, "{} groups", file.row_groups());
    assert!(check(&memory, &rows).is_whole());
    let sizes = file.batches(&["n"], 0..2_000).unwrap().map(|batch| batch.unwrap().rows);
    assert!(sizes.eq([FULL; 200]), "pieces are those that were sealed");
    for start in (0..1_990).step_by(97) {
        let table = file.read(&["text", "float"], start..start + 9).unwrap();
        assert_eq!((table.first_row, table.rows), (start, 9));
        for (found, row) in table.iter_rows().zip(&rows[start as usize..]) {
            assert_eq!((found.get("text"), found.len()), (row.get("text"), 2));
        }
    }
    log.close().unwrap();
    assert!(check(&memory, &rows).is_whole());
}

/// Lists have more values than rows, and a column of lists may come late.
#[test]
fn pieces_with_lists_are_joined_and_each_is_read_alone() {
    let memory = MemoryFs::new();
    let mut log = open(&memory, settings());
    let list = |len: u64| Value::from((0..len).map(|n| n as f64).collect::<Vec<_>>());
    let row = |n: u64| {
        let mut row = Row::from([("n", n as i64)]);
        if n % 7 != 3 {
            row.set("hist", list(n % 5));
        }
        if n >= 1_205 && n.is_multiple_of(3) {
            row.set("late", list(n % 4));
        }
        row
    };
    let rows: Vec<_> = (0..2_400).map(row).collect();
    for (number, row) in rows.iter().enumerate() {
        log.append(row, Instant::now());
        if number % FULL == FULL - 1 {
            log.flush().unwrap();
        }
    }
    let file = read(&memory);
    assert!(file.row_groups() < 80, "{} groups", file.row_groups());
    assert!(check(&memory, &rows).is_whole());
    for start in (0..2_390).step_by(83) {
        let table = file.read(&["hist", "late"], start..start + 9).unwrap();
        for (found, row) in table.iter_rows().zip(&rows[start as usize..]) {
            let lists = |row: &Row| (row.get("hist").cloned(), row.get("late").cloned());
            assert_eq!(lists(&found), lists(row), "row {start}");
        }
    }
    log.close().unwrap();
    assert!(check(&memory, &rows).is_whole());
}

/// What another library reads is the same.
#[test]
fn a_group_that_was_made_of_others_is_ordinary_parquet() {
    use parquet::file::reader::FileReader;
    use parquet::file::serialized_reader::SerializedFileReader;
    let memory = MemoryFs::new();
    let mut log = open(&memory, settings());
    for n in 0..700 {
        log.append(&row(n), Instant::now());
        log.flush().unwrap();
    }
    let bytes = qstore_storage::read_all(&memory, Path::new(PATH)).unwrap();
    let reader = SerializedFileReader::new(bytes::Bytes::from(bytes)).unwrap();
    let groups = reader.metadata().row_groups();
    assert!(groups.iter().any(|group| group.num_rows() >= 16 * FULL as i64));
    for group in groups {
        for chunk in group.columns() {
            assert_eq!(chunk.num_values(), group.num_rows());
        }
    }
    let mut n = 0;
    for found in reader.get_row_iter(None).unwrap() {
        let text = found.unwrap().to_string();
        assert!(text.contains(&format!("n: {n},")), "{text}");
        let word = if n % 2 == 0 { "even" } else { "odd" };
        assert!(text.contains(word), "{text}");
        n += 1;
    }
    assert_eq!(n, 700);
}

/// A row whose columns, texts and kinds of values depend on chance.
fn any_row(random: &mut Rng, n: i64) -> Row {
    let mut row = Row::from([("n", n)]);
    // The dictionaries of two groups are mostly others, or in another order.
    if random.u8(..3) > 0 {
        row.set("word", ["a", "b", "c", "d"][random.usize(..2) + 2 * usize::from(n % 400 > 200)]);
    }
    row.set("constant", "always the same");
    if random.u8(..4) == 0 {
        row.set("unique", format!("{:x}", random.u64(..)));
    }
    if n > 90 {
        row.set("late", if n < 500 { Value::Int(n) } else { Value::Float(n as f64 / 2.0) });
    }
    if n > 300 && random.bool() {
        row.set("flag", random.bool());
    }
    let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, f64::MAX];
    row.set("x", if random.u8(..9) == 0 { odd[random.usize(..5)] } else { random.f64() });
    row
}

/// As it is stored: integers of a column that became one of floats are floats.
fn stored(row: &Row, floats: bool) -> Row {
    let value = |name: &str, value: &Value| match value {
        Value::Int(number) if floats && name == "late" => Value::Float(*number as f64),
        other => other.clone(),
    };
    row.iter().map(|(name, found)| (name.clone(), value(name, found))).collect()
}

/// Late columns, integers that become floats, texts of all kinds, another codec for each session, a disk that
/// is full now and then.
#[test]
fn whatever_is_logged_is_in_the_groups_that_were_made_of_others() {
    let codecs = ["gzip", "zstd", "none", "snappy", "lz4"];
    let (mut failed, mut largest) = (0, 0);
    for seed in 0..6 {
        let mut random = Rng::with_seed(seed);
        let memory = MemoryFs::new();
        let mut rows: Vec<Row> = Vec::new();
        for session in 0..3 {
            let codec = if seed % 3 == 0 { codecs[session] } else { codecs[seed as usize % 5] };
            let codec: Compression = codec.parse().unwrap();
            let mut log = open(&memory, settings().compression(codec));
            for _ in 0..random.usize(20..45) {
                for _ in 0..random.usize(1..2 * FULL) {
                    rows.push(any_row(&mut random, rows.len() as i64));
                    log.append(rows.last().unwrap(), Instant::now());
                }
                if random.u8(..8) == 0 {
                    memory.set_capacity(Some(random.u64(..60_000)));
                }
                let flushed = log.flush();
                memory.set_capacity(None);
                failed += usize::from(flushed.is_err());
                if flushed.is_ok() && random.u8(..4) == 0 {
                    let floats =
                        rows.iter().any(|row| matches!(row.get("late"), Some(Value::Float(_))));
                    let rows: Vec<_> = rows.iter().map(|row| stored(row, floats)).collect();
                    assert!(check(&memory, &rows).is_whole(), "seed {seed}");
                }
            }
            let file = read(&memory);
            largest = largest.max(file.rows() as usize / file.row_groups().max(1));
            log.close().unwrap();
            let floats = rows.iter().any(|row| matches!(row.get("late"), Some(Value::Float(_))));
            let rows: Vec<_> = rows.iter().map(|row| stored(row, floats)).collect();
            assert!(check(&memory, &rows).is_whole(), "seed {seed}");
        }
    }
    assert!(failed > 5 && largest > 2 * FULL, "{failed} failed, {largest} rows in a group");
}

#[test]
fn bounds_are_of_finite_numbers_whatever_else_is_in_a_piece() {
    let memory = MemoryFs::new();
    let mut log = open(&memory, settings());
    let rows: Vec<_> = (0..325).map(row).collect();
    for row in &rows {
        log.append(row, Instant::now());
        log.flush().unwrap();
    }
    let check = |file: &MetricsFile| {
        let mut next = 0;
        for bounds in file.bounds("float", 0..u64::MAX).unwrap() {
            assert_eq!(bounds.rows.start, next);
            next = bounds.rows.end;
            let values = &rows[bounds.rows.start as usize..bounds.rows.end as usize];
            let values = values.iter().map(|row| match row.get("float") {
                Some(Value::Float(float)) => *float,
                other => panic!("{other:?}"),
            });
            let finite = values.clone().filter(|value| value.is_finite());
            let bound = |best: fn(f64, f64) -> f64| finite.clone().reduce(best).map(Value::Float);
            assert_eq!((&bounds.min, &bounds.max), (&bound(f64::min), &bound(f64::max)));
            assert_eq!(bounds.nans, values.clone().filter(|value| value.is_nan()).count() as u64);
            assert_eq!(bounds.infinite, values.filter(|value| value.is_infinite()).count() as u64);
        }
        assert_eq!(next, 325);
    };
    check(&read(&memory));
    log.close().unwrap();
    check(&read(&memory));
    let file = read(&memory);
    let n = file.bounds("n", 15..16).unwrap();
    assert_eq!((n[0].min.clone(), n[0].max.clone()), (Some(10.into()), Some(19.into())));
    assert_eq!(file.bounds("text", 0..1).unwrap()[0].min, None);
    let flags = file.bounds("flag", 0..10).unwrap();
    assert_eq!((flags.len(), flags[0].nulls), (1, 6));
    assert!(file.bounds("no", 0..1).is_err());

    // For any other program, in the footer.
    let bytes = qstore_storage::read_all(&memory, Path::new(PATH)).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    let at = text.find("qstore.bounds").expect("a chunk has a NaN");
    assert!(text[at..].contains("[[1,"), "the column, and its numbers");
}

/// What a file says about its values is compared with them.
#[test]
fn bounds_that_do_not_agree_with_the_values_are_damage() {
    let memory = MemoryFs::new();
    let mut log = open(&memory, settings());
    for x in [0.0, 1.0, 2.0, 3.0, 4.0] {
        log.append(&Row::from([("x", x)]), Instant::now());
    }
    log.close().unwrap();
    let mut bytes = qstore_storage::read_all(&memory, Path::new(PATH)).unwrap();
    let find = |bytes: &[u8], what: &[u8]| bytes.windows(what.len()).position(|at| at == what);
    // The table of one column and one span: its bounds are its last sixteen bytes.
    let table = find(&bytes, b"QSPN").expect("the group is sealed");
    let table = table..table + 12 + 4 + 8 + 41;
    let sum = |bytes: &[u8]| format!("{:08x}", crc32c::crc32c(bytes));
    let old = sum(&bytes[table.clone()]);
    bytes[table.end - 16] ^= 1;
    let new = sum(&bytes[table]);
    let at = find(&bytes, old.as_bytes()).expect("the footer has the checksum of the table");
    bytes[at..at + 8].copy_from_slice(new.as_bytes());
    let end = bytes.len() - 8;
    let footer = end - u32::from_le_bytes(*bytes[end..].first_chunk().unwrap()) as usize;
    let seal = crc32c::crc32c(&bytes[footer..end]).to_le_bytes();
    bytes[footer - 4..footer].copy_from_slice(&seal);
    let memory = MemoryFs::new();
    put(&memory, &bytes);
    let validation = read(&memory).validate().unwrap();
    let [damage] = &validation.damage[..] else { panic!("{validation:?}") };
    assert_eq!((&*damage.column, damage.rows.clone()), ("x", 0..5));
    assert!(damage.reason.contains("bounds"), "{damage:?}");
}

/// A flipped bit in a part of a large group is the loss of that part.
#[test]
fn damage_is_of_a_part_and_a_damaged_table_costs_nothing_but_itself() {
    let memory = MemoryFs::new();
    let mut log = open(&memory, settings());
    let rows: Vec<_> = (0..320).map(row).collect();
    for row in &rows {
        log.append(row, Instant::now());
        log.flush().unwrap();
    }
    log.close().unwrap();
    let whole = qstore_storage::read_all(&memory, Path::new(PATH)).unwrap();
    let footer = whole.len()
        - 8
        - u32::from_le_bytes(*whole[whole.len() - 8..].first_chunk().unwrap()) as usize;
    let (mut of_values, mut of_tables) = (0, 0);
    for place in (4..footer - 8).step_by(31) {
        let mut bytes = whole.clone();
        bytes[place] ^= 4;
        let memory = MemoryFs::new();
        put(&memory, &bytes);
        let validation = read(&memory).validate().unwrap();
        // Some bytes belong to nothing.
        for damage in &validation.damage {
            if damage.column == "qstore.spans" {
                of_tables += 1;
                assert_eq!(read(&memory).read(&[], 0..u64::MAX).unwrap().rows, 320);
            } else {
                of_values += 1;
                // A dictionary is that of all parts.
                let len = damage.rows.end - damage.rows.start;
                assert!(len == FULL as u64, "{damage:?}");
                assert!(read(&memory).read(&[&damage.column], damage.rows.clone()).is_err());
            }
        }
    }
    assert!(of_values > 10 && of_tables > 10, "{of_values} {of_tables}");
}
