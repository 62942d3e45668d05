//! Publishes versions of the file, and keeps what readers see whole.
//!
//! Two inodes hold the same log. Readers see one; the other, *retired* one has only a hidden name. A
//! flush brings the retired one up to date, syncs it, and lets the two exchange their names. What is
//! written is therefore what is new, twice, however large the file is. Four invariants hold:
//!
//! * **I1** The published inode is never written.
//! * **I2** A retired inode is written only after the exchange that retired it is durable: before
//!   that, a power cut would bring its public name back.
//! * **I3** Before it is written it is still what we left: the hidden name leads to it, nobody gave
//!   it another name, its length and its time of change are the same.
//! * **I4** Before it is written nobody else has it open, and nobody can open it while it is.
//!
//! Where one of them cannot be told or does not hold, and while the file is small, a version is a
//! copy that takes the public name by rename. What a footer points to stays in its place for a while
//! either way: see [`Space`].

use crate::fresh::Encoded;
use crate::layout::{Layout, Move, Version};
use crate::open::Names;
use crate::published::Published;
use crate::read_at::contain;
use crate::space::Space;
use crate::stats::Publishing;
use crate::{Error, WriterSettings, footer};
use qstore_storage::{Claim, Exclusive, FileHandle, FileSystem, Lock, Stamp, parent_of};
use std::collections::HashSet;
use std::io::ErrorKind;
use std::ops::Range;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// How much is copied at a time.
const BLOCK: u64 = 1 << 20;

/// A copy of the file is reckoned at so many bytes a second. As long as it would take, readers of the
/// retired inode are waited for: so waiting never costs more than twice the better choice.
const COPY_BYTES_PER_S: f64 = 256e6;

/// The file and its twin.
#[derive(Debug)]
pub(crate) struct Disk {
    storage: Arc<dyn FileSystem>,
    names: Names,
    published: Option<Arc<Published>>,
    /// The retired inode, under the hidden name.
    twin: Option<Twin>,
    space: Space,
    publishing: Publishing,
    /// The longest wait for readers of the retired inode.
    patience: Duration,
    /// Files that are smaller are copied.
    twin_bytes_min: u64,
    /// Whether the public name would survive a power cut.
    is_durable: bool,
    bytes_written: u64,
    full_copies: u64,
    /// For what is copied from one inode to the other.
    block: Vec<u8>,
    /// Keeps other writers away; released last.
    _lock: Box<dyn Lock>,
}

#[derive(Debug)]
struct Twin {
    file: Arc<dyn FileHandle>,
    /// What it was like when we left it.
    stamp: Stamp,
    /// What it lacks of the published version.
    missing: Vec<Range<u64>>,
}

/// A version that was published.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) published: Arc<Published>,
    /// Without the encoding.
    pub(crate) took: Duration,
    pub(crate) publishing: Publishing,
    pub(crate) bytes_written: u64,
    pub(crate) full_copies: u64,
}

/// What the next version is written into.
enum Target {
    Twin(Twin, Box<dyn Claim>),
    Fresh(Arc<dyn FileHandle>),
}

impl Disk {
    pub(crate) fn new(
        storage: Arc<dyn FileSystem>,
        names: Names,
        lock: Box<dyn Lock>,
        published: Option<Arc<Published>>,
        settings: &WriterSettings,
    ) -> Self {
        let (groups, data_end) =
            published.as_ref().map_or((&[][..], 0), |old| (&old.groups, old.data_end));
        let space = Space::new(settings.reuse_after, groups, data_end, Instant::now());
        let publishing = if settings.publish_by_copy {
            Publishing::Copies { reason: "the settings say so" }
        } else {
            Publishing::SmallFile
        };
        Self {
            storage,
            names,
            published,
            twin: None,
            space,
            publishing,
            patience: settings.flush_every,
            twin_bytes_min: settings.twin_bytes_min,
            is_durable: true,
            bytes_written: 0,
            full_copies: 0,
            block: Vec::new(),
            _lock: lock,
        }
    }

    /// Whether what is published would survive a power cut.
    pub(crate) fn is_durable(&self) -> bool {
        self.is_durable
    }

    /// Makes the public name survive a power cut, if it would not.
    pub(crate) fn sync_name(&mut self) -> Result<(), Error> {
        if self.is_durable {
            return Ok(());
        }
        // mutant: version_name_never_synced, failed_directory_sync_forgotten
        let synced = self.storage.sync_dir(parent_of(&self.names.public));
        if synced.is_err() {
            // Nothing is known about what would survive; it might be the retired inode.
            self.discard_twin();
        }
        synced?;
        self.is_durable = true;
        Ok(())
    }

    /// Publishes the version with its new groups; whoever opens the file sees it then. After an error
    /// readers see the version before.
    pub(crate) fn publish(&mut self, version: &Version, encoded: &Encoded) -> Result<Done, Error> {
        let old = self.published.clone();
        let patch = || version.patches(old.as_deref(), &self.names.public);
        // Metadata of a file that was found may be a lie the library stumbles over.
        let patches = contain(patch).map_err(|reason| self.damaged(reason))??;

        let started = Instant::now();
        // I2: whatever inode was retired last.
        // mutant: retired_before_the_exchange_is_durable
        self.sync_name()?;
        let codec = |source| Error::Codec { path: self.names.public.clone(), source };
        let space = (&self.space, started);
        let has_twin = self.twin.is_some();
        let arrange = || version.lay_out(old.as_deref(), encoded, &patches, space, has_twin);
        let layout = contain(arrange).map_err(|reason| self.damaged(reason))?.map_err(codec)?;
        let published = self.write(version, layout, old.as_deref())?;

        let published = Arc::new(published);
        if let Some(old) = old {
            let chunks = |file: &Published| -> Vec<Range<u64>> {
                file.groups.iter().flat_map(|group| group.ranges()).collect()
            };
            let mentioned: HashSet<u64> =
                chunks(&published).into_iter().map(|chunk| chunk.start).collect();
            let chunks = chunks(&old).into_iter();
            let gone = chunks.filter(|chunk| !mentioned.contains(&chunk.start));
            self.space.bury(gone.collect(), Instant::now());
        }
        self.published = Some(Arc::clone(&published));
        let Self { publishing, bytes_written, full_copies, .. } = *self;
        Ok(Done { published, took: started.elapsed(), publishing, bytes_written, full_copies })
    }

    /// Writes the version and gives it the public name.
    fn write(
        &mut self,
        version: &Version,
        layout: Layout,
        old: Option<&Published>,
    ) -> Result<Published, Error> {
        let end = footer::encode(&layout.groups, &version.fields, &version.keys);
        let len = layout.data_end + end.len() as u64;
        let wants_twin = !layout.is_packed && self.wants_twin(len);
        let target = self.target(old, wants_twin || layout.is_packed)?;
        let (file, claim) = match target {
            Target::Twin(mut twin, claim) => {
                let moves = layout.moves_into_twin(&twin.missing);
                if let Err(error) = self.fill(&*twin.file, old, &moves, &layout, &end) {
                    // On a disk that is full, what it has in common with the published file is kept.
                    let kept = old.filter(|_| !layout.is_packed).map(|old| old.data_end);
                    // mutant: failed_write_forgets_what_is_missing
                    if self.keep_or_discard(&mut twin, kept) {
                        self.twin = Some(twin);
                    }
                    return Err(error);
                }
                (twin.file, Some(claim))
            }
            Target::Fresh(file) => {
                self.full_copies += u64::from(old.is_some());
                if let Err(error) = self.fill(&*file, old, &layout.moves, &layout, &end) {
                    let _ = self.storage.remove_file(&self.names.hidden);
                    return Err(error);
                }
                (file, None)
            }
        };
        // A private file stays private. Best effort: not every file system has modes.
        if old.is_some() {
            let _ = self.storage.copy_mode(&self.names.public, &self.names.hidden);
        }
        // mutant: version_not_synced, version_shown_before_its_sync, failed_sync_forgotten
        if let Err(error) = file.sync().and_then(|()| self.show(wants_twin)) {
            // What a failed sync has written is not to be trusted.
            let _ = self.storage.remove_file(&self.names.hidden);
            return Err(error.into());
        }
        drop(claim);
        self.is_durable = false;
        self.retire(old, &layout);
        Ok(Published {
            stamp: file.stamp().ok(),
            file,
            fields: version.fields.clone(),
            groups: layout.groups,
            data_end: layout.data_end,
            keys: version.keys.clone(),
        })
    }

    fn wants_twin(&mut self, len: u64) -> bool {
        let is_large = len >= self.twin_bytes_min;
        match self.publishing {
            Publishing::Copies { .. } => false,
            Publishing::SmallFile | Publishing::Twin => {
                self.publishing = if is_large { Publishing::Twin } else { Publishing::SmallFile };
                is_large
            }
        }
    }

    /// The retired inode if it may be written, else a fresh file; either is under the hidden name.
    fn target(&mut self, old: Option<&Published>, uses_twin: bool) -> Result<Target, Error> {
        if let Some(twin) = self.twin.take().filter(|_| uses_twin) {
            let bytes = old.map_or(0, |old| old.data_end);
            let patience = Duration::from_secs_f64(bytes as f64 / COPY_BYTES_PER_S);
            if let Some(claim) = self.claim(&twin, patience.min(self.patience))? {
                return Ok(Target::Twin(twin, claim));
            }
        }
        // Whatever is there is not needed: the lock says that it is ours, or a leftover.
        match self.storage.remove_file(&self.names.hidden) {
            Err(error) if error.is_not_found() => {}
            removed => removed?,
        }
        let file: Arc<dyn FileHandle> = self.storage.create_new(&self.names.hidden)?.into();
        if self.publishing == Publishing::Twin
            && (matches!(file.claim(), Ok(Exclusive::Unknown)) || file.stamp().is_err())
        {
            let reason = "the file system cannot tell who has a file open";
            self.publishing = Publishing::Copies { reason };
        }
        Ok(Target::Fresh(file))
    }

    /// I3 and I4: a claim on the retired inode, if it may be written.
    fn claim(&mut self, twin: &Twin, patience: Duration) -> Result<Option<Box<dyn Claim>>, Error> {
        let started = Instant::now();
        let claim = loop {
            match twin.file.claim()? {
                Exclusive::Held(claim) => break claim,
                Exclusive::Unknown => return Ok(None),
                // mutant: claim_not_asked_for
                Exclusive::Busy if started.elapsed() >= patience => return Ok(None),
                // mutant: claim_not_asked_for
                Exclusive::Busy => thread::sleep(Duration::from_millis(1)),
            }
        };
        let Names { hidden, public, .. } = &self.names;
        // mutant: stamp_not_compared
        let is_untouched = twin.file.stamp()? == twin.stamp
            && self.storage.stamp(hidden)? == Some(twin.stamp)
            && twin.stamp.names() == 1;
        // I1, should anybody have played with the names.
        let is_public =
            self.storage.stamp(public)?.is_some_and(|public| public.is_same_file(&twin.stamp));
        Ok((is_untouched && !is_public).then_some(claim))
    }

    /// Brings the file up to date: stored bytes, new ones, the footer, and nothing behind it.
    fn fill(
        &mut self,
        file: &dyn FileHandle,
        old: Option<&Published>,
        moves: &[Move],
        layout: &Layout,
        end: &[u8],
    ) -> Result<(), Error> {
        if let Some(old) = old {
            for one in moves {
                self.bytes_written += one.from.end - one.from.start;
                copy(&*old.file, file, one, &mut self.block)?;
            }
        }
        let end = [(layout.data_end, end)];
        let writes = layout.writes.iter().map(|(offset, bytes)| (*offset, &bytes[..]));
        for (offset, bytes) in writes.chain(end) {
            self.bytes_written += bytes.len() as u64;
            file.write_at(offset, bytes)?;
        }
        let len = layout.data_end + end[0].1.len() as u64;
        // mutant: file_not_cut_behind_the_footer
        if file.len()? != len {
            file.set_len(len)?;
        }
        Ok(())
    }

    /// Gives what is under the hidden name the public one.
    fn show(&mut self, wants_twin: bool) -> qstore_storage::Result<()> {
        let Names { hidden, public, .. } = &self.names;
        if wants_twin && self.publishing == Publishing::Twin && self.published.is_some() {
            // mutant: version_deletes_then_renames
            match self.storage.exchange(hidden, public) {
                Err(error) => match error.source.kind() {
                    // Somebody removed the file; this brings it back.
                    ErrorKind::NotFound => {}
                    ErrorKind::Unsupported | ErrorKind::InvalidInput => {
                        let reason = "the file system cannot exchange names";
                        self.publishing = Publishing::Copies { reason };
                    }
                    _ => return Err(error),
                },
                exchanged => return exchanged,
            }
        }
        self.storage.rename(hidden, public)
    }

    /// What is under the hidden name now becomes the twin, if it can be one.
    fn retire(&mut self, old: Option<&Published>, layout: &Layout) {
        let Some(old) = old.filter(|_| self.publishing == Publishing::Twin) else { return };
        let is_there = matches!(self.storage.stamp(&self.names.hidden), Ok(Some(_)));
        if let (Some(stamp), true) = (old.stamp, is_there) {
            let (file, missing) = (Arc::clone(&old.file), layout.written());
            self.twin = Some(Twin { file, stamp, missing });
        } else if is_there {
            // It could not be opened for writing.
            let _ = self.storage.remove_file(&self.names.hidden);
        }
    }

    /// After a failed write: the retired inode, cut to what it has in common with the published one.
    fn keep_or_discard(&mut self, twin: &mut Twin, kept: Option<u64>) -> bool {
        let cut = || {
            let kept = kept.ok_or(())?;
            if twin.file.len().map_err(drop)? > kept {
                twin.file.set_len(kept).map_err(drop)?;
            }
            twin.file.stamp().map_err(drop)
        };
        if let Ok(stamp) = cut() {
            twin.stamp = stamp;
            return true;
        }
        let _ = self.storage.remove_file(&self.names.hidden);
        false
    }

    fn discard_twin(&mut self) {
        if self.twin.take().is_some() {
            let _ = self.storage.remove_file(&self.names.hidden);
        }
    }

    fn damaged(&self, reason: String) -> Error {
        Error::NotParquet { path: self.names.public.clone(), reason }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // After a kill it is left over, and the next writer clears it away.
        self.discard_twin();
    }
}

fn copy(
    from: &dyn FileHandle,
    to: &dyn FileHandle,
    Move { from: range, to: start }: &Move,
    block: &mut Vec<u8>,
) -> qstore_storage::Result<()> {
    let len = range.end - range.start;
    if (block.len() as u64) < len.min(BLOCK) {
        block.resize(len.min(BLOCK) as usize, 0);
    }
    let mut done = 0;
    while done < len {
        let count = (len - done).min(BLOCK);
        let block = &mut block[..count as usize];
        from.read_at(range.start + done, block)?;
        to.write_at(start + done, block)?;
        done += count;
    }
    Ok(())
}
