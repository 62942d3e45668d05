//! An entry on its way into a checkpoint: encoded, then written or linked, then listed.

use crate::container::archive::{ArchiveWriter, check_document_len};
use crate::format::codec::Encoded;
use qstore_checkpoint::SaveError;
use qstore_checkpoint::repository::TreeDraft;

/// Content to be stored under a name.
pub(crate) struct Entry<'e> {
    name: String,
    content: Content<'e>,
}

enum Content<'e> {
    Chunk(Encoded<'e>),
    /// Always read as a whole.
    Document(Vec<u8>),
}

/// A stored entry, as listed in the manifest.
pub(crate) struct Listed {
    pub(crate) name: String,
    pub(crate) len: usize,
    /// For a chunk: of everything before its trailing checksum. For a document: of all bytes.
    pub(crate) crc32c: u32,
    /// Whether the entry was linked instead of written.
    pub(crate) is_linked: bool,
}

impl<'e> Entry<'e> {
    pub(crate) fn chunk(name: String, chunk: Encoded<'e>) -> Self {
        Self { name, content: Content::Chunk(chunk) }
    }

    pub(crate) fn document(name: String, bytes: Vec<u8>) -> Self {
        Self { name, content: Content::Document(bytes) }
    }

    /// Appends it to an archive.
    pub(crate) fn append_to(self, archive: &mut ArchiveWriter) -> Result<Listed, SaveError> {
        let name = self.name.clone();
        match &self.content {
            Content::Chunk(chunk) => archive.append(name, chunk.crc32, &chunk.parts())?,
            Content::Document(bytes) => archive.append_document(name, bytes)?,
        }
        Ok(self.listed())
    }

    /// Writes it to a tree.
    pub(crate) fn write_to(self, tree: &dyn TreeDraft) -> Result<Listed, SaveError> {
        match &self.content {
            Content::Chunk(chunk) => tree.put(&self.name, &chunk.parts())?,
            Content::Document(bytes) => {
                check_document_len(&self.name, bytes.len())?;
                tree.put(&self.name, &[bytes])?;
            }
        }
        Ok(self.listed())
    }

    fn listed(self) -> Listed {
        let (len, crc32c) = match &self.content {
            Content::Chunk(chunk) => (chunk.len(), chunk.crc32c),
            Content::Document(bytes) => (bytes.len(), crc32c::crc32c(bytes)),
        };
        Listed { name: self.name, len, crc32c, is_linked: false }
    }
}
