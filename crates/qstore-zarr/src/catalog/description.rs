//! The description of a repository, `.qstore.json`: what its checkpoints are numbered by, and which of
//! them are kept. A manager writes it when it opens the repository, for other processes to read.
//!
//! ```json
//! {"format":"qstore-checkpoints","version":1,"counter":"step",
//!  "retention":{"keep_last":5,"best":{"count":1,"metric":"val_loss","goal":"lowest"}}}
//! ```
//! A repository without a description has version 1 of the checkpoint format, or has not been opened for
//! writing yet; then the names of its checkpoints show what is counted.

use qstore_checkpoint::repository::{Kind, Repository, RepositoryError, read_all};
use qstore_checkpoint::retention::Policy;
use qstore_checkpoint::{Counter, Layout, OpenError};
use qstore_settings::SettingError;
use serde::{Deserialize, Serialize};

const NAME: &str = ".qstore.json";
const FORMAT: &str = "qstore-checkpoints";
const VERSION: u64 = 1;
/// Far more than any description this crate writes.
const LEN_MAX: u64 = 1 << 20;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Description {
    format: String,
    version: u64,
    counter: String,
    pub(crate) retention: Policy,
}

/// The description, if there is one.
pub(super) fn read(repository: &dyn Repository) -> Result<Option<Description>, OpenError> {
    #[derive(Deserialize)]
    struct Head {
        format: String,
        version: u64,
    }
    let location = || format!("{}/{NAME}", repository.location());
    let malformed = |reason: String| OpenError::Malformed { location: location(), reason };
    let Some(bytes) = read_all(repository, NAME, LEN_MAX)? else { return Ok(None) };
    let head: Head =
        serde_json::from_slice(&bytes).map_err(|error| malformed(error.to_string()))?;
    if head.format != FORMAT {
        return Err(malformed(format!("its format is `{}`", head.format)));
    }
    if head.version != VERSION {
        let (location, found, known) = (location(), head.version, VERSION);
        return Err(OpenError::UnsupportedVersion { location, found, known });
    }
    let description: Description =
        serde_json::from_slice(&bytes).map_err(|error| malformed(error.to_string()))?;
    match parse(&description.counter) {
        Some(_) => Ok(Some(description)),
        None => Err(malformed(format!("it counts `{}`", description.counter))),
    }
}

fn parse(counter: &str) -> Option<Counter> {
    Counter::ALL.into_iter().find(|known| known.name() == counter)
}

/// What the repository counts, if it can be determined.
pub(super) fn counter_of(repository: &dyn Repository) -> Result<Option<Counter>, OpenError> {
    match read(repository)? {
        Some(description) => Ok(parse(&description.counter)),
        None => Ok(counter_by_names(repository)?),
    }
}

fn counter_by_names(repository: &dyn Repository) -> Result<Option<Counter>, RepositoryError> {
    let listed = repository.list("")?;
    let has = |counter: &Counter| {
        listed.iter().any(|listed| {
            let layout = match listed.kind {
                Kind::File => Layout::SingleFile,
                Kind::Tree => Layout::Directory,
            };
            counter.checkpoint_named(&listed.name, layout).is_some()
        })
    };
    Ok(Counter::ALL.into_iter().find(has))
}

/// Writes the description of a repository that is opened for saving, if it differs from the existing one.
/// Returns what is counted.
///
/// Other writers are excluded only if something has to be written, so that reopening a directory never
/// waits for a save.
pub(super) fn settle(
    repository: &dyn Repository,
    wanted: Option<Counter>,
    policy: &Policy,
) -> Result<Counter, OpenError> {
    if let (counter, _, true) = compare(repository, wanted, policy)? {
        return Ok(counter);
    }
    let _exclusion = repository.exclude()?;
    let (counter, description, is_stored) = compare(repository, wanted, policy)?;
    if !is_stored {
        let bytes = serde_json::to_vec(&description).expect("names and numbers are always JSON");
        repository.replace(NAME, &bytes)?;
    }
    Ok(counter)
}

/// The counter and the description that the repository should have, and whether it already has them.
fn compare(
    repository: &dyn Repository,
    wanted: Option<Counter>,
    policy: &Policy,
) -> Result<(Counter, Description, bool), OpenError> {
    let stored = read(repository)?;
    let found = match &stored {
        Some(stored) => parse(&stored.counter),
        None => counter_by_names(repository)?,
    };
    if let (Some(wanted), Some(found)) = (wanted, found)
        && wanted != found
    {
        let choices = format!("{found}, which {} is numbered by", repository.location());
        return Err(SettingError::new("counter", wanted, choices, found).into());
    }
    let counter = wanted.or(found).unwrap_or_default();
    let description = Description {
        format: FORMAT.into(),
        version: VERSION,
        counter: counter.name().into(),
        retention: policy.clone(),
    };
    let is_stored = stored.as_ref() == Some(&description);
    Ok((counter, description, is_stored))
}

#[cfg(test)]
mod tests {
    use super::*;
    use qstore_checkpoint::repository::MemoryRepository;
    use qstore_checkpoint::retention::Goal;

    #[test]
    fn a_description_is_read_by_another_process() {
        let repository = MemoryRepository::new();
        assert_eq!(read(&repository).unwrap(), None);
        let policy = Policy::keep_last(3).best(1, "val_loss", Goal::Lowest).every(10);
        assert_eq!(settle(&repository, Some(Counter::Step), &policy).unwrap(), Counter::Step);
        assert_eq!(read(&repository).unwrap().unwrap().retention, policy);
        assert_eq!(counter_of(&repository).unwrap(), Some(Counter::Step));
        let other = Policy::keep_last(1);
        assert_eq!(settle(&repository, None, &other).unwrap(), Counter::Step);
        assert_eq!(read(&repository).unwrap().unwrap().retention, other);
    }

    #[test]
    fn a_counter_that_contradicts_the_repository_is_refused() {
        let repository = MemoryRepository::new();
        drop(repository.begin_file("epoch_0001.zarr.zip").unwrap().commit().unwrap());
        let policy = Policy::keep_last(5);
        let error = settle(&repository, Some(Counter::Step), &policy).unwrap_err();
        assert_eq!(
            error.to_string(),
            "counter is step; choose epoch, which memory is numbered by (default epoch)"
        );
        assert_eq!(settle(&repository, None, &policy).unwrap(), Counter::Epoch);
    }

    #[test]
    fn a_malformed_description_is_refused_and_a_newer_version_is_reported() {
        for (text, message) in [
            ("{", "is not valid"),
            (r#"{"format":"x","version":1}"#, "its format is `x`"),
            (r#"{"format":"qstore-checkpoints","version":9}"#, "has format version 9"),
            (
                r#"{"format":"qstore-checkpoints","version":1,"counter":"days","retention":{"keep_last":1}}"#,
                "it counts `days`",
            ),
        ] {
            let repository = MemoryRepository::new();
            repository.replace(NAME, text.as_bytes()).unwrap();
            let error = read(&repository).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
