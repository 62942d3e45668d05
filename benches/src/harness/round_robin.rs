//! Measures several contenders in turns, so that a noisy moment of the machine hits all alike.
//!
//! Every round gives each of them one turn, in an order that is drawn again each time: whatever one
//! leaves behind in caches or on the disk does not always meet the same other. The first round warms
//! up and is not counted.

use crate::Result;
use crate::harness::idle_disk;
use crate::harness::row::{Measure, Row};
use crate::harness::statistics::Summary;
use std::path::Path;

/// The order of turns is the same in every run.
const SEED: u64 = 0x51_57;

/// Something that is measured: one turn gives one sample of each of its measures.
pub(crate) struct Contender<'a> {
    measures: Vec<Measure>,
    turn: Box<dyn FnMut() -> Result<Vec<f64>> + 'a>,
}

impl<'a> Contender<'a> {
    /// One turn, one figure.
    pub(crate) fn new(measure: Measure, mut turn: impl FnMut() -> Result<f64> + 'a) -> Self {
        Self::several([measure], move || Ok([turn()?]))
    }

    /// One turn, several figures.
    pub(crate) fn several<const N: usize>(
        measures: [Measure; N],
        mut turn: impl FnMut() -> Result<[f64; N]> + 'a,
    ) -> Self {
        Self { measures: measures.into(), turn: Box::new(move || Ok(turn()?.into())) }
    }

    /// The same, each turn of which begins with a disk that has nothing to do for an earlier one.
    pub(crate) fn at_rest(self, dir: &'a Path) -> Self {
        let Self { measures, mut turn } = self;
        let turn = Box::new(move || {
            idle_disk::wait_for(dir)?;
            turn()
        });
        Self { measures, turn }
    }
}

/// Gives each contender `rounds` counted turns; the rows come in the order they were given.
pub(crate) fn race(
    set: &'static str,
    rounds: usize,
    mut contenders: Vec<Contender<'_>>,
) -> Result<Vec<Row>> {
    let mut samples: Vec<Vec<Vec<f64>>> =
        contenders.iter().map(|contender| vec![Vec::new(); contender.measures.len()]).collect();
    let mut random = fastrand::Rng::with_seed(SEED);
    let mut order: Vec<usize> = (0..contenders.len()).collect();
    for round in 0..=rounds {
        random.shuffle(&mut order);
        for &index in &order {
            let figures = (contenders[index].turn)()?;
            if round > 0 {
                for (samples, figure) in samples[index].iter_mut().zip(figures) {
                    samples.push(figure);
                }
            }
        }
    }
    let measures = contenders.into_iter().flat_map(|contender| contender.measures);
    let rows = measures.zip(samples.into_iter().flatten()).filter_map(|(measure, samples)| {
        Summary::of(samples).map(|summary| Row::new(set, measure, summary))
    });
    Ok(rows.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[test]
    fn every_round_has_a_turn_of_each_and_the_first_does_not_count() {
        let turns = RefCell::new(Vec::new());
        let one = Contender::new(Measure::ours("one", "ns", &[], ""), || {
            turns.borrow_mut().push(1);
            Ok(turns.borrow().len() as f64)
        });
        let pair = [Measure::peer("a", "ns", ""), Measure::peer("b", "ns", "")];
        let two = Contender::several(pair, || {
            turns.borrow_mut().push(2);
            Ok([10.0, 20.0])
        });
        let rows = race("set", 20, vec![one, two]).unwrap();
        assert!(rows.iter().all(|row| row.n == 20));
        assert_eq!(rows.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["one", "a", "b"]);
        assert_eq!((rows[1].median, rows[2].max), (10.0, 20.0));
        assert!(rows[0].min >= 3.0, "two turns were warm-up");
        let turns = turns.into_inner();
        let rounds: Vec<_> = turns.chunks(2).collect();
        assert!(rounds.iter().all(|round| *round == [1, 2] || *round == [2, 1]), "{turns:?}");
        assert!(rounds.contains(&&[1, 2][..]) && rounds.contains(&&[2, 1][..]), "{turns:?}");
    }
}
