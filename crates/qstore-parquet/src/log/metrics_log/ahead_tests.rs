//! Row groups that are encoded ahead, whatever happens to the version before them. The steps are those
//! of a drain, without threads, on a disk that is sometimes full and with columns that are added late.

use super::*;
use fastrand::Rng;
use parquet::file::reader::FileReader;
use parquet::file::serialized_reader::SerializedFileReader;
use parquet::record::Field as Found;
use qstore_schema::Row;
use qstore_storage::{MemoryFs, read_all};

const PATH: &str = "/metrics.parquet";

/// The numbers in the file; row number n holds n.
fn numbers(memory: &MemoryFs) -> Vec<i64> {
    // Without declared columns there is no file before the first row.
    let Ok(bytes) = read_all(memory, Path::new(PATH)) else { return Vec::new() };
    let reader = SerializedFileReader::new(bytes::Bytes::from(bytes)).unwrap();
    let number = |row: parquet::record::Row| match row.get_column_iter().next() {
        Some((name, Found::Long(number))) if name == "n" => *number,
        other => panic!("{other:?}"),
    };
    reader.get_row_iter(None).unwrap().map(|row| number(row.unwrap())).collect()
}

/// What the runs of random rows, flushes and failures have covered.
#[derive(Debug, Default)]
struct Seen {
    prepared: usize,
    failed: usize,
    flushed: usize,
}

fn run(seed: u64, through: &mut Seen) {
    let mut random = Rng::with_seed(seed);
    let memory = MemoryFs::new();
    let settings = WriterSettings::default()
        .row_group_rows_max(random.usize(8..40))
        .flush_interval(random.usize(1..60))
        .twin_bytes_min(if random.bool() { 0 } else { u64::MAX })
        .publish_pause_min(std::time::Duration::ZERO);
    let storage = Arc::new(memory.clone());
    let mut log = MetricsLog::<Row>::open_in(storage, PATH, settings).unwrap();
    let (mut appended, mut acknowledged) = (0_i64, 0);
    for _ in 0..random.usize(1..40) {
        let mut append = |log: &mut MetricsLog<Row>, random: &mut Rng| {
            for _ in 0..random.usize(0..40) {
                let mut row = Row::from([("n", appended)]);
                if random.u8(..) == 0 {
                    row.set("late", random.f64());
                }
                log.append(&row, Instant::now());
                appended += 1;
            }
            appended
        };
        let upto = append(&mut log, &mut random);
        let is_flush = random.bool();
        if random.u8(..4) == 0 {
            memory.set_capacity(Some(random.u64(..40_000)));
        }
        let outcome = loop {
            let progress =
                if is_flush { Sink::flush(&mut log) } else { log.tick(Instant::now()) }.unwrap();
            let Progress::Work(work) = progress else { break Ok(()) };
            append(&mut log, &mut random);
            // Before the work or after it: the next publication waits for it either way.
            let mut preparation = log.encode_ahead();
            through.prepared += usize::from(preparation.is_some());
            assert!(preparation.is_none() || log.encode_ahead().is_none(), "one at a time");
            if let Some(prepare) = preparation.take_if(|_| random.bool()) {
                prepare();
            }
            let outcome = work();
            if let Some(prepare) = preparation {
                prepare();
            }
            if outcome.is_err() || !is_flush {
                break outcome;
            }
        };
        memory.set_capacity(None);
        through.failed += usize::from(outcome.is_err());
        if is_flush && outcome.is_ok() {
            acknowledged = acknowledged.max(upto);
            through.flushed += 1;
        }
        let found = numbers(&memory);
        assert!(found.len() as i64 >= acknowledged, "seed {seed}");
        assert!(found.iter().copied().eq(0..found.len() as i64), "seed {seed}: {found:?}");
    }
    while Sink::close(&mut log).unwrap().run().unwrap() {}
    assert!(numbers(&memory).into_iter().eq(0..appended), "seed {seed}");
    assert_eq!(log.stats().rows_written, appended as u64, "seed {seed}");
}

#[test]
fn groups_encoded_ahead_are_never_lost_doubled_or_out_of_order() {
    let mut through = Seen::default();
    for seed in 0..150 {
        run(seed, &mut through);
    }
    assert!(through.prepared > 200 && through.failed > 100 && through.flushed > 500, "{through:?}");
}
