//! Linux file leases, which reveal whether a file is open elsewhere. On other systems nothing is known.
//!
//! A lease is believed only after it is proven, with the file itself, that it reveals every reader:
//!
//! * Every reader has to come through this kernel: see [`kind`].
//! * A mapping has to count as a reader after its descriptor is closed; most libraries read that way. On
//!   overlayfs it does not, because there the mapping holds the file of the layer below. So the file is
//!   mapped, closed, and a lease is requested: it must be refused.
//!
//! `unsafe` for three system calls that no safe wrapper offers.

#![allow(unsafe_code)]

#[cfg(target_os = "linux")]
use crate::cannot::cannot;
#[cfg(target_os = "linux")]
use crate::error::Operation;
use crate::in_place::{Claim, Exclusive};
#[cfg(target_os = "linux")]
use crate::kind;
use qstore_os::ForkCheck;
use std::fs::File;
use std::io;
use std::sync::{Arc, OnceLock};

/// `F_SETSIG` of `asm-generic/fcntl.h`, which the `libc` crate does not have.
#[cfg(target_os = "linux")]
const F_SETSIG: libc::c_int = 10;

/// How often a mapping is tried. Another program that opens and closes the file during a trial could be
/// mistaken for the mapping; it would have to do so in each of them, within microseconds.
#[cfg(target_os = "linux")]
const TRIALS: usize = 3;

/// Whether the leases of one open file reveal every reader, once that is known.
#[derive(Debug, Default)]
pub(crate) struct Proof(OnceLock<bool>);

/// Requests a write lease. The system grants it only if this is the only open file of its inode.
#[cfg(target_os = "linux")]
pub(crate) fn claim(file: &Arc<File>, proof: &Proof) -> io::Result<Exclusive> {
    let is_proven = match proof.0.get() {
        Some(is_proven) => *is_proven,
        None => match reveals_every_reader(file)? {
            Some(answer) => *proof.0.get_or_init(|| answer),
            None => return Ok(Exclusive::Busy),
        },
    };
    // mutant: unproven_lease_believed
    if is_proven { ask(file) } else { Ok(Exclusive::Unknown) }
}

/// `None` while that cannot be tried because somebody has the file open.
#[cfg(target_os = "linux")]
fn reveals_every_reader(file: &Arc<File>) -> io::Result<Option<bool>> {
    // mutant: readers_below_forgotten
    if !kind::is_of_this_kernel(file) {
        return Ok(Some(false));
    }
    counts_mappings(file)
}

/// Whether a mapping whose descriptor is closed keeps a lease away; `None` as above.
#[cfg(target_os = "linux")]
fn counts_mappings(file: &Arc<File>) -> io::Result<Option<bool>> {
    for _ in 0..TRIALS {
        match ask(file)? {
            Exclusive::Held(lease) => drop(lease), // opening the file again would wait for its end
            Exclusive::Busy => return Ok(None),
            Exclusive::Unknown => return Ok(Some(false)),
        }
        let mapping = match Mapping::of(file) {
            Ok(mapping) => mapping,
            Err(error) if is_passing(&error) => return Ok(None),
            // It cannot be mapped here, or not be opened again: nothing is proven.
            Err(_) => return Ok(Some(false)),
        };
        let asked = ask(file)?;
        drop(mapping);
        // mutant: mapping_does_not_count
        if !matches!(asked, Exclusive::Busy) {
            return Ok(Some(false));
        }
    }
    // What kept the lease away must have been the mapping.
    Ok(matches!(ask(file)?, Exclusive::Held(_)).then_some(true))
}

/// Whether the same could succeed later: out of memory or descriptors, or another holder of a lease.
#[cfg(target_os = "linux")]
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::EAGAIN | libc::EINTR)
    )
}

#[cfg(target_os = "linux")]
fn ask(file: &Arc<File>) -> io::Result<Exclusive> {
    // Opening the file while the lease is held sends this process a signal. The default one would end it;
    // this one is ignored unless it is handled.
    let asked = fcntl(file, F_SETSIG, libc::SIGURG)
        .and_then(|()| fcntl(file, libc::F_SETLEASE, libc::F_WRLCK));
    match asked {
        Ok(()) => {
            let lease = Lease { file: Arc::clone(file), home: ForkCheck::new() };
            Ok(Exclusive::Held(Box::new(lease)))
        }
        Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => Ok(Exclusive::Busy),
        // A file of another owner, or a file system or kernel without leases.
        Err(error) if cannot(Operation::Claim, &error) => Ok(Exclusive::Unknown),
        Err(error) => Err(error),
    }
}

/// A page of a file, mapped as readers do it: through an open file of their own that is closed again.
#[cfg(target_os = "linux")]
struct Mapping(*mut libc::c_void);

#[cfg(target_os = "linux")]
impl Mapping {
    const LEN: libc::size_t = 1;

    fn of(file: &File) -> io::Result<Self> {
        use std::os::fd::AsRawFd;
        use std::os::unix::fs::OpenOptionsExt;
        // The file itself, whatever has its name by now; without waiting for another holder of a lease.
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let reader = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
        let (anywhere, fd) = (std::ptr::null_mut(), reader.as_raw_fd());
        // SAFETY: the descriptor is open during the call, and the system chooses an address that is free.
        // Nothing reads the mapping, so it does not matter how long the file is.
        let start =
            unsafe { libc::mmap(anywhere, Self::LEN, libc::PROT_READ, libc::MAP_SHARED, fd, 0) };
        if start == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(Self(start)) }
    }
}

#[cfg(target_os = "linux")]
impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range was mapped by `of`, and nothing refers to it.
        let _ = unsafe { libc::munmap(self.0, Self::LEN) };
    }
}

/// Other systems have no leases.
#[cfg(not(target_os = "linux"))]
pub(crate) fn claim(_: &Arc<File>, _: &Proof) -> io::Result<Exclusive> {
    Ok(Exclusive::Unknown)
}

/// A write lease; opening the file waits until it ends.
#[cfg(target_os = "linux")]
#[derive(Debug)]
struct Lease {
    file: Arc<File>,
    home: ForkCheck,
}

#[cfg(target_os = "linux")]
impl Claim for Lease {}

#[cfg(target_os = "linux")]
impl Drop for Lease {
    fn drop(&mut self) {
        // A forked child shares the open file with its parent, so this would end the lease of the parent.
        // mutant: lease_ended_in_a_forked_child
        if !self.home.is_forked() {
            // Closing the file would release it as well.
            let _ = fcntl(&self.file, libc::F_SETLEASE, libc::F_UNLCK);
        }
    }
}

#[cfg(target_os = "linux")]
fn fcntl(file: &File, command: libc::c_int, argument: libc::c_int) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    // SAFETY: the descriptor is open as long as `file` is borrowed, and both commands used here take
    // one integer and access no memory of this process.
    let answer = unsafe { libc::fcntl(file.as_raw_fd(), command, argument) };
    if answer == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::{Mapping, counts_mappings};
    use crate::{Exclusive, FileSystem, LocalFs};
    use qstore_os::testing::{Fork, in_child};
    use std::fs::File;
    use std::path::Path;
    use std::process::Command;
    use std::sync::Arc;
    use std::sync::mpsc;
    use std::thread;

    #[test]
    fn opening_a_claimed_file_waits_until_the_claim_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let file = LocalFs.create_new(&path).unwrap();
        let Exclusive::Held(claim) = file.claim().unwrap() else {
            return; // a file system without leases; the fallback has its own tests
        };
        let (sender, opened) = mpsc::channel();
        let reader = thread::spawn(move || {
            let opened = File::open(path).unwrap();
            sender.send(()).unwrap();
            opened
        });
        file.write_at(0, b"whole").unwrap();
        assert!(opened.try_recv().is_err(), "the file was opened while it was claimed");
        drop(claim);
        let reader = reader.join().unwrap();
        assert!(matches!(file.claim().unwrap(), Exclusive::Busy));
        drop(reader);
        assert!(matches!(file.claim().unwrap(), Exclusive::Held(_)));
    }

    /// The same answer before the proof as after it.
    #[test]
    fn a_file_that_is_mapped_elsewhere_is_busy() {
        let dir = tempfile::tempdir().unwrap();
        let file = LocalFs.create_new(&dir.path().join("file")).unwrap();
        let mapping = Mapping::of(&File::open(dir.path().join("file")).unwrap()).unwrap();
        assert!(!matches!(file.claim().unwrap(), Exclusive::Held(_)));
        drop(mapping);
        let is_known = matches!(file.claim().unwrap(), Exclusive::Held(_));
        let mapping = Mapping::of(&File::open(dir.path().join("file")).unwrap()).unwrap();
        let claim = file.claim().unwrap();
        assert!(
            matches!(claim, Exclusive::Busy) || !is_known && matches!(claim, Exclusive::Unknown)
        );
        drop(mapping);
    }

    /// Run again on an overlayfs, where this holds.
    #[test]
    fn a_file_system_that_does_not_count_mappings_is_found_out() {
        const PLACE: &str = "overlay-on-tmpfs";
        if std::env::var("QSTORE_PLACE").is_ok_and(|place| place == PLACE) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("file");
            let file = Arc::new(File::create_new(&path).unwrap());
            assert_eq!(counts_mappings(&file).unwrap(), Some(false));
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let run = |program: &Path, arguments: &[&str]| {
            let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/places/run_on.sh");
            let place = dir.path().join(program.file_name().unwrap());
            std::fs::create_dir(&place).unwrap();
            let mut command = Command::new("sh");
            command.args([&script, Path::new(PLACE), &place, program]).args(arguments);
            command.output().unwrap()
        };
        if !run(Path::new("true"), &[]).status.success() {
            println!("not tested: no overlayfs can be mounted here");
            return;
        }
        let this = std::env::current_exe().unwrap();
        let test = "lease::tests::a_file_system_that_does_not_count_mappings_is_found_out";
        let done = run(&this, &[test, "--exact"]);
        let said = String::from_utf8_lossy(&done.stdout);
        assert!(done.status.success() && said.contains(" 1 passed"), "{said}");
    }

    #[test]
    fn a_file_that_somebody_has_open_is_judged_later() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let file = Arc::new(File::create_new(&path).unwrap());
        let reader = File::open(&path).unwrap();
        assert_eq!(counts_mappings(&file).unwrap(), None);
        drop(reader);
        assert!(counts_mappings(&file).unwrap().is_some());
    }

    /// The file would be opened while its writer believes that nobody can.
    #[test]
    fn a_claim_that_a_forked_child_drops_is_still_held_by_its_parent() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let file = LocalFs.create_new(&path).unwrap();
        for fork in Fork::ALL {
            let Exclusive::Held(claim) = file.claim().unwrap() else {
                return; // a file system without leases
            };
            let mut claim = Some(claim);
            in_child(fork, || drop(claim.take())).unwrap();
            let (sender, opened) = mpsc::channel();
            let reader = thread::spawn({
                let path = path.clone();
                move || {
                    let opened = File::open(path).unwrap();
                    sender.send(()).unwrap();
                    opened
                }
            });
            // The system has told us that somebody waits to open the file: it is held.
            while lease_of(&path) != Some(true) {
                assert!(opened.try_recv().is_err(), "{fork:?}: the file could be opened");
                thread::yield_now();
            }
            drop(claim);
            drop(reader.join().unwrap());
        }
    }

    /// Whether the lease on a file is being broken; `None` if there is no lease.
    fn lease_of(path: &Path) -> Option<bool> {
        use std::os::unix::fs::MetadataExt as _;
        let inode = format!(":{} ", std::fs::metadata(path).unwrap().ino());
        let locks = std::fs::read_to_string("/proc/locks").unwrap();
        let lease = locks.lines().find(|line| line.contains("LEASE") && line.contains(&inode))?;
        Some(lease.contains("BREAKING"))
    }
}
