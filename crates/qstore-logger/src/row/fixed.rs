//! The fixed columns of a row, packed for the way through the ring.
//!
//! An `Option<f64>` takes 16 bytes, of which 7 say nothing. A row is copied on every push and the ring is an
//! array of rows, so here a number takes 8 bytes and one bit says whether it is there: 168 bytes, where
//! [`TrainingMetrics`] takes 272. (`docs/decisions/0012-packed-row.md`)

use qstore_schema::{SmolStr, TrainingMetrics};

/// A number of 8 bytes.
trait Number {
    fn into_bits(self) -> u64;
    fn of_bits(bits: u64) -> Self;
}

impl Number for f64 {
    fn into_bits(self) -> u64 {
        self.to_bits()
    }
    fn of_bits(bits: u64) -> Self {
        Self::from_bits(bits)
    }
}

impl Number for i64 {
    fn into_bits(self) -> u64 {
        self.cast_unsigned()
    }
    fn of_bits(bits: u64) -> Self {
        bits.cast_signed()
    }
}

/// Defines [`Fixed`] from the nullable numbers of [`TrainingMetrics`]. A column that is left out of the list
/// does not compile.
macro_rules! fixed {
    ($($number:ident),* $(,)?) => {
        /// How many of the columns are nullable numbers.
        const NUMBERS: usize = [$(stringify!($number)),*].len();

        /// The same columns as [`TrainingMetrics`].
        #[derive(Debug, Clone, Default)]
        pub(super) struct Fixed {
            epoch: i64,
            pub(super) step: i64,
            pub(super) timestamp: f64,
            backend: Option<SmolStr>,
            /// 0 where there is none.
            numbers: [u64; NUMBERS],
            /// Bit `i` is set when `numbers[i]` is there.
            known: u32,
        }

        impl From<TrainingMetrics> for Fixed {
            #[inline]
            fn from(metrics: TrainingMetrics) -> Self {
                let TrainingMetrics { epoch, step, timestamp, backend, $($number,)* } = metrics;
                let known = [$($number.is_some()),*];
                let known = known.iter().rev().fold(0, |bits, is_known| bits << 1 | u32::from(*is_known));
                let numbers = [$($number.map_or(0, Number::into_bits)),*];
                Self { epoch, step, timestamp, backend, numbers, known }
            }
        }

        impl From<&Fixed> for TrainingMetrics {
            fn from(fixed: &Fixed) -> Self {
                let mut bits = fixed.known;
                let [$($number),*] = fixed.numbers.map(|number| {
                    let is_known = bits & 1 == 1;
                    bits >>= 1;
                    is_known.then_some(number)
                });
                Self {
                    epoch: fixed.epoch,
                    step: fixed.step,
                    timestamp: fixed.timestamp,
                    backend: fixed.backend.clone(),
                    $($number: $number.map(Number::of_bits),)*
                }
            }
        }
    };
}

fixed! {
    train_loss,
    val_loss,
    grad_norm,
    grad_max,
    grad_min,
    circuit_execution_time_ms,
    circuits_executed,
    qubits_used,
    shots_per_circuit,
    queue_time_ms,
    cost_usd,
    credits_used,
    batch_time_ms,
    throughput_samples_per_sec,
}

const _: () = assert!(NUMBERS <= u32::BITS as usize, "`known` has a bit for each");

/// As the columns compare: NaN is not equal to NaN, and 0.0 is equal to -0.0.
impl PartialEq for Fixed {
    fn eq(&self, other: &Self) -> bool {
        TrainingMetrics::from(self) == TrainingMetrics::from(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use qstore_schema::{DataType, Record, ValueRef};

    fn value(data_type: DataType) -> BoxedStrategy<Option<qstore_schema::Value>> {
        let value = match data_type {
            DataType::Int64 => any::<i64>().prop_map_into().boxed(),
            DataType::Float64 => any::<f64>().prop_map_into().boxed(),
            _ => ".{0,40}".prop_map(|text| text.as_str().into()).boxed(),
        };
        prop::option::of(value).boxed()
    }

    fn metrics() -> impl Strategy<Value = TrainingMetrics> {
        let values: Vec<_> =
            TrainingMetrics::DECLARED.iter().map(|field| value(field.data_type)).collect();
        values.prop_map(|values| {
            let mut metrics = TrainingMetrics::default();
            for (field, value) in TrainingMetrics::DECLARED.iter().zip(&values) {
                if let Some(value) = value {
                    assert_eq!(metrics.set(&field.name, value), Ok(true));
                }
            }
            metrics
        })
    }

    /// Floats by their bits: NaN is kept, too.
    fn shown(metrics: &TrainingMetrics) -> Vec<String> {
        struct Shown(Vec<String>);
        impl qstore_schema::FieldVisitor for Shown {
            fn declared(
                &mut self,
                _: usize,
                field: &'static qstore_schema::Field,
                value: ValueRef<'_>,
            ) {
                self.0.push(match value {
                    ValueRef::Float(float) => format!("{} {:x}", field.name, float.to_bits()),
                    other => format!("{} {other:?}", field.name),
                });
            }
            fn extra(&mut self, name: &SmolStr, _: ValueRef<'_>) {
                unreachable!("{name} is not a fixed column");
            }
        }
        let mut shown = Shown(Vec::new());
        metrics.visit(&mut shown);
        shown.0
    }

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked_to_the_bit(metrics in metrics()) {
            let unpacked = TrainingMetrics::from(&Fixed::from(metrics.clone()));
            prop_assert_eq!(shown(&unpacked), shown(&metrics));
        }
    }

    #[test]
    fn rows_compare_as_their_values_do() {
        let with =
            |train_loss| Fixed::from(TrainingMetrics { train_loss, ..TrainingMetrics::default() });
        assert_eq!(with(Some(0.0)), with(Some(-0.0)));
        assert_ne!(with(Some(0.0)), with(None));
        assert_ne!(with(Some(f64::NAN)), with(Some(f64::NAN)));
    }
}
