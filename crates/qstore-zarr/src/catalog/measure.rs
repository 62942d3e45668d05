//! The metric that the best checkpoints are ranked by, looked up for every checkpoint.
//!
//! A manifest notes some numbers, so that a listing need not read more. What it does not note (another
//! policy wrote it, the number is nested, or there are too many) is read from the checkpoint's metadata,
//! once per process. A checkpoint is never taken for one without the metric because of what a manifest
//! leaves out, and one whose metadata cannot be read is kept.

use super::{Catalog, Found};
use crate::container::sealed::Sealed;
use crate::format::ZARR_JSON;
use crate::format::root_document::ParsedRoot;
use crate::format::structure::{no_tensors, rebuild_dict};
use qstore_checkpoint::retention::{Cause, Metric, Policy, metric_of};
use qstore_checkpoint::{Damage, LoadError};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// The checkpoint's name and save number, the checksum of its root document, and the metric's name.
type Key = (String, u64, u32, String);

/// Metrics that were read from metadata.
#[derive(Debug, Default)]
pub(super) struct Measured {
    known: Mutex<HashMap<Key, Metric>>,
}

impl Catalog {
    /// Gives every checkpoint the metric that the policy ranks by, if it ranks.
    pub(crate) fn measure(&self, history: &mut [Found], policy: &Policy) {
        let Some(best) = policy.best.as_ref().filter(|best| best.count > 0) else { return };
        let mut known = self.measured.known.lock().unwrap_or_else(PoisonError::into_inner);
        // What is gone, or was saved again, is not looked up again.
        known.retain(|(name, save_seq, root, _), _| {
            let is_it = |found: &Found| {
                found.name == *name && found.candidate.save_seq == *save_seq && found.root == *root
            };
            history.iter().any(is_it)
        });
        for found in history {
            if found.candidate.find(&best.metric).is_some() {
                continue;
            }
            let (name, save_seq) = (found.name.clone(), found.candidate.save_seq);
            let key = (name, save_seq, found.root, best.metric.clone());
            let metric = known.get(&key).cloned().unwrap_or_else(|| {
                match self.read_metric(found, &best.metric) {
                    Ok(metric) => {
                        known.insert(key, metric.clone());
                        metric
                    }
                    Err(error) => Metric::Unknown(Cause::Unread { reason: error.to_string() }),
                }
            });
            found.candidate.metrics.push((best.metric.clone(), metric));
        }
    }

    fn read_metric(&self, found: &Found, metric: &str) -> Result<Metric, LoadError> {
        let number = found.candidate.number;
        let sealed = Sealed::open(&*self.repository, &found.name, found.layout, number)?;
        if sealed.manifest.save_seq != found.candidate.save_seq {
            let location = sealed.container.location().into();
            return Err(LoadError::Replaced { number, location });
        }
        let malformed = |reason: &dyn std::fmt::Display| {
            sealed.container.damaged(Damage::malformed(ZARR_JSON, reason))
        };
        let root = sealed.document(ZARR_JSON)?;
        let root = ParsedRoot::parse(&root, sealed.manifest.version())
            .map_err(|error| malformed(&error))?;
        let metadata = rebuild_dict(&root.structure.metadata, &mut no_tensors)
            .map_err(|error| malformed(&error))?;
        Ok(metric_of(&metadata, metric))
    }
}
