//! A training that goes on where it was when it is started again.
//!
//! `cargo run -p qstore-run --example run`, twice.

use qstore_checkpoint::Snapshot;
use qstore_run::{Run, RunReader, RunSettings};
use qstore_schema::{StateDict, Tensor};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::temp_dir().join("qstore-example-run");
    let settings = RunSettings::default().param("lr", 0.1).tag("example");
    let (mut run, resumed) = Run::resume_or_start(&dir, settings)?;

    let (mut epoch, mut weight) = (0_u64, 1.0_f64);
    if let Some(resumed) = resumed {
        epoch = resumed.checkpoint.number() + 1;
        let model = resumed.checkpoint.model().ok_or("the checkpoint has no model")?;
        weight = model.float("weight").ok_or("the model has no weight")?;
    }
    let number = i64::try_from(epoch)?;
    weight *= 0.9;
    run.log_step((number, number, weight * weight))?;
    let mut model = StateDict::from_iter([("moments", Tensor::scalar(weight))]);
    model.insert("weight", weight);
    let _ticket = run.save(number, Snapshot::new(epoch).model(model))?;
    run.finish()?;

    let reader = RunReader::open(&dir)?;
    println!("{}: {}, {:?}", dir.display(), reader.status()?.state, reader.progress()?);
    Ok(())
}
