//! The network, its data and its training: what any program with burn has.

use burn::data::dataloader::DataLoaderBuilder;
use burn::data::dataloader::batcher::Batcher;
use burn::data::dataset::InMemDataset;
use burn::lr_scheduler::linear::LinearLrSchedulerConfig;
use burn::module::{Module, Param};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::optim::AdamConfig;
use burn::tensor::activation::relu;
use burn::tensor::{Device, Int, Tensor, TensorData};
use burn::train::checkpoint::{CheckpointingAction, CheckpointingStrategy};
use burn::train::metric::store::EventStoreClient;
use burn::train::metric::{AccuracyMetric, LossMetric};
use burn::train::{
    ClassificationOutput, InferenceStep, Learner, LearningResult, SupervisedTraining, TrainOutput,
    TrainStep,
};
use qstore_burn::{BurnRun, SaveEachEpoch};

const DATA: &str = include_str!("../../../../demo/src/iris.csv");
const BATCH: usize = 15;
const HIDDEN: usize = 16;

/// Where a test wants the training to stand still.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hang {
    /// Nowhere.
    Never,
    /// After this epoch, before it is saved.
    #[allow(dead_code)] // only tests do
    Before(usize),
}

#[derive(Module, Debug)]
pub(crate) struct Network {
    hidden: Param<Tensor<2>>,
    output: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
}

impl Network {
    fn new(device: &Device) -> Self {
        // The same in every process that starts from scratch.
        let mut state = 7_u64;
        let mut weights = |count: usize| -> Vec<f32> {
            let mut next = || {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                (state >> 40) as f32 / (1_u64 << 24) as f32 - 0.5
            };
            (0..count).map(|_| next()).collect()
        };
        let hidden = TensorData::new(weights(4 * HIDDEN), [4, HIDDEN]);
        let output = TensorData::new(weights(HIDDEN * 3), [HIDDEN, 3]);
        Self {
            hidden: Param::from_tensor(Tensor::from_data(hidden, device)),
            output: Param::from_tensor(Tensor::from_data(output, device)),
            bias: Param::from_tensor(Tensor::zeros([3], device)),
        }
    }

    fn forward(&self, flowers: Tensor<2>) -> Tensor<2> {
        let hidden = relu(flowers.matmul(self.hidden.val()));
        hidden.matmul(self.output.val()) + self.bias.val().unsqueeze()
    }

    fn classify(&self, flowers: Flowers) -> ClassificationOutput {
        let scores = self.forward(flowers.measured);
        let loss = CrossEntropyLossConfig::new().init(&scores.device());
        let loss = loss.forward(scores.clone(), flowers.species.clone());
        ClassificationOutput::new(loss, scores, flowers.species)
    }

    /// All weights, to compare them bit for bit.
    #[allow(dead_code)] // only tests do
    pub(crate) fn weights(&self) -> Vec<f32> {
        let values = |data: TensorData| data.iter::<f32>().collect::<Vec<_>>();
        let mut all = values(self.hidden.val().into_data());
        all.extend(values(self.output.val().into_data()));
        all.extend(values(self.bias.val().into_data()));
        all
    }
}

impl TrainStep for Network {
    type Input = Flowers;
    type Output = ClassificationOutput;

    fn step(&self, flowers: Flowers) -> TrainOutput<ClassificationOutput> {
        let output = self.classify(flowers);
        TrainOutput::new(self, output.loss.backward(), output)
    }
}

impl InferenceStep for Network {
    type Input = Flowers;
    type Output = ClassificationOutput;

    fn step(&self, flowers: Flowers) -> ClassificationOutput {
        self.classify(flowers)
    }
}

type Flower = ([f32; 4], i32);

#[derive(Clone, Debug)]
pub(crate) struct Flowers {
    measured: Tensor<2>,
    species: Tensor<1, Int>,
}

struct ToFlowers;

impl Batcher<Flower, Flowers> for ToFlowers {
    fn batch(&self, flowers: Vec<Flower>, device: &Device) -> Flowers {
        let measured: Vec<f32> = flowers.iter().flat_map(|flower| flower.0).collect();
        let species: Vec<i32> = flowers.iter().map(|flower| flower.1).collect();
        let rows = flowers.len();
        Flowers {
            measured: Tensor::from_data(TensorData::new(measured, [rows, 4]), device),
            species: Tensor::from_data(TensorData::new(species, [rows]), device),
        }
    }
}

/// Two thirds to learn from, in an order that mixes the species, and one third to test with.
fn flowers() -> (Vec<Flower>, Vec<Flower>) {
    let species = ["setosa", "versicolor", "virginica"];
    let mut all: Vec<Flower> = DATA
        .lines()
        .skip(1)
        .map(|line| {
            let mut fields = line.split(',');
            let measured = std::array::from_fn(|_| fields.next().unwrap().parse().unwrap());
            let name = fields.next().unwrap();
            (measured, species.iter().position(|known| *known == name).unwrap() as i32)
        })
        .collect();
    let mixed: Vec<Flower> = (0..all.len()).map(|at| all[at % 3 * 50 + at / 3]).collect();
    all.clear();
    let (learn, test): (Vec<_>, Vec<_>) =
        mixed.into_iter().enumerate().partition(|(at, _)| at % 9 < 6);
    let plain = |part: Vec<(usize, Flower)>| part.into_iter().map(|(_, flower)| flower).collect();
    (plain(learn), plain(test))
}

/// Saves as the run says, and stands still where a test wants it.
struct Saving {
    each: SaveEachEpoch,
    hang: Hang,
}

impl CheckpointingStrategy for Saving {
    fn checkpointing(
        &mut self,
        epoch: usize,
        store: &EventStoreClient,
    ) -> Vec<CheckpointingAction> {
        while self.hang == Hang::Before(epoch) {
            std::thread::park();
        }
        self.each.checkpointing(epoch, store)
    }
}

/// Trains, from the epoch that the run goes on from.
pub(crate) fn train(run: &BurnRun, epochs: usize, hang: Hang) -> LearningResult<Network> {
    let device = Device::flex().autodiff();
    let (learn, test) = flowers();
    let steps = epochs * learn.len().div_ceil(BATCH);
    // The order of the flowers is the same in each epoch: a position of the loader could not be restored.
    let learn = DataLoaderBuilder::new(ToFlowers).batch_size(BATCH).build(InMemDataset::new(learn));
    let test = DataLoaderBuilder::new(ToFlowers).batch_size(BATCH).build(InMemDataset::new(test));

    let (model, optimizer, scheduler) = run.checkpointers();
    let dir = run.with(|run| run.path().to_path_buf());
    let mut training = SupervisedTraining::new(dir, learn, test)
        .metric_train_numeric(LossMetric::new())
        .metric_valid_numeric(LossMetric::new())
        .metric_train_numeric(AccuracyMetric::new())
        .metric_valid_numeric(AccuracyMetric::new())
        .with_application_logger(None)
        .with_metric_logger(run.metric_logger())
        .with_progress_logger(run.progress_logger())
        .with_custom_checkpointers(model, optimizer, scheduler)
        .with_checkpointing_strategy(Saving { each: run.strategy(), hang })
        .num_epochs(epochs);
    if let Some(epoch) = run.resumed_epoch() {
        training = training.checkpoint(epoch);
    }
    let scheduler =
        LinearLrSchedulerConfig::new(0.02, 0.002, steps).init().expect("the rates are valid");
    training.launch(Learner::new(Network::new(&device), AdamConfig::new().init(), scheduler))
}
