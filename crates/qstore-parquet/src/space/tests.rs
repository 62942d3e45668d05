//! The space against its laws: what is kept is never given away, and the file stays small.

use super::*;
use crate::stack::Stack;
use crate::{columns, row_group};
use proptest::prelude::*;
use qstore_schema::{DataType, Field};

/// A group of one column that lies there.
fn stored(range: &Range<u64>) -> Arc<Stored> {
    use parquet::file::metadata::ColumnChunkMetaData;
    let schema = columns::describe(&[Field::required("n", DataType::Int64)]).unwrap();
    let chunk = ColumnChunkMetaData::builder(schema.column(0))
        .set_data_page_offset(range.start as i64)
        .set_total_compressed_size((range.end - range.start) as i64)
        .build()
        .unwrap();
    let metadata = row_group::assemble(vec![chunk], 1, &schema).unwrap();
    Arc::new(Stored::new(&metadata, &[None]))
}

fn ranges(groups: &[Arc<Stored>]) -> Vec<Range<u64>> {
    groups.iter().flat_map(|group| group.ranges()).collect()
}

#[test]
fn a_place_is_free_after_the_grace_and_nothing_begins_where_something_began() {
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

#[test]
fn without_a_grace_a_place_is_free_at_once_but_nothing_begins_where_something_began() {
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
fn what_a_file_does_not_mention_is_not_free_at_once() {
    let now = Instant::now();
    let groups = [stored(&(100..200))];
    let space = Space::new(Duration::from_secs(1), &groups, 300, now);
    assert_eq!(space.free(&groups, &[], now).take(10, &[0]), 300);
    let mut later = space.free(&groups, &[], now + Duration::from_secs(1));
    assert_eq!((later.take(10, &[0]), later.end()), (4, 200));
}

proptest! {
    /// The stack's flushes and merges: no byte is given away within its grace, whatever the sizes.
    #[test]
    fn nothing_is_written_over_within_its_grace(
        flushes in prop::collection::vec((1_usize..400, 1_u64..2_000), 1..200),
        grace in prop_oneof![1 => Just(0), 7 => 1_u64..3_000],
    ) {
        let start = Instant::now();
        let grace = Duration::from_millis(grace);
        let mut space = Space::new(grace, &[], 4, start);
        let mut stack = Stack::default();
        let mut live: Vec<Range<u64>> = Vec::new();
        let mut graves: Vec<(Range<u64>, Instant)> = Vec::new();
        let mut now = start;
        for (rows, pause) in flushes {
            now += Duration::from_millis(pause);
            let plan = stack.plan(rows, usize::MAX);
            let len = plan.rows[0] as u64 * 66;
            let buried: Vec<_> = live.split_off(plan.kept);
            let kept: Vec<_> = live.iter().map(stored).collect();
            let dead: Vec<_> = buried.iter().map(stored).collect();
            let mut free = space.free(&kept, &dead, now);
            let place = free.take(len, &[0]);
            let new = place..place + len;
            prop_assert!(free.end() >= new.end);
            graves.extend(buried.into_iter().map(|range| (range, now)));
            let untouchable = graves.iter().filter(|(_, since)| *since + grace > now);
            for range in live.iter().chain(untouchable.map(|(range, _)| range)) {
                prop_assert!(new.end <= range.start || range.end <= new.start, "{new:?} on {range:?}");
            }
            for (range, _) in &graves {
                prop_assert!(range.start != new.start, "a chunk began there before");
            }
            space.bury(ranges(&dead), now);
            live.push(new);
            stack.apply(&plan);
        }
    }

    /// With a grace that is over by the next flush the file never grows far beyond what lives in it.
    #[test]
    fn the_file_stays_within_a_few_groups_of_what_lives(rows in 1_usize..500) {
        const SEALED: usize = 8_192;
        let start = Instant::now();
        let mut space = Space::new(Duration::from_millis(1), &[], 4, start);
        let (mut stack, mut live, mut held) = (Stack::default(), Vec::<Range<u64>>::new(), 0);
        let mut sealed = 0;
        for flush in 0..500 {
            let now = start + Duration::from_millis(2 * flush);
            held += rows;
            let is_full = held >= SEALED;
            let plan = if is_full { stack.plan_seal(rows, usize::MAX, true) } else { stack.plan(rows, usize::MAX) };
            let len = plan.rows[0] as u64 * 66;
            let dead: Vec<_> = live.split_off(sealed + plan.kept).iter().map(stored).collect();
            let kept: Vec<_> = live.iter().map(stored).collect();
            let mut free = space.free(&kept, &dead, now);
            let place = free.take(len, &[0]);
            live.push(place..place + len);
            let end = free.end();
            space.bury(ranges(&dead), now);
            stack.apply(&plan);
            if is_full {
                stack.clear();
                held = 0;
                sealed = live.len();
            }
            let living: u64 = live.iter().map(|range| range.end - range.start).sum();
            prop_assert!(end <= living + 4 * 66 * SEALED as u64, "{end} for {living}");
        }
    }
}
