//! The two fixed row types: a step of training, and a step of quantum training.
//!
//! Names, order and types are the contract with every reader of a file. A new column is appended. All but the
//! three that identify a row are nullable: what was not measured is unknown, not 0.

use crate::column_error::ColumnError;
use crate::record::Cell;
use crate::value::ValueRef;
use smol_str::SmolStr;

/// A [`record!`](crate::record!) whose fields have defaults and can be set by name.
macro_rules! metrics {
    ($(#[$meta:meta])* pub struct $name:ident by $label:ident {
        $($(#[$doc:meta])* $field:ident: $type:ty = $default:expr,)*
    }) => {
        $crate::record! {
            $(#[$meta])*
            #[derive(Debug, Clone, PartialEq)]
            pub struct $name by $label {
                $($(#[$doc])* pub $field: $type,)*
            }
        }

        impl Default for $name {
            #[inline]
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        impl $name {
            /// Whether one of these columns has that name.
            #[must_use]
            pub fn has_column(name: &str) -> bool {
                matches!(name, $(stringify!($field))|*)
            }

            /// Sets the column of that name. `Ok(false)` when there is none. An integer is accepted
            /// for a float column and the other way around, if the conversion is exact; null is
            /// accepted for a nullable column.
            ///
            /// # Errors
            /// [`ColumnError::TypeMismatch`] when the value does not fit the column; the row is
            /// unchanged.
            pub fn set<'a>(
                &mut self,
                column: &str,
                value: impl Into<ValueRef<'a>>,
            ) -> Result<bool, ColumnError> {
                let value = value.into();
                match column {
                    $(stringify!($field) => {
                        self.$field = Assign::assign(value).ok_or_else(|| ColumnError::TypeMismatch {
                            name: column.into(),
                            expected: <$type as Cell>::DATA_TYPE,
                            found: value.describe(),
                        })?;
                        Ok(true)
                    })*
                    _ => Ok(false),
                }
            }
        }
    };
}

/// Up to 2^53 every integer is exactly a float.
const EXACT_MAX: u64 = 1 << 53;

/// Converts a dynamic value to a field; `None` if it does not fit.
trait Assign: Sized {
    fn assign(value: ValueRef<'_>) -> Option<Self>;
}

impl Assign for i64 {
    fn assign(value: ValueRef<'_>) -> Option<Self> {
        match value {
            ValueRef::Int(v) => Some(v),
            // A count that was computed as a float is still a count, as long as nothing is rounded.
            ValueRef::Float(v) if v.fract() == 0.0 && v.abs() <= EXACT_MAX as f64 => Some(v as i64),
            _ => None,
        }
    }
}

impl Assign for f64 {
    fn assign(value: ValueRef<'_>) -> Option<Self> {
        match value {
            ValueRef::Float(v) => Some(v),
            ValueRef::Int(v) if v.unsigned_abs() <= EXACT_MAX => Some(v as f64),
            _ => None,
        }
    }
}

impl Assign for SmolStr {
    fn assign(value: ValueRef<'_>) -> Option<Self> {
        match value {
            ValueRef::Text(v) => Some(v.into()),
            _ => None,
        }
    }
}

impl<T: Assign> Assign for Option<T> {
    fn assign(value: ValueRef<'_>) -> Option<Self> {
        match value {
            ValueRef::Null => Some(None),
            value => T::assign(value).map(Some),
        }
    }
}

metrics! {
    /// One row of a training log: 18 columns, in this order.
    ///
    /// Only `epoch`, `step` and `timestamp` always have a value. What was not measured is `None`, and null
    /// in the file: a gradient of 0 is a fact, and a mean over nulls leaves them out.
    ///
    /// ```
    /// use qstore_schema::{Record, TrainingMetrics};
    /// assert_eq!(TrainingMetrics::DECLARED.len(), 18);
    /// let row = TrainingMetrics {
    ///     epoch: 1,
    ///     step: 20,
    ///     train_loss: Some(0.3),
    ///     ..TrainingMetrics::default()
    /// };
    /// assert_eq!((row.grad_norm, row.backend), (None, None));
    /// ```
    ///
    /// A column can also be set by a name that is known only at run time:
    ///
    /// ```
    /// # use qstore_schema::TrainingMetrics;
    /// let mut row = TrainingMetrics::default();
    /// assert!(row.set("val_loss", 0.25)?);
    /// assert!(!row.set("accuracy", 0.9)?, "there is no such fixed column");
    /// assert!(row.set("qubits_used", 4.5).is_err(), "it holds integers");
    /// # Ok::<(), qstore_schema::ColumnError>(())
    /// ```
    pub struct TrainingMetrics by step {
        /// The epoch, counted from 0.
        epoch: i64 = 0,
        /// The step within the run; −1 in the row that summarizes an epoch.
        step: i64 = 0,
        /// When the step ended, in seconds since 1970-01-01 UTC.
        timestamp: f64 = 0.0,
        /// The loss on the training batch.
        train_loss: Option<f64> = None,
        /// The loss on held-out data, if it was computed.
        val_loss: Option<f64> = None,
        /// The norm of the gradient.
        grad_norm: Option<f64> = None,
        /// The largest component of the gradient.
        grad_max: Option<f64> = None,
        /// The smallest component of the gradient.
        grad_min: Option<f64> = None,
        /// Time spent executing circuits, in milliseconds.
        circuit_execution_time_ms: Option<f64> = None,
        /// The number of circuits executed.
        circuits_executed: Option<i64> = None,
        /// The number of qubits they used.
        qubits_used: Option<i64> = None,
        /// The number of shots per circuit.
        shots_per_circuit: Option<i64> = None,
        /// The backend that executed them.
        backend: Option<SmolStr> = None,
        /// Time spent waiting for the backend, in milliseconds.
        queue_time_ms: Option<f64> = None,
        /// The cost of the step in US dollars.
        cost_usd: Option<f64> = None,
        /// The provider credits used.
        credits_used: Option<f64> = None,
        /// The duration of the whole step, in milliseconds.
        batch_time_ms: Option<f64> = None,
        /// Training samples per second.
        throughput_samples_per_sec: Option<f64> = None,
    }
}

metrics! {
    /// One row of a quantum training log: 29 columns, in this order.
    ///
    /// Converts to [`TrainingMetrics`], whose `cost_usd` falls back to `estimated_cost_usd`.
    ///
    /// ```
    /// use qstore_schema::{QuantumMetrics, Record, TrainingMetrics};
    ///
    /// let row = QuantumMetrics {
    ///     circuit_depth: Some(12),
    ///     estimated_cost_usd: Some(0.25),
    ///     ..QuantumMetrics::default()
    /// };
    /// assert_eq!(QuantumMetrics::DECLARED.len(), 29);
    /// assert_eq!(TrainingMetrics::from(row).cost_usd, Some(0.25));
    /// ```
    pub struct QuantumMetrics by step {
        /// The epoch, counted from 0.
        epoch: i64 = 0,
        /// The step within the run; −1 in the row that summarizes an epoch.
        step: i64 = 0,
        /// When the step ended, in seconds since 1970-01-01 UTC.
        timestamp: f64 = 0.0,
        /// The loss on the training batch.
        train_loss: Option<f64> = None,
        /// The loss on held-out data, if it was computed.
        val_loss: Option<f64> = None,
        /// The norm of the gradient.
        grad_norm: Option<f64> = None,
        /// The variance of the gradient's components; near zero on a barren plateau.
        gradient_variance: Option<f64> = None,
        /// The gradient's signal-to-noise ratio.
        gradient_snr: Option<f64> = None,
        /// Gates on the longest path through the circuit.
        circuit_depth: Option<i64> = None,
        /// The number of gates that act on more than one qubit.
        entangling_gates: Option<i64> = None,
        /// The number of bases in which the state was measured.
        measurement_bases_used: Option<i64> = None,
        /// The number of shots per circuit.
        shots_per_circuit: Option<i64> = None,
        /// How evenly the ansatz covers the state space.
        expressibility_score: Option<f64> = None,
        /// The entanglement entropy between the halves of the register.
        entanglement_entropy: Option<f64> = None,
        /// Time spent executing circuits, in milliseconds.
        circuit_execution_time_ms: Option<f64> = None,
        /// The share of shots that were useful.
        measurement_efficiency: Option<f64> = None,
        /// The share of circuits that were answered from a cache.
        cache_hit_rate: Option<f64> = None,
        /// The total number of shots.
        shots_used: Option<i64> = None,
        /// The expected cost of the step in US dollars.
        estimated_cost_usd: Option<f64> = None,
        /// The number of circuits executed.
        circuits_executed: Option<i64> = None,
        /// The number of qubits they used.
        qubits_used: Option<i64> = None,
        /// The backend that executed them.
        backend: Option<SmolStr> = None,
        /// Time spent waiting for the backend, in milliseconds.
        queue_time_ms: Option<f64> = None,
        /// The largest component of the gradient.
        grad_max: Option<f64> = None,
        /// The smallest component of the gradient.
        grad_min: Option<f64> = None,
        /// The actual cost of the step in US dollars, once it is known.
        cost_usd: Option<f64> = None,
        /// The provider credits used.
        credits_used: Option<f64> = None,
        /// The duration of the whole step, in milliseconds.
        batch_time_ms: Option<f64> = None,
        /// Training samples per second.
        throughput_samples_per_sec: Option<f64> = None,
    }
}

impl From<QuantumMetrics> for TrainingMetrics {
    fn from(quantum: QuantumMetrics) -> Self {
        Self {
            epoch: quantum.epoch,
            step: quantum.step,
            timestamp: quantum.timestamp,
            train_loss: quantum.train_loss,
            val_loss: quantum.val_loss,
            grad_norm: quantum.grad_norm,
            grad_max: quantum.grad_max,
            grad_min: quantum.grad_min,
            circuit_execution_time_ms: quantum.circuit_execution_time_ms,
            circuits_executed: quantum.circuits_executed,
            qubits_used: quantum.qubits_used,
            shots_per_circuit: quantum.shots_per_circuit,
            backend: quantum.backend,
            queue_time_ms: quantum.queue_time_ms,
            cost_usd: quantum.cost_usd.or(quantum.estimated_cost_usd),
            credits_used: quantum.credits_used,
            batch_time_ms: quantum.batch_time_ms,
            throughput_samples_per_sec: quantum.throughput_samples_per_sec,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DataType, Record, Value};

    fn columns<R: Record>() -> Vec<String> {
        R::DECLARED
            .iter()
            .map(|field| {
                let data_type = match field.data_type {
                    DataType::Bool => "bool",
                    DataType::Int64 => "int",
                    DataType::Float64 => "float",
                    DataType::Utf8 => "text",
                    DataType::FloatList => "list",
                    DataType::Timestamp { .. } => "time",
                };
                format!("{} {data_type}{}", field.name, if field.nullable { "?" } else { "" })
            })
            .collect()
    }

    // Spelled out again on purpose: these lists are the contract with every reader of a file.
    #[test]
    fn training_metrics_are_the_eighteen_columns_of_the_contract() {
        assert_eq!(
            columns::<TrainingMetrics>(),
            [
                "epoch int",
                "step int",
                "timestamp float",
                "train_loss float?",
                "val_loss float?",
                "grad_norm float?",
                "grad_max float?",
                "grad_min float?",
                "circuit_execution_time_ms float?",
                "circuits_executed int?",
                "qubits_used int?",
                "shots_per_circuit int?",
                "backend text?",
                "queue_time_ms float?",
                "cost_usd float?",
                "credits_used float?",
                "batch_time_ms float?",
                "throughput_samples_per_sec float?",
            ]
        );
    }

    #[test]
    fn quantum_metrics_are_the_twenty_nine_columns_of_the_contract() {
        assert_eq!(
            columns::<QuantumMetrics>(),
            [
                "epoch int",
                "step int",
                "timestamp float",
                "train_loss float?",
                "val_loss float?",
                "grad_norm float?",
                "gradient_variance float?",
                "gradient_snr float?",
                "circuit_depth int?",
                "entangling_gates int?",
                "measurement_bases_used int?",
                "shots_per_circuit int?",
                "expressibility_score float?",
                "entanglement_entropy float?",
                "circuit_execution_time_ms float?",
                "measurement_efficiency float?",
                "cache_hit_rate float?",
                "shots_used int?",
                "estimated_cost_usd float?",
                "circuits_executed int?",
                "qubits_used int?",
                "backend text?",
                "queue_time_ms float?",
                "grad_max float?",
                "grad_min float?",
                "cost_usd float?",
                "credits_used float?",
                "batch_time_ms float?",
                "throughput_samples_per_sec float?",
            ]
        );
    }

    #[test]
    fn cost_falls_back_to_the_estimate() {
        let estimated =
            QuantumMetrics { estimated_cost_usd: Some(0.25), ..QuantumMetrics::default() };
        assert_eq!(TrainingMetrics::from(estimated.clone()).cost_usd, Some(0.25));
        let billed = QuantumMetrics { cost_usd: Some(0.5), ..estimated };
        assert_eq!(TrainingMetrics::from(billed).cost_usd, Some(0.5));
    }

    #[test]
    fn a_column_is_set_by_name_when_the_value_fits() {
        let mut row = TrainingMetrics::default();
        assert_eq!(row.set("val_loss", &Value::Int(2)), Ok(true));
        assert_eq!(row.val_loss, Some(2.0));
        assert_eq!(row.set("val_loss", &Value::Null), Ok(true));
        assert_eq!(row.val_loss, None);
        assert_eq!(row.set("qubits_used", &Value::Float(4.0)), Ok(true));
        assert_eq!(row.qubits_used, Some(4));
        assert_eq!(row.set("accuracy", &Value::Float(0.9)), Ok(false));
        assert!(matches!(
            row.set("qubits_used", &Value::Float(4.5)),
            Err(ColumnError::TypeMismatch { .. })
        ));
        assert!(matches!(
            row.set("backend", &Value::Float(4.5)),
            Err(ColumnError::TypeMismatch { .. })
        ));
        let large = Value::Int((1 << 53) + 1);
        assert!(matches!(row.set("val_loss", &large), Err(ColumnError::TypeMismatch { .. })));
        assert!(matches!(row.set("epoch", &Value::Null), Err(ColumnError::TypeMismatch { .. })));
    }
}
