//! Checkpoints that lie in a lower layer of overlayfs, as everything does that comes with a container's
//! image: their directories cannot be renamed, so they are replaced and removed in place.
//!
//! Mounting takes root. The test starts itself again in a mount namespace of its own, so that nothing stays
//! mounted; where that is not possible it says so, and the same is tried with a file system in memory in
//! the tests of `qstore-zarr`.

use qstore::{CheckpointManager, CheckpointSettings, Layout, Snapshot, StateDict, Tensor};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);
/// Set for the process inside the namespace: the directory that has both layers.
const MERGED: &str = "QSTORE_OVERLAY";
/// A place to mount something.
const CANNOT_MOUNT: i32 = 77;

/// Mounts an overlay over `$1/lower`, with its upper layer in `$1`, or in a tmpfs if `$2` says so.
const SCRIPT: &str = r#"
mount --make-rprivate / 2>/dev/null
top="$1/top"
mkdir -p "$top" "$1/merged"
if [ "$2" = tmpfs ]; then mount -t tmpfs none "$top" || exit 77; fi
mkdir "$top/upper" "$top/work" || exit 77
mount -t overlay overlay -o "lowerdir=$1/lower,upperdir=$top/upper,workdir=$top/work" "$1/merged" || exit 77
shift 2
exec "$@"
"#;

const KINDS: [(&str, Layout, bool); 3] = [
    ("file", Layout::SingleFile, false),
    ("directory", Layout::Directory, false),
    ("shared", Layout::Directory, true),
];

fn settings((_, layout, deduplicate): (&str, Layout, bool)) -> CheckpointSettings {
    CheckpointSettings::default().keep_last(2).layout(layout).deduplicate(deduplicate)
}

fn save(manager: &CheckpointManager, epoch: u64, value: f32) -> Vec<u64> {
    let frozen = Tensor::from_vec(vec![1.5_f32; 5_000], [50, 100]).unwrap();
    let model = StateDict::from_iter([("frozen", frozen), ("w", Tensor::scalar(value))]);
    let ticket = manager.save(Snapshot::new(epoch).model(model)).unwrap();
    let saved = ticket.wait(LONG).unwrap().saved().unwrap();
    assert_eq!(saved.retention, None);
    saved.removed
}

fn value(manager: &CheckpointManager, epoch: u64) -> f32 {
    manager.verify(epoch).unwrap();
    let loaded = manager.load(epoch).unwrap();
    loaded.model().unwrap().tensor("w").unwrap().to_vec::<f32>().unwrap()[0]
}

#[test]
fn checkpoints_of_a_lower_layer_are_replaced_and_removed() {
    if let Some(merged) = env::var_os(MERGED) {
        return on_the_overlay(Path::new(&merged));
    }
    for upper in ["the same", "tmpfs"] {
        let dir = tempfile::tempdir().unwrap();
        for kind in KINDS {
            let home = dir.path().join("lower").join(kind.0);
            let mut manager = CheckpointManager::open(&home, settings(kind)).unwrap();
            (1..=2).for_each(|epoch| drop(save(&manager, epoch, epoch as f32)));
            manager.close(LONG).unwrap();
            // The image was made while a save was running, and after one was killed.
            let staging = home.join(".staging/0123456789abcdef-7/model");
            fs::create_dir_all(&staging).unwrap();
            fs::write(staging.join("zarr.json"), b"{}").unwrap();
        }
        match run(dir.path(), upper) {
            Ok(()) => println!("overlayfs with its upper layer on {upper} file system: run"),
            Err(reason) => {
                println!(
                    "skipped: overlayfs with its upper layer on {upper} file system: {reason}"
                );
            }
        }
    }
}

/// Runs this test again on an overlay; `Err` is the reason why there is none.
fn run(dir: &Path, upper: &str) -> Result<(), String> {
    let test = env::current_exe().unwrap();
    let name = "checkpoint_overlay::checkpoints_of_a_lower_layer_are_replaced_and_removed";
    let output = Command::new("unshare")
        .args(["-m", "sh", "-c", SCRIPT, "sh"])
        .args([dir.as_os_str(), upper.as_ref(), test.as_os_str()])
        .args([name, "--exact", "--nocapture"])
        .env(MERGED, dir.join("merged"))
        .output()
        .map_err(|error| format!("unshare: {error}"))?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).trim().to_owned();
    match output.status.code() {
        Some(0) => {
            assert!(said.contains("1 passed"), "{said}");
            Ok(())
        }
        Some(CANNOT_MOUNT) => Err(said),
        // `unshare` itself was refused.
        Some(1) if said.starts_with("unshare:") => Err(said),
        _ => panic!("on an overlay: {said}"),
    }
}

fn on_the_overlay(merged: &Path) {
    // The case is the one that is meant.
    let moved = fs::rename(merged.join("directory/epoch_0001"), merged.join("directory/x"));
    assert_eq!(moved.unwrap_err().raw_os_error(), Some(18), "EXDEV");
    for kind in KINDS {
        let home = merged.join(kind.0);
        let mut manager = CheckpointManager::open(&home, settings(kind)).unwrap();
        assert_eq!((value(&manager, 1), value(&manager, 2)), (1.0, 2.0));
        // One of the lower layer, then the one that has just replaced it.
        assert_eq!((save(&manager, 2, 2.5), value(&manager, 2)), (vec![], 2.5));
        assert_eq!((save(&manager, 2, 2.75), value(&manager, 2)), (vec![], 2.75));
        assert_eq!(save(&manager, 3, 3.0), [1]);
        assert_eq!(save(&manager, 4, 4.0), [2]);
        manager.health().check().unwrap();
        manager.close(LONG).unwrap();
        let manager = CheckpointManager::open(&home, settings(kind)).unwrap();
        assert_eq!(manager.list_checkpoints().unwrap(), [3, 4]);
        assert_eq!((value(&manager, 3), value(&manager, 4)), (3.0, 4.0));
        drop(manager);
        let names = |entry: fs::DirEntry| entry.path();
        let mut left: Vec<PathBuf> =
            fs::read_dir(&home).unwrap().map(|entry| names(entry.unwrap())).collect();
        left.retain(|path| path.extension().is_none_or(|end| end != "json"));
        assert_eq!(left.len(), 2, "{left:?}");
    }
}
