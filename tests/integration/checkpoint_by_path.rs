//! A checkpoint that was zipped by other programs is opened by its path.

use qstore::zarr::{CheckpointReader, Layout, LoadError};
use qstore::{CheckpointManager, CheckpointSettings, Snapshot, StateDict, Tensor};
use qstore_tests::readers;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);

#[test]
fn archives_of_other_programs_are_opened_by_their_path() {
    let tmp = tempfile::tempdir().unwrap();
    let values: Vec<f32> = (0..5_000).map(|n| n as f32).collect();
    let weights = Tensor::from_vec(values, [50, 100]).unwrap();
    let model = StateDict::from_iter([("w", weights), ("b", Tensor::scalar(1.0_f32))]);
    for (layout, name) in
        [(Layout::SingleFile, "epoch_0007.zarr.zip"), (Layout::Directory, "epoch_0007")]
    {
        let home = tmp.path().join(format!("{layout:?}"));
        let settings = CheckpointSettings::default().layout(layout).chunk_bytes(4_096);
        let mut manager = CheckpointManager::open(&home, settings).unwrap();
        manager.save(Snapshot::new(7).model(model.clone())).unwrap().wait(LONG).unwrap();
        manager.close(LONG).unwrap();
        let out = home.join("заново упакован");
        std::fs::create_dir(&out).unwrap();
        let said = readers::run("rezip.py", &[&home.join(name), &out]);
        let mut read = 0;
        for line in said.lines() {
            let (kind, file) = line.split_once(' ').unwrap();
            match CheckpointReader::open(out.join(file)) {
                Ok(reader) => {
                    reader.verify().unwrap();
                    assert_eq!(reader.checkpoint().unwrap().model(), Some(&model), "{file}");
                    assert_eq!(kind, "read", "{file}");
                    read += 1;
                }
                Err(error) => {
                    assert!(matches!(error, LoadError::NotACheckpoint { .. }), "{file}: {error}");
                    assert_eq!(kind, "refused", "{file}: {error}");
                }
            }
        }
        assert!(read >= 4, "{said}");
    }
}
