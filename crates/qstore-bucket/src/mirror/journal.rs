//! What a mirror must know after a restart: the upload under way, and uploads that could not be aborted.
//!
//! A document beside the checkpoints, replaced as a whole. It is written before an upload begins, so that even
//! one whose identifier is lost has a name. It contains no credentials.

use qstore_checkpoint::repository::{Repository, RepositoryError, read_all};
use qstore_objects::{Orphan, Token, Upload};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const FORMAT: &str = "qstore-mirror";
const VERSION: u64 = 1;
/// Ten thousand parts take less than a megabyte.
const LEN_MAX: u64 = 16 << 20;

/// The upload of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Underway {
    pub(super) name: String,
    key: String,
    token: String,
    /// Missing until the store has answered.
    id: Option<String>,
    /// The length of the file, and the checksum of its end, which lists the checksums of the rest.
    pub(super) len: u64,
    pub(super) end_crc32c: u32,
    pub(super) part_bytes: u64,
    /// The tags of the parts that are there, by their numbers.
    pub(super) parts: BTreeMap<u32, String>,
}

impl Underway {
    pub(super) fn new(name: &str, key: &str, len: u64, end_crc32c: u32, part_bytes: u64) -> Self {
        Self {
            name: name.into(),
            key: key.into(),
            token: Token::random().as_str().into(),
            id: None,
            len,
            end_crc32c,
            part_bytes,
            parts: BTreeMap::new(),
        }
    }

    pub(super) fn token(&self) -> Option<Token> {
        Token::parse(&self.token)
    }

    pub(super) fn begun(&mut self, upload: &Upload) {
        self.id = Some(upload.id.clone());
    }

    /// The upload, if its identifier is known.
    pub(super) fn upload(&self) -> Option<Upload> {
        Some(Upload::new(self.key.clone(), self.token()?, self.id.clone()?))
    }

    fn orphan(&self) -> Option<Orphan> {
        Some(Orphan { key: self.key.clone(), token: self.token()?, id: self.id.clone() })
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Document {
    format: String,
    version: u64,
    location: String,
    upload: Option<Underway>,
    orphans: Vec<(String, String, Option<String>)>,
}

/// The document, as it is in memory.
#[derive(Debug)]
pub(super) struct Journal {
    name: String,
    location: String,
    pub(super) upload: Option<Underway>,
    pub(super) orphans: Vec<Orphan>,
}

impl Journal {
    /// Reads the document. One for another bucket, or one that cannot be parsed, is an error: it may name
    /// uploads that cost money.
    pub(super) fn open(
        local: &dyn Repository,
        name: &str,
        location: &str,
    ) -> Result<Self, RepositoryError> {
        let name = format!(".mirror-{name}.json");
        let mut journal =
            Self { name, location: location.into(), upload: None, orphans: Vec::new() };
        let Some(bytes) = read_all(local, &journal.name, LEN_MAX)? else { return Ok(journal) };
        let refuse = |reason: String| RepositoryError::other(&journal.name, reason);
        let document: Document =
            serde_json::from_slice(&bytes).map_err(|error| refuse(error.to_string()))?;
        if document.format != FORMAT || document.version != VERSION {
            let (format, version) = (document.format, document.version);
            return Err(refuse(format!("it is `{format}` version {version}; update Q-Store")));
        }
        if document.location != location {
            let known = document.location;
            let advice = "choose another name for the mirror";
            return Err(refuse(format!("it belongs to {known}, not to {location}; {advice}")));
        }
        for (key, token, id) in document.orphans {
            let token = Token::parse(&token).ok_or_else(|| refuse("a malformed token".into()))?;
            let is_resumed = |upload: &Underway| id.is_some() && upload.id == id;
            if !document.upload.as_ref().is_some_and(is_resumed) {
                journal.orphans.push(Orphan { key, token, id });
            }
        }
        // Begun perhaps, but nobody knows under which identifier.
        match document.upload {
            Some(upload) if upload.upload().is_none() => journal.orphans.extend(upload.orphan()),
            upload => journal.upload = upload,
        }
        Ok(journal)
    }

    /// Makes the document durable.
    pub(super) fn write(&self, local: &dyn Repository) -> Result<(), RepositoryError> {
        let orphan = |Orphan { key, token, id }: &Orphan| {
            (key.clone(), token.as_str().to_owned(), id.clone())
        };
        let document = Document {
            format: FORMAT.into(),
            version: VERSION,
            location: self.location.clone(),
            upload: self.upload.clone(),
            orphans: self.orphans.iter().map(orphan).collect(),
        };
        let bytes = serde_json::to_vec(&document).expect("names and numbers are always JSON");
        local.replace(&self.name, &bytes)
    }
}
