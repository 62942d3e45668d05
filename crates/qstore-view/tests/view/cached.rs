//! What was reduced is not read again: not for a second look, and not after a flush.

use crate::{PATH, append, open};
use qstore_parquet::{MetricsFile, MetricsLog};
use qstore_schema::Row;
use qstore_storage::testing::Watched;
use qstore_storage::{FileSystem, MemoryFs, Operation};
use qstore_view::{Cache, Request, Series, XAxis, exact};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// A file system that counts how often something is read.
struct Counted {
    files: Arc<dyn FileSystem>,
    reads: Arc<AtomicUsize>,
}

impl Counted {
    fn new(memory: &MemoryFs) -> Self {
        let (watched, reads) = (Watched::new(memory), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&reads);
        watched.set(move |_, operation, _| {
            if operation == Operation::Read {
                count.fetch_add(1, SeqCst);
            }
            Ok(())
        });
        Self { files: watched.shared(), reads }
    }

    /// How often something was read meanwhile.
    fn during<T>(&self, work: impl FnOnce() -> T) -> (T, usize) {
        let before = self.reads.load(SeqCst);
        let result = work();
        (result, self.reads.load(SeqCst) - before)
    }
}

fn rows(steps: Range<i64>) -> impl Iterator<Item = Row> {
    steps.map(|step| {
        let loss = 1.0 / (1.0 + step as f64) + (step % 17) as f64;
        let mut row = Row::from([("step", step as f64), ("loss", loss), ("acc", -loss)]);
        row.set("timestamp", 1.7e9 + step as f64);
        row
    })
}

fn points(series: &[Series]) -> Vec<Vec<[u64; 6]>> {
    let bits = |series: &Series| series.points().map(|point| point.map(f64::to_bits)).collect();
    series.iter().map(bits).collect()
}

/// A file of that many closed rows, and one that is being written.
fn log(files: &Arc<dyn FileSystem>, steps: Range<i64>) -> MetricsLog<Row> {
    let mut log = open(files);
    for start in steps.clone().step_by(100) {
        append(&mut log, rows(start..steps.end.min(start + 100)));
        log.flush().unwrap();
    }
    log
}

#[test]
fn a_second_look_reads_nothing() {
    let memory = MemoryFs::new();
    let counted = Counted::new(&memory);
    let writer: Arc<dyn FileSystem> = Arc::new(memory);
    let _open = log(&writer, 0..2_030);
    let file = MetricsFile::open_in(Arc::clone(&counted.files), PATH).unwrap();
    let mut cache = Cache::new();
    for x in [XAxis::Step, XAxis::Row, XAxis::Relative] {
        let request = Request::new(["loss", "acc"]).x(x).width(100);
        let (first, reads) = counted.during(|| exact(&file, &request, &mut cache).unwrap());
        assert!(reads > 40, "{reads}");
        let (second, reads) = counted.during(|| exact(&file, &request, &mut cache).unwrap());
        assert_eq!((reads, points(&second)), (0, points(&first)), "{x:?}");
        // A part of it, and one of its columns, need nothing else.
        let part = Request::new(["acc"]).x(x).width(100).window(Some(first[0].grid.from()), None);
        let (third, reads) = counted.during(|| exact(&file, &part, &mut cache).unwrap());
        assert_eq!((reads, points(&third)[0].len()), (0, points(&first)[1].len()));
    }
    // Another opening of the same file reads its footer and nothing else.
    let (file, opening) =
        counted.during(|| MetricsFile::open_in(Arc::clone(&counted.files), PATH).unwrap());
    let request = Request::new(["loss"]).width(100);
    let (_, reads) = counted.during(|| exact(&file, &request, &mut cache).unwrap());
    assert!(opening > 0 && reads == 0, "{reads}");
    cache.clear();
    let (_, reads) = counted.during(|| exact(&file, &request, &mut cache).unwrap());
    assert!(reads > 20, "{reads}");
}

#[test]
fn a_flush_costs_what_is_new() {
    let memory = MemoryFs::new();
    let counted = Counted::new(&memory);
    let writer: Arc<dyn FileSystem> = Arc::new(memory);
    let mut log = log(&writer, 0..5_000);
    let mut file = MetricsFile::open_in(Arc::clone(&counted.files), PATH).unwrap();
    let mut cache = Cache::new();
    let request = Request::new(["loss", "acc"]).width(100);
    let (_, all) = counted.during(|| exact(&file, &request, &mut cache).unwrap());
    let mut most = 0;
    for flush in 0..60 {
        let start = 5_000 + flush * 20;
        append(&mut log, rows(start..start + 20));
        log.flush().unwrap();
        file.refresh().unwrap().expect("a flush is a new version");
        let (found, reads) = counted.during(|| exact(&file, &request, &mut cache).unwrap());
        most = most.max(reads);
        let fresh = exact(&file, &request, &mut Cache::with_bytes_max(0)).unwrap();
        assert_eq!(points(&found), points(&fresh), "flush {flush}");
    }
    // Chunks have 50 rows, so a flush adds to one or two, and merges a few.
    assert!(most * 8 < all, "a flush read {most} times, the first look {all} times");
}

#[test]
fn a_small_cache_is_right_all_the_same() {
    let writer: Arc<dyn FileSystem> = Arc::new(MemoryFs::new());
    log(&writer, 0..2_000).close().unwrap();
    let file = MetricsFile::open_in(writer, PATH).unwrap();
    let (mut large, mut small) = (Cache::new(), Cache::with_bytes_max(30_000));
    for width in [20, 100, 33] {
        for columns in [&["loss"][..], &["acc"], &["acc", "loss"]] {
            let request = Request::new(columns.iter().copied()).width(width);
            let one = exact(&file, &request, &mut large).unwrap();
            let other = exact(&file, &request, &mut small).unwrap();
            assert_eq!(points(&one), points(&other));
            assert!(small.bytes() <= 30_000, "{}", small.bytes());
        }
    }
    assert!(large.bytes() > 30_000 && large.chunks() > small.chunks());
}
