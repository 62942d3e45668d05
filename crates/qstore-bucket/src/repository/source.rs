//! An open object. Its end was read when it was opened: there are the manifest and the documents of a
//! checkpoint. Other ranges are read on demand; those that were announced are read together.
//!
//! Every read names the object's tag, so bytes of two versions are never mixed.

use super::ObjectRepository;
use qstore_checkpoint::repository::{FileSource, RepositoryError, Result};
use qstore_objects::{Body, Etag, Span};
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Ranges this close to each other are read together.
const GAP: u64 = 64 << 10;
/// A read that waits for another thread looks up this often, in case that one is gone.
const LOOK_UP: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct ObjectSource {
    repository: ObjectRepository,
    name: String,
    etag: Etag,
    len: u64,
    tail: Vec<u8>,
    is_replaced: AtomicBool,
    blocks: Mutex<Vec<Block>>,
    fetched: Condvar,
}

/// A range that several reads share.
#[derive(Debug)]
struct Block {
    range: Range<u64>,
    /// The reads that are still to come.
    reads: usize,
    state: State,
}

#[derive(Debug, Clone)]
enum State {
    Announced,
    /// A thread is reading it.
    Underway,
    Here(Arc<Vec<u8>>),
}

impl ObjectSource {
    pub(super) fn new(repository: &ObjectRepository, name: &str, tail: Body) -> Self {
        let Body { bytes, etag, len } = tail;
        Self {
            repository: repository.clone(),
            name: name.into(),
            etag,
            len,
            tail: bytes,
            is_replaced: AtomicBool::new(false),
            blocks: Mutex::default(),
            fetched: Condvar::new(),
        }
    }

    pub(super) fn etag(&self) -> &Etag {
        &self.etag
    }

    fn tail_begins(&self) -> u64 {
        self.len - self.tail.len() as u64
    }

    fn blocks(&self) -> MutexGuard<'_, Vec<Block>> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads a range from the store.
    fn fetch(&self, range: Range<u64>) -> Result<Vec<u8>> {
        let Self { repository, name, etag, .. } = self;
        let span = Span::At { offset: range.start, len: range.end - range.start };
        let read = repository.store.get(&repository.key_of(name), span, Some(etag));
        match read.map_err(|error| repository.error(name, error)) {
            Ok(body) => Ok(body.bytes),
            Err(error) => {
                let is_gone = error.is_not_found()
                    || matches!(error, RepositoryError::ReplacedWhileRead { .. });
                if !is_gone {
                    return Err(error);
                }
                self.is_replaced.store(true, Ordering::SeqCst);
                Err(RepositoryError::ReplacedWhileRead { location: repository.shown(name) })
            }
        }
    }

    /// The bytes of the block that has the range, and where the block begins; `None` if it was not announced.
    fn block_with(&self, range: &Range<u64>) -> Result<Option<(u64, Arc<Vec<u8>>)>> {
        let holds =
            |block: &Block| block.range.start <= range.start && range.end <= block.range.end;
        let mut blocks = self.blocks();
        loop {
            let Some(block) = blocks.iter_mut().find(|block| holds(block)) else { return Ok(None) };
            match block.state.clone() {
                State::Here(bytes) => {
                    block.reads -= 1;
                    let begins = block.range.start;
                    if block.reads == 0 {
                        blocks.retain(|block| block.reads > 0);
                    }
                    return Ok(Some((begins, bytes)));
                }
                State::Underway => {
                    let woken = self.fetched.wait_timeout(blocks, LOOK_UP);
                    blocks = woken.unwrap_or_else(PoisonError::into_inner).0;
                }
                State::Announced => {
                    block.state = State::Underway;
                    let whole = block.range.clone();
                    drop(blocks);
                    let fetched = self.fetch(whole.clone());
                    blocks = self.blocks();
                    let block = blocks.iter_mut().find(|block| block.range == whole);
                    let failure = match (fetched, block) {
                        (Ok(bytes), Some(block)) => {
                            block.state = State::Here(Arc::new(bytes));
                            None
                        }
                        (Err(error), Some(block)) => {
                            block.state = State::Announced; // the next one tries again
                            Some(error)
                        }
                        (fetched, None) => fetched.err(),
                    };
                    self.fetched.notify_all();
                    if let Some(error) = failure {
                        return Err(error);
                    }
                }
            }
        }
    }
}

impl FileSource for ObjectSource {
    fn len(&self) -> Result<u64> {
        Ok(self.len)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let end = offset.checked_add(buffer.len() as u64).filter(|end| *end <= self.len);
        let Some(end) = end else {
            let reason = format!("the read goes beyond its end at {}", self.len);
            let error = io::Error::new(io::ErrorKind::UnexpectedEof, reason);
            return Err(RepositoryError::other(&self.name, error));
        };
        if buffer.is_empty() {
            return Ok(());
        }
        // What was read with the tag is of this version, whatever has the key now.
        if offset >= self.tail_begins() && !self.is_replaced() {
            let at = (offset - self.tail_begins()) as usize;
            buffer.copy_from_slice(&self.tail[at..at + buffer.len()]);
            return Ok(());
        }
        match self.block_with(&(offset..end))? {
            Some((begins, block)) => {
                let at = (offset - begins) as usize;
                buffer.copy_from_slice(&block[at..at + buffer.len()]);
            }
            None => buffer.copy_from_slice(&self.fetch(offset..end)?),
        }
        Ok(())
    }

    fn announce(&self, ranges: &[Range<u64>]) {
        let most = self.repository.settings.join_bytes;
        let far = |range: &&Range<u64>| range.start < self.tail_begins() && range.start < range.end;
        let mut sorted: Vec<_> = ranges.iter().filter(far).cloned().collect();
        sorted.sort_by_key(|range| range.start);
        let mut joined: Vec<Block> = Vec::new();
        for range in sorted {
            match joined.last_mut() {
                Some(last)
                    if range.start <= last.range.end.saturating_add(GAP)
                        && range.end.saturating_sub(last.range.start) <= most =>
                {
                    last.range.end = last.range.end.max(range.end);
                    last.reads += 1;
                }
                _ => joined.push(Block { range, reads: 1, state: State::Announced }),
            }
        }
        // A range that is read alone needs no block.
        joined.retain(|block| block.reads > 1);
        let mut blocks = self.blocks();
        // What was announced before and not read has been given up.
        blocks.retain(|block| matches!(block.state, State::Underway));
        blocks.append(&mut joined);
    }

    fn is_replaced(&self) -> bool {
        self.is_replaced.load(Ordering::SeqCst)
    }
}
