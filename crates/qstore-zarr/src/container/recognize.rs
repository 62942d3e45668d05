//! Whether a file under the name of a checkpoint is one, so that a save may replace it and a collection remove it.
//!
//! A damaged checkpoint is one as well: a save under its number replaces it. So the contents are not checked.
//! Whatever else has the name, such as notes or an archive of another program, is somebody else's.

use crate::container::archive::Archive;
use crate::container::zip_format::BEGINNING;
use qstore_checkpoint::LoadError;
use qstore_checkpoint::repository::{RepositoryError, Source};
use qstore_checkpoint::seal::MANIFEST;

/// Whether it is a checkpoint in one file, whole or damaged; or an empty file, in which nobody loses anything.
///
/// # Errors
/// If it cannot be read.
pub(crate) fn is_checkpoint_file(name: &str, source: Source) -> Result<bool, RepositoryError> {
    let Source::File(file) = source else { return Ok(false) };
    if file.is_empty()? {
        return Ok(true);
    }
    let mut head = [0; BEGINNING.len()];
    if file.len()? >= head.len() as u64 {
        file.read_at(0, &mut head)?;
    }
    if head == BEGINNING {
        return Ok(true);
    }
    match Archive::of(file, name.into()) {
        Ok(archive) => Ok(archive.entries().last().is_some_and(|entry| entry.name == MANIFEST)),
        Err(LoadError::Repository(error)) => Err(error),
        Err(error) if error.is_exhausted() => Err(RepositoryError::other(name, error)),
        Err(_) => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::archive::ArchiveWriter;
    use qstore_checkpoint::repository::{MemoryRepository, Repository};

    fn is_ours(bytes: &[u8]) -> bool {
        let repository = MemoryRepository::new();
        let mut draft = repository.begin_file("x").unwrap();
        draft.append(bytes).unwrap();
        drop(draft.commit().unwrap());
        is_checkpoint_file("x", Source::File(repository.open_file("x").unwrap())).unwrap()
    }

    #[test]
    fn a_checkpoint_is_recognized_in_parts_and_other_files_are_not() {
        let repository = MemoryRepository::new();
        let mut writer = ArchiveWriter::new(repository.begin_file("x").unwrap());
        writer.append_document("zarr.json".into(), b"{}").unwrap();
        writer.append_document(MANIFEST.into(), b"{}").unwrap();
        drop(writer.finish().unwrap().commit().unwrap());
        let file = repository.open_file("x").unwrap();
        let mut bytes = vec![0; file.len().unwrap() as usize];
        file.read_at(0, &mut bytes).unwrap();

        assert!(bytes.starts_with(&BEGINNING) && is_ours(&bytes) && is_ours(b""));
        for len in BEGINNING.len()..bytes.len() {
            assert!(is_ours(&bytes[..len]), "cut to {len}");
        }
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            assert!(is_ours(&flipped), "flipped at {at}");
        }
        let other = b"PK\x03\x04\x14\0\0\0\0\0\0\0\x21\0 written by another program";
        for foreign in [&b"notes"[..], b"PK", &[0; 100], other, &bytes[1..]] {
            assert!(!is_ours(foreign), "{foreign:?}");
        }
    }
}
