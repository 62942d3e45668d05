//! The network, its data and its training: what any program with candle has.

use candle_core::{DType, Device, Result as CandleResult, Tensor, Var};
use candle_nn::{Linear, Module, ParamsAdamW, VarBuilder, VarMap};
use qstore_candle::{AdamW, load_into, state_of};
use qstore_checkpoint::Snapshot;
use qstore_logger::MetricsRow;
use qstore_run::{Resumed, Run};
use std::error::Error;
use std::f32::consts::PI;
use std::time::Duration;

const POINTS: usize = 200;
const HIDDEN: usize = 16;
const PATIENCE: Duration = Duration::from_mins(1);

/// Two interleaved half circles, which no line separates.
fn moons() -> CandleResult<(Tensor, Tensor)> {
    let (mut places, mut classes) = (Vec::new(), Vec::new());
    for number in 0..POINTS {
        let class = (number % 2) as f32;
        let angle = PI * number as f32 / POINTS as f32;
        // The same noise in every process.
        let noise = ((number as f32 * 12.9898).sin() * 43_758.547).fract() * 0.2;
        let side = 1.0 - 2.0 * class;
        places
            .extend([class + side * angle.cos() + noise, 0.5 * class + side * angle.sin() - noise]);
        classes.push(class as u32);
    }
    let places = Tensor::from_vec(places, (POINTS, 2), &Device::Cpu)?;
    Ok((places, Tensor::from_vec(classes, POINTS, &Device::Cpu)?))
}

pub(crate) struct Network {
    pub(crate) vars: VarMap,
    hidden: Linear,
    output: Linear,
}

impl Network {
    fn new() -> CandleResult<Self> {
        let vars = VarMap::new();
        // The same in every process that starts from scratch; candle draws others each time.
        for (name, shape) in [("hidden", [HIDDEN, 2]), ("output", [2, HIDDEN])] {
            let count = shape[0] * shape[1];
            let weights: Vec<f32> =
                (0..count).map(|n| ((n * 7 + 3) as f32 * 0.618).fract() - 0.5).collect();
            let weights = Var::from_tensor(&Tensor::from_vec(weights, &shape[..], &Device::Cpu)?)?;
            let bias = Var::zeros(shape[0], DType::F32, &Device::Cpu)?;
            let mut all = vars.data().lock().expect("nothing panics with it");
            all.insert(format!("{name}.weight"), weights);
            all.insert(format!("{name}.bias"), bias);
        }
        let build = VarBuilder::from_varmap(&vars, DType::F32, &Device::Cpu);
        let hidden = candle_nn::linear(2, HIDDEN, build.pp("hidden"))?;
        let output = candle_nn::linear(HIDDEN, 2, build.pp("output"))?;
        Ok(Self { vars, hidden, output })
    }

    fn scores(&self, places: &Tensor) -> CandleResult<Tensor> {
        self.output.forward(&self.hidden.forward(places)?.tanh()?)
    }
}

/// Trains up to an epoch, from the checkpoint if there is one; `after` is called when an epoch is durable.
pub(crate) fn train(
    run: &mut Run,
    resumed: Option<&Resumed>,
    epochs: u64,
    mut after: impl FnMut(u64),
) -> Result<Network, Box<dyn Error>> {
    let network = Network::new()?;
    let params = ParamsAdamW { lr: 0.05, ..ParamsAdamW::default() };
    let mut optimizer = AdamW::of(&network.vars, params)?;
    let mut first = 0;
    if let Some(Resumed { checkpoint, .. }) = resumed {
        load_into(&network.vars, checkpoint.model().ok_or("it has no model")?)?;
        optimizer.load_state(checkpoint.optimizer().ok_or("it has no optimizer")?)?;
        first = checkpoint.number() + 1;
    }
    let (places, classes) = moons()?;
    for epoch in first..epochs {
        let scores = network.scores(&places)?;
        let loss = candle_nn::loss::cross_entropy(&scores, &classes)?;
        optimizer.backward_step(&loss)?;
        let right = scores.argmax(1)?.eq(&classes)?.to_dtype(DType::F32)?.mean_all()?;
        let (loss, accuracy) = (loss.to_scalar::<f32>()?, right.to_scalar::<f32>()?);
        let row = MetricsRow::step(epoch as i64, epoch as i64, loss.into());
        run.log_step(row.with("accuracy", f64::from(accuracy)))?;
        if (epoch + 1) % 10 == 0 {
            let snapshot = Snapshot::new(epoch)
                .model(state_of(&network.vars)?)
                .optimizer(optimizer.state()?)
                .meta("accuracy", f64::from(accuracy));
            run.save(epoch as i64, snapshot)?.wait(PATIENCE)?;
            after(epoch);
        }
    }
    Ok(network)
}
