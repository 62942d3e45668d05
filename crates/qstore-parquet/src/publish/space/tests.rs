//! The space by itself: bytes in use are never given away.

use super::*;
use crate::format::entry::ChunkEntry;
use crate::format::leaves::Path;

/// A group of one column in that place.
pub(crate) fn stored(range: &Range<u64>) -> Arc<Stored> {
    use parquet::basic::{Compression, Type};
    let len = range.end - range.start;
    let chunk = ChunkEntry {
        physical: Type::INT64,
        codec: Compression::UNCOMPRESSED,
        encodings: 1,
        values: 1,
        full_len: len,
        len,
        data_at: range.start,
        dictionary_at: None,
        index_at: None,
        bounds: None,
        pages: Box::default(),
    };
    let mut group = Stored::new(1, 1);
    group.push(&chunk, None, &Path::Flat("n"));
    Arc::new(group)
}

pub(crate) fn ranges(groups: &[Arc<Stored>]) -> Vec<Range<u64>> {
    groups.iter().flat_map(|group| group.ranges()).collect()
}

#[test]
fn space_is_free_after_the_grace_period_and_no_chunk_begins_where_another_began() {
    let start = Instant::now();
    let grace = Duration::from_secs(1);
    let mut space = Space::new(grace, &[], 4, start);
    let groups = [stored(&(4..104)), stored(&(104..204))];
    let mut free = space.free(&groups, &[], start);
    assert_eq!((free.take(50, &[0]), free.end()), (204, 254), "nothing is free but the end");
    space.bury(ranges(&groups[..1]), start);

    let mut free = space.free(&groups[1..], &[], start + grace / 2);
    assert_eq!(free.take(50, &[0]), 204, "the first group may still be looked for");
    let mut free = space.free(&groups[1..], &[], start + grace);
    assert_eq!(free.take(50, &[0]), 5, "one further: a chunk began at 4");
    assert_eq!(free.take(50, &[0]), 204, "45 bytes are left of it");
    let mut free = space.free(&[], &groups[1..], start + grace);
    assert_eq!(free.take(300, &[0]), 204, "what dies with this version is not free in it");
}

/// Ten thousand chunks cannot be shifted so that none begins where one began, except all together.
#[test]
fn no_chunk_of_a_wide_group_begins_where_one_of_the_versions_before_began() {
    let (now, starts) = (Instant::now(), (0..1_000).map(|chunk| chunk * STEP).collect::<Vec<_>>());
    let mut space = Space::new(Duration::ZERO, &[], 4, now);
    let mut seen = BTreeSet::new();
    for turn in 0..STEP {
        let place = space.free(&[], &[], now).take(1_000 * STEP, &starts);
        assert!(place < 4 + 2 * STEP, "the space is used again");
        let begins: Vec<_> = starts.iter().map(|start| place + start).collect();
        assert!(begins.iter().all(|start| seen.insert(*start)), "version {turn}");
        let group = place..place + 1_000 * STEP;
        space.bury(ranges(&[stored(&group)]), now);
    }
}

/// A table that has got one more column: its chunks in the groups before are few.
#[test]
fn few_chunks_do_not_begin_where_those_of_a_wide_group_began() {
    let now = Instant::now();
    let mut space = Space::new(Duration::ZERO, &[], 4, now);
    let wide = |place: u64| -> Vec<_> {
        (0..1_000).map(|chunk| place + chunk * STEP).map(|start| start..start + 20).collect()
    };
    for turn in 0..STEP / 2 {
        space.bury(wide(4 + turn), now);
    }
    let place = space.free(&[], &[], now).take(10, &[0]);
    assert!(place > 4 + STEP / 2 - 1 && place < 4 + STEP, "{place}");
    for turn in 0..STEP {
        space.bury(Vec::new(), now);
        assert_eq!(space.combs.is_empty(), turn == STEP - 1, "they are forgotten after {turn}");
    }
    assert_eq!(space.free(&[], &[], now).take(10, &[0]), 4);
}

#[test]
fn without_a_grace_period_space_is_free_at_once_but_no_chunk_begins_where_another_began() {
    let now = Instant::now();
    let space = Space::new(Duration::ZERO, &[], 4, now);
    let dying = [stored(&(4..104))];
    let mut free = space.free(&[], &dying, now);
    assert_eq!(
        (free.take(50, &[0]), free.end()),
        (5, 55),
        "one further: a chunk dies that began at 4"
    );
}

#[test]
fn what_an_existing_file_does_not_refer_to_is_not_free_at_once() {
    let now = Instant::now();
    let groups = [stored(&(100..200))];
    let space = Space::new(Duration::from_secs(1), &groups, 300, now);
    assert_eq!(space.free(&groups, &[], now).take(10, &[0]), 300);
    let mut later = space.free(&groups, &[], now + Duration::from_secs(1));
    assert_eq!((later.take(10, &[0]), later.end()), (4, 200));
}
