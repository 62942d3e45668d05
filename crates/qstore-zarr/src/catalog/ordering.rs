//! The order of saves: each save gets a number greater than that of every earlier save.
//!
//! If writers exclude each other, the number is one more than the greatest existing one. If the repository
//! has no lock, a writer claims a number by creating the document `.saves/NUMBER`, at which exactly one
//! writer succeeds. Claims are kept for as long as a number near them may still be claimed.

use super::{Catalog, Scan, is_unreadable};
use qstore_checkpoint::SaveError;
use qstore_checkpoint::repository::{Created, Exclusion, RepositoryError};
use std::sync::atomic::Ordering;

const CLAIMS: &str = ".saves/";
/// A writer that lists the claims and then stalls while others claim this many must claim again.
const CLAIMS_KEPT: u64 = 1000;

impl Catalog {
    /// The number of the next save. The caller has just scanned, under the exclusion.
    pub(crate) fn next_seq(&self, scan: &Scan, exclusion: &Exclusion) -> Result<u64, SaveError> {
        // A checkpoint that cannot be read has an unknown number. It was assigned by counting up from a
        // readable one, so it is less than one era ahead.
        const ERA: u64 = 1 << 32;
        let last = self.last_seq.load(Ordering::SeqCst);
        let next = if scan.invalid.iter().any(is_unreadable) {
            (last / ERA + 1).checked_mul(ERA)
        } else {
            last.checked_add(1)
        };
        let exhausted = || SaveError::TooManySaves { location: self.repository.location() };
        let mut next = next.ok_or_else(exhausted)?;
        if let Exclusion::Unavailable = exclusion {
            next = self.claim(next)?.ok_or_else(exhausted)?;
        }
        self.last_seq.fetch_max(next, Ordering::SeqCst);
        Ok(next)
    }

    /// Claims a number that is at least `next` and greater than every claim. `None` if there is none.
    fn claim(&self, mut next: u64) -> Result<Option<u64>, RepositoryError> {
        loop {
            let newest = self.claims()?.last().copied().unwrap_or(0);
            match newest.checked_add(1) {
                Some(after) => next = next.max(after),
                None => return Ok(None),
            }
            while let Created::Exists(_) = self.repository.create(&name_of(next), b"")? {
                match next.checked_add(1) {
                    Some(after) => next = after,
                    None => return Ok(None),
                }
            }
            let claims = self.claims()?;
            let newest = claims.last().copied().unwrap_or(next);
            // By now the claims around this number may be gone, and the number may already have been used.
            if newest.saturating_sub(next) < CLAIMS_KEPT {
                let is_old = |claim: &&u64| claim.saturating_add(2 * CLAIMS_KEPT) < newest;
                let old: Vec<_> =
                    claims.iter().filter(is_old).map(|claim| name_of(*claim)).collect();
                if !old.is_empty() {
                    drop(self.repository.remove(&old)?);
                }
                return Ok(Some(next));
            }
        }
    }

    /// The claimed numbers, in ascending order.
    fn claims(&self) -> Result<Vec<u64>, RepositoryError> {
        let listed = self.repository.list(CLAIMS)?;
        let mut claims: Vec<u64> =
            listed.iter().filter_map(|listed| listed.name.parse().ok()).collect();
        claims.sort_unstable();
        Ok(claims)
    }
}

fn name_of(claim: u64) -> String {
    format!("{CLAIMS}{claim:020}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use qstore_checkpoint::repository::{MemoryRepository, Repository};
    use std::sync::Arc;

    #[test]
    fn writers_without_a_lock_never_get_the_same_number() {
        const EACH: u64 = 40;
        let repository = MemoryRepository::without_lock();
        let mut numbers: Vec<u64> = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..4)
                .map(|_| {
                    let catalog = Catalog::read_only(Arc::new(repository.clone()));
                    scope.spawn(move || {
                        let exclusion = catalog.repository.exclude().unwrap();
                        let next = |_| catalog.next_seq(&Scan::default(), &exclusion).unwrap();
                        let own: Vec<u64> = (0..EACH).map(next).collect();
                        assert!(own.is_sorted());
                        own
                    })
                })
                .collect();
            writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect()
        });
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=4 * EACH).collect::<Vec<_>>());
    }

    #[test]
    fn old_claims_are_removed_and_a_late_writer_claims_again() {
        let repository = MemoryRepository::without_lock();
        for claim in [1, 2, 5000] {
            repository.create(&name_of(claim), b"").unwrap();
        }
        let catalog = Catalog::read_only(Arc::new(repository));
        assert_eq!(catalog.claim(3).unwrap(), Some(5001));
        assert_eq!(catalog.claims().unwrap(), [5000, 5001]);
        catalog.repository.create(&name_of(u64::MAX), b"").unwrap();
        assert_eq!(catalog.claim(1).unwrap(), None);
    }
}
