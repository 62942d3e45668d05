//! An entry on its way into a checkpoint: made, written or linked, listed.

use crate::Error;
use crate::archive::ArchiveWriter;
use crate::codec::Encoded;
use crate::tree::TreeWriter;

/// What is to be stored under a name.
pub(crate) struct Entry<'e> {
    name: String,
    content: Content<'e>,
}

enum Content<'e> {
    Chunk(Encoded<'e>),
    /// It is read as a whole.
    Document(Vec<u8>),
}

/// An entry that is stored, as the manifest lists it.
pub(crate) struct Listed {
    pub(crate) name: String,
    pub(crate) len: usize,
    /// Of a chunk that of what is before its own checksum, of a document that of all of it.
    pub(crate) crc32c: u32,
    /// Whether it was linked, not written.
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
    pub(crate) fn append_to(self, archive: &mut ArchiveWriter) -> Result<Listed, Error> {
        let name = self.name.clone();
        match &self.content {
            Content::Chunk(chunk) => archive.append(name, chunk.crc32, &chunk.parts())?,
            Content::Document(bytes) => archive.append_document(name, bytes)?,
        }
        Ok(self.listed())
    }

    /// Writes it to a file of its own.
    pub(crate) fn write_to(self, tree: &TreeWriter) -> Result<Listed, Error> {
        match &self.content {
            Content::Chunk(chunk) => tree.append(&self.name, &chunk.parts())?,
            Content::Document(bytes) => {
                ArchiveWriter::check_measure(&self.name, bytes.len())?;
                tree.append(&self.name, &[bytes])?;
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
