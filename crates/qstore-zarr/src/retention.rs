//! Which checkpoints stay: a pure function of their history, which deletes nothing itself.

/// A checkpoint as retention sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Candidate {
    /// Its epoch.
    pub epoch: u64,
    /// Which save into the directory it was; a later save has a greater number.
    pub save_seq: u64,
}

impl Candidate {
    /// The checkpoint of that epoch and save.
    #[must_use]
    pub const fn new(epoch: u64, save_seq: u64) -> Self {
        Self { epoch, save_seq }
    }
}

/// What becomes of one checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Decision {
    /// Its epoch.
    pub epoch: u64,
    /// Whether it stays.
    pub keep: bool,
    /// Why.
    pub reason: Reason,
}

/// Why a checkpoint stays or goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// It is the newest save.
    Newest,
    /// It is one of the last saves.
    Recent,
    /// Everything is kept.
    KeepAll,
    /// Enough newer saves exist.
    Outnumbered,
}

/// Decides for each checkpoint, newest save first, whether it stays. The newest always does,
/// whatever its epoch number; `keep_last` 0 keeps all.
///
/// ```
/// use qstore_zarr::retention::{Candidate, plan};
///
/// // Epoch 3 was saved after epoch 12, so it is the newest.
/// let history = [Candidate::new(11, 1), Candidate::new(12, 2), Candidate::new(3, 3)];
/// let kept: Vec<u64> = plan(&history, 2).iter().filter(|d| d.keep).map(|d| d.epoch).collect();
/// assert_eq!(kept, [3, 12]);
/// ```
#[must_use]
pub fn plan(history: &[Candidate], keep_last: usize) -> Vec<Decision> {
    let mut newest_first = history.to_vec();
    newest_first.sort_by_key(|saved| std::cmp::Reverse((saved.save_seq, saved.epoch)));
    let decide = |(rank, saved): (usize, &Candidate)| {
        let (keep, reason) = match rank {
            0 => (true, Reason::Newest),
            _ if keep_last == 0 => (true, Reason::KeepAll),
            _ if rank < keep_last => (true, Reason::Recent),
            _ => (false, Reason::Outnumbered),
        };
        Decision { epoch: saved.epoch, keep, reason }
    };
    newest_first.iter().enumerate().map(decide).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        // The model: saves happen one after the other, and each time the plan is carried out. The
        // survivors must be the last `keep_last` distinct epochs by the time of their last save.
        #[test]
        fn the_last_saves_stay_whatever_their_numbers(
            epochs in prop::collection::vec(0_u64..8, 1..40),
            keep_last in 0_usize..5,
        ) {
            let mut history: Vec<Candidate> = Vec::new();
            let mut model: Vec<u64> = Vec::new();
            for (save_seq, epoch) in epochs.into_iter().enumerate() {
                history.retain(|saved| saved.epoch != epoch);
                history.insert(0, Candidate::new(epoch, save_seq as u64));
                let decisions = plan(&history, keep_last);
                prop_assert_eq!(decisions.len(), history.len());
                prop_assert_eq!((decisions[0].epoch, decisions[0].keep), (epoch, true));
                for decision in decisions.iter().filter(|decision| !decision.keep) {
                    history.retain(|saved| saved.epoch != decision.epoch);
                }

                model.retain(|saved| *saved != epoch);
                model.push(epoch);
                if keep_last > 0 && model.len() > keep_last {
                    model.remove(0);
                }
                let mut kept: Vec<u64> = history.iter().map(|saved| saved.epoch).collect();
                let mut expected = model.clone();
                kept.sort_unstable();
                expected.sort_unstable();
                prop_assert_eq!(kept, expected);
            }
        }
    }
}
