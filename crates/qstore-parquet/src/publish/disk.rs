//! Publishes versions of the file; what readers see is a whole file at every moment.
//!
//! Two inodes hold the same log. Readers see one; the other, the *retired* one or *twin*, has only a
//! hidden name. A flush brings the twin up to date, syncs it, and exchanges the names of the two. So
//! what is new is written twice, and nothing else, however large the file is. Four invariants hold:
//!
//! * **I1** The published inode is never written.
//! * **I2** A retired inode is written only after the exchange that retired it is durable: before
//!   that, a power cut would restore its public name.
//! * **I3** Before it is written it is unchanged since it was retired: the hidden name leads to it, it
//!   has no other name, and its length and its time of change are the same.
//! * **I4** Before it is written nobody else has it open, and nobody can open it meanwhile.
//!
//! Where one of them does not hold or cannot be checked, and while the file is small, a version is a
//! copy. Either way, the bytes that a footer refers to stay in place for a while: see [`Space`].
//!
//! A fifth invariant holds for what others put under the public name:
//!
//! * **I5** Nothing is replaced but the version before. The names are exchanged even where the old inode
//!   is not kept, what was retired is identified, and it gets its name back if it is not that version; see
//!   [`Place`]. Where nothing has the name, it is taken by a link, which fails if the name is taken.
//!
//! Where names cannot be exchanged, or there are no links, the name is looked at and then renamed over: what
//! is put there between the two system calls is replaced.

use crate::error::WriteError;
use crate::format::encoded_group::EncodedGroups;
use crate::format::footer;
use crate::format::published::Published;
use crate::format::read_failure::contain;
use crate::format::stored::{Stored, merged};
use crate::publish::layout::{Layout, Move, Version};
use crate::publish::layout_error::LayoutError;
use crate::publish::names::Names;
use crate::publish::ownership::{Place, Present};
use crate::publish::space::Space;
use qstore_os::ForkCheck;
use qstore_storage::{Claim, Exclusive, FileHandle, FileSystem, Stamp, parent_of};
use std::collections::HashSet;
use std::mem;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// The number of bytes that are copied at a time.
const BLOCK: u64 = 1 << 20;

/// The speed that is assumed for a copy of the file. Readers of the retired inode are waited for as long
/// as a copy would take, so that waiting never costs more than twice the better choice.
const COPY_BYTES_PER_S: f64 = 256e6;

/// How a version of the file is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Publishing {
    /// As a copy that takes the name of the version before, because the file is small.
    SmallFile,
    /// Two copies of the file are kept and exchange their names: the cost hardly depends on its size.
    Twin,
    /// As a copy that takes the name of the version before: the cost grows with the file, and so does the pause between
    /// two publications.
    Copies {
        /// Why two copies cannot be kept.
        reason: &'static str,
    },
}

/// The settings of a log that concern publishing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Policy {
    /// The longest wait for readers of the retired inode.
    pub(crate) patience: Duration,
    pub(crate) publish_by_copy: bool,
    /// Files that are smaller are copied.
    pub(crate) twin_bytes_min: u64,
    /// How long bytes that a version no longer refers to stay in place.
    pub(crate) reuse_after: Duration,
    /// Whether its footer does, too, so that the file never becomes shorter.
    pub(crate) keeps_footers: bool,
}

/// The file and its twin.
#[derive(Debug)]
pub(crate) struct Disk {
    /// The directory that was opened.
    pub(super) storage: Arc<dyn FileSystem>,
    pub(super) names: Names,
    pub(super) published: Option<Arc<Published>>,
    /// The retired inode, under the hidden name.
    twin: Option<Twin>,
    /// What was last left under the hidden name, if it may still be there. Nothing else is removed there.
    own: Option<Arc<dyn FileHandle>>,
    /// A version that was shown in the place of something that is not ours, and still is: that thing has the
    /// hidden name, and gets its own back first of all.
    undo: Option<Arc<dyn FileHandle>>,
    can_exchange: bool,
    space: Space,
    publishing: Publishing,
    /// The longest wait for readers of the retired inode.
    patience: Duration,
    /// Files that are smaller are copied.
    twin_bytes_min: u64,
    /// Whether the public name would survive a power cut.
    pub(super) is_durable: bool,
    bytes_written: u64,
    full_copies: u64,
    /// A buffer for copies from one inode to the other.
    block: Vec<u8>,
    /// The process that may write the files.
    home: ForkCheck,
    /// Has the lock, which is released last.
    pub(super) place: Place,
}

#[derive(Debug)]
struct Twin {
    file: Arc<dyn FileHandle>,
    /// Its stamp when it was retired.
    stamp: Stamp,
    /// The ranges of the published version that it lacks.
    missing: Vec<Range<u64>>,
}

/// A version that was published.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) published: Arc<Published>,
    /// The duration, without the encoding.
    pub(crate) took: Duration,
    pub(crate) publishing: Publishing,
    pub(crate) bytes_written: u64,
    pub(crate) full_copies: u64,
    /// Whether the groups that were to become one did.
    pub(crate) has_joined: bool,
    /// Where the file is; its directory may have been renamed.
    pub(crate) path: PathBuf,
}

/// A version that has the public name.
struct Shown {
    /// Whether the version before has the hidden one.
    is_swapped: bool,
    stamp: Option<Stamp>,
}

/// What became of an exchange.
enum Swap {
    /// The version is public, and the one before has the hidden name.
    Done,
    /// Nothing has the public name.
    Missing,
    /// The file system cannot exchange names.
    Impossible,
}

/// The file that the next version is written into.
enum Target {
    Twin(Twin, Box<dyn Claim>),
    Fresh(Arc<dyn FileHandle>),
}

impl Disk {
    pub(crate) fn new(place: Place, published: Option<Arc<Published>>, policy: Policy) -> Self {
        let (groups, data_end) =
            published.as_ref().map_or((&[][..], 0), |old| (&old.groups, old.data_end));
        let mut space = Space::new(policy.reuse_after, groups, data_end, Instant::now());
        if policy.keeps_footers {
            space = space.keeping_footers(data_end..published.as_ref().map_or(0, |old| old.len));
        }
        let publishing = if policy.publish_by_copy {
            Publishing::Copies { reason: "publish_by_copy is set" }
        } else {
            Publishing::SmallFile
        };
        // A writer that was killed may have published a version whose name is not synced yet.
        // mutant: name_of_an_earlier_session_believed
        let is_durable = published.is_none();
        Self {
            storage: Arc::clone(&place.dir),
            names: place.names.clone(),
            published,
            twin: None,
            own: None,
            undo: None,
            can_exchange: true,
            space,
            publishing,
            patience: policy.patience,
            twin_bytes_min: policy.twin_bytes_min,
            is_durable,
            bytes_written: 0,
            full_copies: 0,
            block: Vec::new(),
            home: ForkCheck::new(),
            place,
        }
    }

    /// Whether what is published would survive a power cut.
    pub(crate) fn is_durable(&self) -> bool {
        self.is_durable
    }

    /// Makes the public name survive a power cut, unless it already would.
    pub(crate) fn sync_name(&mut self) -> Result<(), WriteError> {
        self.check_process()?;
        if self.is_durable {
            return Ok(());
        }
        // mutant: version_name_never_synced, failed_directory_sync_forgotten
        let synced = self.storage.sync_dir(parent_of(&self.names.public));
        if synced.is_err() {
            // It is unknown which name would survive; it might be that of the retired inode.
            self.discard_twin();
        }
        synced?;
        self.is_durable = true;
        Ok(())
    }

    /// Publishes the version with its new groups: from then on, a reader that opens the file sees it.
    /// After an error readers see the version before, or what someone else has put in its place.
    pub(crate) fn publish(
        &mut self,
        version: &Version,
        encoded: &EncodedGroups,
    ) -> Result<Done, WriteError> {
        self.check_process()?;
        let published = self.replace(version, encoded);
        published.map_err(|error| self.place.explain(error))
    }

    fn replace(&mut self, version: &Version, encoded: &EncodedGroups) -> Result<Done, WriteError> {
        self.undo()?;
        // Nothing is written for a place that is no longer ours. The file is proved again when it is shown.
        self.place.prove(self.published.as_deref())?;
        let old = self.published.clone();
        // The metadata of an existing file may be malformed in a way that makes the library panic.
        let patches =
            contain(|| version.patches(old.as_deref())).map_err(|error| self.refused(error))?;

        let started = Instant::now();
        // I2, for the inode that was retired last.
        // mutant: retired_before_the_exchange_is_durable
        self.sync_name()?;
        let space = (&self.space, started);
        let has_twin = self.twin.is_some();
        let layout =
            contain(|| version.lay_out(old.as_deref(), encoded, &patches, space, has_twin))
                .map_err(|error| self.refused(error))?;
        let has_joined = layout.has_joined;
        let published = self.write(version, layout, old.as_deref())?;

        let published = Arc::new(published);
        if let Some(old) = old {
            self.space.bury(gone(&old, &published), Instant::now());
        }
        self.space.bury_footer(&(published.data_end..published.len), Instant::now());
        self.published = Some(Arc::clone(&published));
        let Self { publishing, bytes_written, full_copies, .. } = *self;
        let (took, path) = (started.elapsed(), self.place.path.clone());
        Ok(Done { published, took, publishing, bytes_written, full_copies, has_joined, path })
    }

    /// Writes the version and gives it the public name.
    fn write(
        &mut self,
        version: &Version,
        layout: Layout,
        old: Option<&Published>,
    ) -> Result<Published, WriteError> {
        let end = footer::encode(&layout.groups, &version.shape, &version.keys);
        let len = layout.data_end + end.len() as u64;
        // A file that is closed and not packed is written from scratch, so that what is free in it takes no space.
        let is_sparse = version.closes && self.space.keeps_footers();
        let wants_twin = !layout.is_packed && !is_sparse && self.wants_twin(len);
        // Even an empty file that is not continued.
        let replaces = self.storage.metadata(&self.names.public)?.is_some();
        let target = self.target(old, wants_twin || layout.is_packed, replaces)?;
        // Before the first byte: anyone who may not read the public file may not read the next one.
        self.take_over_permissions(replaces)?;
        let (file, claim) = match target {
            Target::Twin(mut twin, claim) => {
                let moves = layout.moves_into_twin(&twin.missing);
                if let Err(error) = self.fill(&*twin.file, old, &moves, &layout, &end) {
                    // What was overwritten may belong to groups that the version before still has.
                    // mutant: failed_write_forgets_what_it_overwrote
                    twin.missing =
                        merged([mem::take(&mut twin.missing), layout.written()].concat());
                    // On a full disk the part that it shares with the published file is kept.
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
                    let _ = self.clear_hidden();
                    return Err(error);
                }
                (file, None)
            }
        };
        self.take_over_permissions(replaces)?;
        // mutant: version_not_synced, version_shown_before_its_sync, failed_sync_forgotten
        let shown = file.sync().map_err(WriteError::from).and_then(|()| self.show(&file));
        let Shown { is_swapped, stamp } = match shown {
            Ok(shown) => shown,
            Err(error) => {
                // After a failed sync the bytes cannot be trusted.
                let _ = self.clear_hidden();
                return Err(error);
            }
        };
        drop(claim);
        self.is_durable = false;
        self.place.known = stamp;
        if let Some(old) = old.filter(|_| is_swapped) {
            self.retire(old, &layout, len, wants_twin);
        }
        Ok(Published {
            stamp,
            file,
            shape: Arc::clone(&version.shape),
            groups: layout.groups,
            data_end: layout.data_end,
            len,
            keys: version.keys.clone(),
            end_sum: Some(crc32c::crc32c(&end)),
            decoded: Mutex::default(),
            split: Mutex::default(),
        })
    }

    /// Gives the next version the permissions of the public file; a new file is private until then.
    fn take_over_permissions(&mut self, replaces: bool) -> qstore_storage::Result<()> {
        if !replaces {
            return Ok(());
        }
        match self.storage.copy_mode(&self.names.public, &self.names.hidden) {
            // Not every file system has modes, and another program may have removed the file.
            Err(error) if !error.is_unsupported() && !error.is_not_found() => {
                let _ = self.clear_hidden();
                Err(error)
            }
            _ => Ok(()),
        }
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

    /// The retired inode if it may be written, otherwise a new file; either has the hidden name.
    fn target(
        &mut self,
        old: Option<&Published>,
        uses_twin: bool,
        replaces: bool,
    ) -> Result<Target, WriteError> {
        if let Some(twin) = self.twin.take().filter(|_| uses_twin) {
            let bytes = old.map_or(0, |old| old.data_end);
            let patience = Duration::from_secs_f64(bytes as f64 / COPY_BYTES_PER_S);
            if let Some(claim) = self.claim(&twin, patience.min(self.patience))? {
                return Ok(Target::Twin(twin, claim));
            }
        }
        self.clear_hidden()?;
        let hidden = &self.names.hidden;
        let created = if replaces {
            self.storage.create_private(hidden)
        } else {
            self.storage.create_new(hidden)
        };
        let file: Arc<dyn FileHandle> = match created {
            Err(error) if error.is_already_exists() => return Err(self.hidden_is_taken()),
            created => created?.into(),
        };
        self.own = Some(Arc::clone(&file));
        if self.publishing == Publishing::Twin
            && (matches!(file.claim(), Ok(Exclusive::Unknown)) || file.stamp().is_err())
        {
            let reason = "the file system cannot tell whether a file is open elsewhere";
            self.publishing = Publishing::Copies { reason };
        }
        Ok(Target::Fresh(file))
    }

    /// I3 and I4: a claim on the retired inode, if it may be written.
    fn claim(
        &mut self,
        twin: &Twin,
        patience: Duration,
    ) -> Result<Option<Box<dyn Claim>>, WriteError> {
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
        // I1, in case another program has changed the names.
        let is_public =
            self.storage.stamp(public)?.is_some_and(|public| public.is_same_file(&twin.stamp));
        Ok((is_untouched && !is_public).then_some(claim))
    }

    /// Brings the file up to date: stored bytes, new ones, the footer, and nothing after it.
    fn fill(
        &mut self,
        file: &dyn FileHandle,
        old: Option<&Published>,
        moves: &[Move],
        layout: &Layout,
        end: &[u8],
    ) -> Result<(), WriteError> {
        if let Some(old) = old {
            self.bytes_written +=
                moves.iter().map(|one| one.from.end - one.from.start).sum::<u64>();
            let mut gather = Gather { start: 0, bytes: mem::take(&mut self.block) };
            for one in moves {
                gather.copy(&*old.file, file, one)?;
            }
            gather.write(file)?;
            self.block = gather.bytes;
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

    /// Gives the file with the hidden name the public name.
    fn show(&mut self, file: &Arc<dyn FileHandle>) -> Result<Shown, WriteError> {
        // Before anyone else can open it: what changes later was changed by someone else.
        let stamp = known_stamp(&**file)?;
        let mut present = self.place.prove_file(self.published.as_deref())?;
        if present == Present::Ours && self.can_exchange {
            match self.swap(file)? {
                Swap::Done => return Ok(Shown { is_swapped: true, stamp }),
                Swap::Missing => present = Present::Nothing,
                // Directly before the names are changed, once more.
                Swap::Impossible => present = self.place.prove_file(self.published.as_deref())?,
            }
        }
        match present {
            Present::Nothing => self.show_where_nothing_is()?,
            Present::Ours | Present::Unknown => self.rename()?,
        }
        Ok(Shown { is_swapped: false, stamp })
    }

    /// Exchanges the names and identifies what was retired.
    fn swap(&mut self, file: &Arc<dyn FileHandle>) -> Result<Swap, WriteError> {
        let Names { hidden, public, .. } = &self.names;
        // mutant: version_deletes_then_renames
        match self.storage.exchange(hidden, public) {
            Ok(()) => {}
            Err(error) if error.is_not_found() => return Ok(Swap::Missing),
            Err(error) if error.is_unsupported() => {
                self.can_exchange = false;
                if self.publishing == Publishing::Twin {
                    let reason = "the file system cannot exchange names";
                    self.publishing = Publishing::Copies { reason };
                }
                return Ok(Swap::Impossible);
            }
            Err(error) => return Err(error.into()),
        }
        let retired = self.storage.stamp(hidden);
        let is_known =
            |stamp: Stamp| self.place.known.is_some_and(|known| stamp.is_unchanged_since(&known));
        // mutant: retired_file_not_identified
        if matches!(retired, Ok(Some(stamp)) if is_known(stamp)) {
            self.own = self.published.as_ref().map(|old| Arc::clone(&old.file));
            if self.own.is_none() {
                let _ = self.storage.remove_file(hidden); // an empty file
            }
            return Ok(Swap::Done);
        }
        let found = self.place.kind_of(hidden);
        self.undo = Some(Arc::clone(file));
        // If this fails, the next publication begins with it.
        self.undo()?;
        retired?;
        Err(self.place.occupied(found))
    }

    /// Gives the name back to what an exchange took it from. The version that was shown is not ours to show.
    pub(super) fn undo(&mut self) -> Result<(), WriteError> {
        let Some(file) = &self.undo else { return Ok(()) };
        let Names { hidden, public, .. } = &self.names;
        let shown = file.stamp()?;
        if self.storage.stamp(public)?.is_some_and(|found| found.is_same_file(&shown)) {
            // mutant: what_was_not_ours_stays_hidden
            self.storage.exchange(hidden, public)?;
            // Best effort: until then a power cut could leave the two as they were.
            let _ = self.storage.sync_dir(parent_of(public));
        }
        self.own = self.undo.take();
        Ok(self.clear_hidden()?)
    }

    /// Takes the public name, which leads to nothing.
    fn show_where_nothing_is(&mut self) -> Result<(), WriteError> {
        let Names { hidden, public, .. } = &self.names;
        match self.storage.link(hidden, public) {
            Ok(()) => {
                // If it fails, the next publication does it.
                let _ = self.clear_hidden();
                Ok(())
            }
            Err(error) if error.is_unsupported() => {
                self.place.prove_file(self.published.as_deref())?;
                self.rename()
            }
            Err(error) if error.is_already_exists() => {
                self.place.prove_file(self.published.as_deref())?;
                Err(error.into()) // it has gone since
            }
            Err(error) => Err(error.into()),
        }
    }

    fn rename(&mut self) -> Result<(), WriteError> {
        self.storage.rename(&self.names.hidden, &self.names.public)?;
        self.own = None;
        Ok(())
    }

    /// The old version, which now has the hidden name, becomes the twin, if it can and should.
    fn retire(&mut self, old: &Published, layout: &Layout, len: u64, wants_twin: bool) {
        match old.stamp.filter(|_| wants_twin && self.publishing == Publishing::Twin) {
            Some(stamp) => {
                let (file, mut missing) = (Arc::clone(&old.file), layout.written());
                if self.space.keeps_footers() {
                    missing.push(layout.data_end..len);
                    missing = merged(missing);
                }
                self.twin = Some(Twin { file, stamp, missing });
            }
            // If it fails, the next publication does it.
            None => drop(self.clear_hidden()),
        }
    }

    /// After a failed write: cuts the retired inode to the part it shares with the published one.
    fn keep_or_discard(&mut self, twin: &mut Twin, kept: Option<u64>) -> bool {
        if let Some(Ok(stamp)) = kept.map(|kept| cut(&*twin.file, kept)) {
            twin.stamp = stamp;
            return true;
        }
        let _ = self.clear_hidden();
        false
    }

    /// Removes the retired inode: no further version will be written.
    pub(super) fn forget_twin(&mut self) -> qstore_storage::Result<()> {
        self.twin = None;
        self.clear_hidden()
    }

    fn discard_twin(&mut self) {
        if self.twin.take().is_some() {
            let _ = self.clear_hidden();
        }
    }

    /// The parent of a forked child goes on with the files.
    pub(super) fn check_process(&self) -> Result<(), WriteError> {
        // mutant: publish_in_a_forked_child
        if self.home.is_forked() {
            return Err(WriteError::Forked { path: self.place.path.clone() });
        }
        Ok(())
    }

    /// Removes the hidden name, if it leads to a file of ours.
    fn clear_hidden(&mut self) -> qstore_storage::Result<()> {
        let Some(own) = &self.own else { return Ok(()) };
        let is_own = match self.storage.stamp(&self.names.hidden) {
            Ok(None) => false,
            Ok(Some(found)) => found.is_same_file(&own.stamp()?),
            Err(error) if error.is_unsupported() => true,
            Err(error) => return Err(error),
        };
        // mutant: hidden_name_removed_whatever_it_is
        if is_own {
            match self.storage.remove_file(&self.names.hidden) {
                Err(error) if error.is_not_found() => {}
                removed => removed?,
            }
        }
        self.own = None;
        Ok(())
    }

    /// Something that is not ours has the hidden name.
    fn hidden_is_taken(&self) -> WriteError {
        let path = self.place.path.with_file_name(&self.names.hidden);
        WriteError::Occupied { path, found: self.place.kind_of(&self.names.hidden), waiting: 0 }
    }

    fn refused(&self, error: LayoutError) -> WriteError {
        error.at(&self.place.path)
    }
}

impl Disk {
    /// Lets other writers in, and leaves nothing but the file.
    pub(crate) fn release(&mut self) {
        let _ = self.undo();
        // After a kill the twin is left over, and the next writer removes it.
        self.twin = None;
        let _ = self.clear_hidden();
        self.place.release();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // A forked child has only a copy of what is open.
        // mutant: twin_removed_in_a_forked_child
        if !self.home.is_forked() {
            self.release();
        }
    }
}

/// The chunks of a version that the next one does not refer to.
fn gone(old: &Published, new: &Published) -> Vec<Range<u64>> {
    // Most groups are the same in both.
    let groups = |file: &Published| -> HashSet<_> { file.groups.iter().map(Arc::as_ptr).collect() };
    let chunks = |file: &Published, others: &HashSet<*const Stored>| -> Vec<Range<u64>> {
        let changed = file.groups.iter().filter(|group| !others.contains(&Arc::as_ptr(group)));
        changed.flat_map(|group| group.ranges()).collect()
    };
    let mut gone = chunks(old, &groups(new));
    // A group that was changed shares chunks with what it was only where columns were added.
    if Arc::ptr_eq(&old.shape, &new.shape) {
        return gone;
    }
    let mentioned = chunks(new, &groups(old)).into_iter().map(|chunk| chunk.start);
    let mentioned: HashSet<u64> = mentioned.collect();
    gone.retain(|chunk| !mentioned.contains(&chunk.start));
    gone
}

/// The stamp of a file; `None` where the file system cannot tell files apart.
pub(crate) fn known_stamp(file: &dyn FileHandle) -> qstore_storage::Result<Option<Stamp>> {
    match file.stamp() {
        Err(error) if error.is_unsupported() => Ok(None),
        stamp => stamp.map(Some),
    }
}

/// Cuts the file to that length, if it is longer; returns its new stamp.
fn cut(file: &dyn FileHandle, len: u64) -> qstore_storage::Result<Stamp> {
    if file.len()? > len {
        file.set_len(len)?;
    }
    file.stamp()
}

/// Bytes that are back to back in a file that is written, until there are enough of them: joined groups are
/// copied in small pieces.
struct Gather {
    start: u64,
    bytes: Vec<u8>,
}

impl Gather {
    /// Copies bytes of one file to another.
    fn copy(
        &mut self,
        from: &dyn FileHandle,
        to: &dyn FileHandle,
        Move { from: range, to: start }: &Move,
    ) -> qstore_storage::Result<()> {
        if self.start + self.bytes.len() as u64 != *start {
            self.write(to)?;
            self.start = *start;
        }
        let mut at = range.start;
        while at < range.end {
            if self.bytes.len() as u64 >= BLOCK {
                self.write(to)?;
            }
            let count = (range.end - at).min(BLOCK - self.bytes.len() as u64) as usize;
            let len = self.bytes.len();
            self.bytes.resize(len + count, 0);
            from.read_at(at, &mut self.bytes[len..])?;
            at += count as u64;
        }
        Ok(())
    }

    /// Writes what was gathered.
    fn write(&mut self, to: &dyn FileHandle) -> qstore_storage::Result<()> {
        if !self.bytes.is_empty() {
            to.write_at(self.start, &self.bytes)?;
            self.start += self.bytes.len() as u64;
            self.bytes.clear();
        }
        Ok(())
    }
}
