//! The metrics all contenders are given: training steps with seeded random values.

use qstore_schema::{SmolStr, TrainingMetrics};

/// That many steps, the same in every run. Every float is random in all its bits, which is the
/// hardest case for a compressor; counters count and the backend repeats, as in a real run.
pub(crate) fn random(count: usize) -> Vec<TrainingMetrics> {
    let mut random = fastrand::Rng::with_seed(17);
    (0..count).map(|number| step(number as i64, &mut random)).collect()
}

fn step(number: i64, random: &mut fastrand::Rng) -> TrainingMetrics {
    TrainingMetrics {
        epoch: number / 1_000,
        step: number,
        timestamp: 1_700_000_000.0 + number as f64 * 0.005 + random.f64() * 0.001,
        train_loss: random.f64(),
        val_loss: (number % 10 == 0).then(|| random.f64()),
        grad_norm: random.f64(),
        grad_max: random.f64(),
        grad_min: -random.f64(),
        circuit_execution_time_ms: 20.0 * random.f64(),
        circuits_executed: random.i64(1..100),
        qubits_used: 8,
        shots_per_circuit: 1024,
        backend: SmolStr::new_static("simulator"),
        queue_time_ms: Some(5.0 * random.f64()),
        cost_usd: Some(0.01 * random.f64()),
        credits_used: None,
        batch_time_ms: 30.0 * random.f64(),
        throughput_samples_per_sec: 1_000.0 * random.f64(),
    }
}
