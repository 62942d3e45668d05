//! A tensor beyond 4 GiB, in both layouts. Takes 10 GB of memory and a minute, so it runs only with
//! `QSTORE_LARGE=1`.

use qstore_schema::{Dtype, StateDict, Tensor};
use qstore_zarr::{CheckpointManager, CheckpointSettings, Compression, Layout, Select, Snapshot};
use std::time::Duration;

const LEN: usize = (4 << 30) + 12_345;

#[test]
fn a_tensor_beyond_4_gib_comes_back() {
    if std::env::var_os("QSTORE_LARGE").is_none() {
        return;
    }
    let mut data = vec![0_u8; LEN];
    for (number, byte) in data.iter_mut().enumerate().step_by(997) {
        *byte = (number % 251) as u8;
    }
    let tensor = Tensor::new(Dtype::UInt8, [LEN], data).unwrap();
    let state = StateDict::from_iter([("w", tensor.clone()), ("b", Tensor::scalar(1_u8))]);
    // Next to the test binary, which is on a real disk; /tmp may be in memory.
    let program = std::env::current_exe().unwrap();
    let tmp = tempfile::tempdir_in(program.parent().unwrap()).unwrap();
    for (layout, compression) in
        [(Layout::SingleFile, Compression::NONE), (Layout::Directory, Compression::LZ4)]
    {
        let settings = CheckpointSettings::default().layout(layout).compression(compression);
        let manager = CheckpointManager::open(tmp.path(), settings.keep_last(1)).unwrap();
        let ticket = manager.save(Snapshot::new(1).model(state.clone())).unwrap();
        let saved = ticket.wait(Duration::from_mins(20)).unwrap().saved().unwrap();
        println!("{layout:?}, {compression}: {saved:?}");
        assert_eq!(compression == Compression::NONE, saved.stored_bytes > LEN as u64);
        let loaded = manager.load_tensors(1, &Select::Name("model/w".into())).unwrap();
        assert!(loaded[0].1 == tensor, "wrong values");
    }
}
