//! Every element type and every kind of shape, read by zarr-python and by TensorStore.
//!
//! Neither supports `bfloat16` and the 8-bit floats as Zarr types: they are stored as unsigned integers of the
//! same size, with an attribute that names their type.

use qstore::zarr::{Compression, Layout};
use qstore::{CheckpointManager, CheckpointSettings, Dtype, Snapshot, StateDict, Tensor};
use qstore_tests::readers;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);

/// A scalar, no elements, one chunk, and many chunks that do not divide the shape evenly.
const SHAPES: [&[usize]; 4] = [&[], &[0, 3], &[5], &[61, 1, 67]];

#[test]
fn every_element_type_and_shape_is_read_by_others() {
    let dir = tempfile::tempdir().unwrap();
    let mut random = fastrand::Rng::with_seed(5);
    let mut expected = Vec::new();
    for layout in [Layout::SingleFile, Layout::Directory] {
        for compression in
            [Compression::ZSTD, Compression::LZ4, Compression::GZIP, Compression::NONE]
        {
            let settings = CheckpointSettings::default()
                .layout(layout)
                .compression(compression)
                .chunk_bytes(4_096);
            let home = dir.path().join(format!("{layout:?}-{compression}"));
            let mut manager = CheckpointManager::open(&home, settings).unwrap();
            let (model, arrays) = model(&mut random);
            manager.save(Snapshot::new(1).model(model.clone())).unwrap().wait(LONG).unwrap();
            assert_eq!(manager.load(1).unwrap().model(), Some(&model));
            manager.close(LONG).unwrap();
            let suffix = if layout == Layout::SingleFile { ".zarr.zip" } else { "" };
            let path = home.join(format!("epoch_0001{suffix}"));
            expected.push(json!({"path": path, "attributes": {"epoch": 1}, "arrays": arrays}));
        }
    }
    let file = readers::expect(dir.path(), &json!(expected));
    let arrays = expected.len() * Dtype::ALL.len() * SHAPES.len();
    let said = readers::run("checkpoint.py", &[&file]);
    println!("{arrays} cases: arrays");
    assert_eq!(said.trim(), format!("{arrays} arrays equal in {} checkpoints", expected.len()));
}

/// A tensor of each type and shape, and what other readers should find.
fn model(random: &mut fastrand::Rng) -> (StateDict, Map<String, Value>) {
    let (mut model, mut arrays) = (StateDict::new(), Map::new());
    for dtype in Dtype::ALL {
        for (number, shape) in SHAPES.iter().enumerate() {
            let mut bytes = vec![0; shape.iter().product::<usize>() * dtype.size()];
            random.fill(&mut bytes);
            if *dtype == Dtype::Bool {
                for byte in &mut bytes {
                    *byte &= 1;
                }
            }
            let (stored, attributes) = match dtype {
                Dtype::BFloat16 => ("uint16", json!({"qstore_dtype": dtype.name()})),
                Dtype::Float8E4M3 | Dtype::Float8E5M2 => {
                    ("uint8", json!({"qstore_dtype": dtype.name()}))
                }
                _ => (dtype.name(), json!({})),
            };
            let name = format!("{dtype}_{number}");
            let array = json!({
                "dtype": stored, "shape": shape, "hex": hex(&bytes), "attributes": attributes,
            });
            arrays.insert(format!("model/{name}"), array);
            model.insert(name, Tensor::new(*dtype, *shape, bytes).unwrap());
        }
    }
    (model, arrays)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // a string takes everything
        text
    })
}
