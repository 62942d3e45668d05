//! Which bytes of the file may be written, and which must stay as they are.
//!
//! Some readers open the path twice for one read, first for the footer and then for the data. So the
//! chunks that a footer refers to must still be there in later versions, until no reader of that footer
//! can be left. Chunks that a version no longer refers to are *dying* for a grace period; their space is
//! free only after it.
//!
//! A reader that comes even later, such as a query that was planned long ago, must not take new bytes
//! for those it looks for. So no chunk begins where an earlier one began: such a reader finds the middle
//! of another chunk and fails.
//!
//! Other readers plan on the length of the file and look for its footer there later. For them footers stay
//! in place as chunks do, if that is asked for: then every length that a version had within the grace period
//! ends with a whole footer, whose chunks are in place. The newest footer is at the end, so the file never
//! becomes shorter and grows by a footer with each version; that is affordable in a file that is closed
//! soon.

use crate::format::footer::MAGIC;
use crate::format::stored::{CHUNKS_MANY, STEP, Stored, extents, merged};
use std::collections::{BTreeSet, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

mod begun;

use begun::{Begun, Comb};

/// The number of chunk offsets that are remembered: about a megabyte, enough for days of flushes.
const STARTS_MAX: usize = 1 << 16;

/// The maximum distance that a group is shifted to find an offset where no chunk began.
const SHIFT_MAX: u64 = 1 << 10;

/// Chunks that are dying, and the offsets of those that died.
#[derive(Debug)]
pub(crate) struct Space {
    grace: Duration,
    /// Where the footer of the present version is, if footers stay in place, too.
    footer: Option<Range<u64>>,
    /// In the order in which they were dropped.
    dying: VecDeque<(Range<u64>, Instant)>,
    /// The offsets of chunks that are no longer referred to, the oldest first, and the same as a set.
    starts: VecDeque<u64>,
    is_start: BTreeSet<u64>,
    /// Those of wide groups, and the turn in which they were dropped.
    combs: VecDeque<(Comb, u64)>,
    /// The number of versions so far.
    turn: u64,
}

/// The free space at one moment.
#[derive(Debug)]
pub(crate) struct Free<'a> {
    space: &'a Space,
    /// The ranges that must stay: sorted, and no two adjacent.
    pub(crate) kept: Vec<Range<u64>>,
    /// The offsets of the chunks that this version is the first not to refer to.
    buried: Begun,
    gaps: Vec<Range<u64>>,
    end: u64,
}

impl Space {
    /// The space of an existing file: what it does not refer to has just begun to die.
    pub(crate) fn new(
        grace: Duration,
        groups: &[Arc<Stored>],
        data_end: u64,
        now: Instant,
    ) -> Self {
        let mut space = Self {
            grace,
            footer: None,
            dying: VecDeque::new(),
            starts: VecDeque::new(),
            is_start: BTreeSet::new(),
            combs: VecDeque::new(),
            turn: 0,
        };
        let start = MAGIC.len() as u64;
        let free = space.free(groups, &[], now);
        let (gaps, end) = (free.gaps, free.end);
        let tail = end.max(start)..data_end;
        for gap in gaps.into_iter().chain([tail]).filter(|gap| !gap.is_empty()) {
            space.dying.push_back((gap, now));
        }
        space
    }

    /// The same, with the footers in place as well; that of the present version is there.
    pub(crate) fn keeping_footers(mut self, footer: Range<u64>) -> Self {
        self.footer = Some(footer);
        self
    }

    /// Whether footers stay in place.
    pub(crate) fn keeps_footers(&self) -> bool {
        self.footer.is_some()
    }

    /// Records where the footer of the version is that was just published.
    pub(crate) fn bury_footer(&mut self, next: &Range<u64>, now: Instant) {
        if let Some(footer) = self.footer.as_mut() {
            let last = std::mem::replace(footer, next.clone());
            self.dying.push_back((last, now));
        }
    }

    /// The free space of a version that keeps `groups` and no longer refers to `buried`.
    pub(crate) fn free(
        &self,
        groups: &[Arc<Stored>],
        buried: &[Arc<Stored>],
        now: Instant,
    ) -> Free<'_> {
        let start = MAGIC.len() as u64;
        let mut kept: Vec<_> = groups.iter().flat_map(|group| group.extents()).cloned().collect();
        kept.push(0..start);
        kept.extend(self.dying(now).cloned());
        // mutant: last_footer_overwritten
        kept.extend(self.footer.clone());
        if !self.grace.is_zero() {
            kept.extend(buried.iter().flat_map(|group| group.extents()).cloned());
        }
        let kept = merged(kept);
        let gaps = kept.windows(2).map(|pair| pair[0].end..pair[1].start).collect();
        let end = kept.last().map_or(start, |last| last.end);
        let starts = buried.iter().flat_map(|group| group.ranges()).map(|range| range.start);
        let buried = Begun::of(&starts.collect::<Vec<_>>());
        Free { space: self, kept, buried, gaps, end }
    }

    /// Records that a version was published that no longer refers to these chunks.
    pub(crate) fn bury(&mut self, chunks: Vec<Range<u64>>, now: Instant) {
        self.turn += 1;
        while self.dying.front().is_some_and(|(_, since)| *since + self.grace <= now) {
            self.dying.pop_front();
        }
        let starts: Vec<_> = chunks.iter().map(|chunk| chunk.start).collect();
        let Begun { each, combs } = Begun::of(&starts);
        for start in each {
            if self.is_start.insert(start) {
                self.starts.push_back(start);
            }
        }
        // For as many versions, wide groups avoid the places of others.
        while self.combs.front().is_some_and(|(_, since)| *since + STEP <= self.turn) {
            self.combs.pop_front();
        }
        self.combs.extend(combs.into_iter().map(|comb| (comb, self.turn)));
        self.dying.extend(extents(chunks).into_iter().map(|range| (range, now)));
        while self.starts.len() > STARTS_MAX {
            if let Some(oldest) = self.starts.pop_front() {
                self.is_start.remove(&oldest);
            }
        }
    }

    /// Whether a chunk may have begun there that is no longer referred to.
    fn began(&self, at: u64) -> bool {
        self.is_start.contains(&at) || self.combs.iter().any(|(comb, _)| comb.contains(at))
    }

    fn dying(&self, now: Instant) -> impl Iterator<Item = &Range<u64>> {
        // mutant: grace_ignored
        let is_dying = move |(_, since): &&(Range<u64>, Instant)| *since + self.grace > now;
        self.dying.iter().filter(is_dying).map(|(range, _)| range)
    }
}

impl Free<'_> {
    /// An offset for `len` bytes in which chunks begin at the relative offsets `starts`.
    pub(crate) fn take(&mut self, len: u64, starts: &[u64]) -> u64 {
        // The smallest gap that is large enough: large gaps are saved for large groups. Finding a place in a gap
        // takes much longer than comparing lengths, and after many quick flushes there are thousands of gaps.
        let lens = self.gaps.iter().map(|gap| gap.end - gap.start).enumerate();
        let mut large_enough: Vec<_> =
            lens.filter(|(_, gap_len)| *gap_len >= len).map(|(index, len)| (len, index)).collect();
        large_enough.sort_unstable();
        for (_, index) in large_enough {
            let place = self.unused(self.gaps[index].start, starts);
            if place + len <= self.gaps[index].end {
                // What a shift leaves unused is free again when the next version is laid out.
                self.gaps[index].start = place + len;
                return place;
            }
        }
        let place = self.unused(self.end, starts);
        self.end = place + len;
        place
    }

    /// The end of everything that is kept or was taken.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// The first offset from `offset` on where no chunk begins that a stale reader could look for.
    fn unused(&self, offset: u64, starts: &[u64]) -> u64 {
        if starts.len() > CHUNKS_MANY {
            // No shift is enough for thousands of chunks. They begin at multiples of `STEP`, and so each of the next
            // versions has places of its own.
            // mutant: wide_groups_begin_where_others_began
            let wanted = self.space.turn % STEP;
            return offset + (wanted + STEP - offset % STEP) % STEP;
        }
        // mutant: beginnings_of_the_dying_forgotten
        let began = |at: u64| self.space.began(at) || self.buried.contains(at);
        let is_unused = |place: &u64| !starts.iter().any(|start| began(place + start));
        // mutant: place_used_again_as_it_was
        (offset..offset + SHIFT_MAX).find(is_unused).unwrap_or(offset)
    }
}

#[cfg(test)]
pub(crate) mod tests;
