//! A store in memory that does what the trait promises, and nothing more: tags are those of the content, so
//! equal contents have equal tags, and an upload that nobody completes stays.

use crate::error::{Failure, Request, RequestError};
use crate::objects::{Body, Condition, Etag, Head, Listed, Objects, Page, Result, Span};
use crate::token::Token;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The most objects on a page, as in S3.
const PAGE: usize = 1000;

/// A store in memory, which lives as long as the last of its clones.
///
/// ```
/// use qstore_objects::{Condition, MemoryObjects, Objects, Token};
/// use std::time::Duration;
///
/// let (store, second) = (MemoryObjects::new(), Duration::from_secs(1));
/// let token = Token::random();
/// store.put("key", b"bytes", &token, &Condition::Absent, second)?;
/// assert!(store.put("key", b"other", &token, &Condition::Absent, second).is_err());
/// assert_eq!(store.head("key", second)?.len, 5);
/// # Ok::<(), qstore_objects::RequestError>(())
/// ```
#[derive(Debug, Clone)]
pub struct MemoryObjects {
    state: Arc<Mutex<State>>,
    is_lax: bool,
    compares_deletes: bool,
    page: Arc<AtomicUsize>,
    stale: Arc<AtomicU64>,
}

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<String, Object>,
    uploads: BTreeMap<String, Multipart>,
    begun: u64,
    /// The keys after each change, for listings that lag behind.
    history: Vec<Vec<(String, u64, Etag)>>,
}

#[derive(Debug, Clone)]
struct Object {
    bytes: Arc<Vec<u8>>,
    etag: Etag,
    token: Token,
}

#[derive(Debug)]
struct Multipart {
    key: String,
    token: Token,
    parts: BTreeMap<u32, (String, Vec<u8>)>,
}

/// An upload in parts that was begun, and neither completed nor aborted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpenUpload {
    /// The key.
    pub key: String,
    /// The mark of the object that it would become.
    pub token: Token,
    /// Its identifier.
    pub id: String,
    /// The bytes of its parts, which take space.
    pub bytes: u64,
}

impl Default for MemoryObjects {
    fn default() -> Self {
        Self {
            state: Arc::default(),
            is_lax: false,
            compares_deletes: true,
            page: Arc::new(AtomicUsize::new(PAGE)),
            stale: Arc::default(),
        }
    }
}

impl MemoryObjects {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty store that ignores conditions, as some do that call themselves compatible.
    #[must_use]
    pub fn without_conditions() -> Self {
        Self { is_lax: true, ..Self::default() }
    }

    /// The same store, which deletes whatever has the key, as most do.
    #[must_use]
    pub fn without_conditional_deletes(self) -> Self {
        Self { compares_deletes: false, ..self }
    }

    /// Pages of listings have at most this many objects, at least 1. Default: 1000.
    pub fn set_page(&self, objects: usize) {
        self.page.store(objects.max(1), Ordering::SeqCst);
    }

    /// Listings do not show the last `changes`. Default: 0. No store that is supported does this today.
    pub fn set_stale(&self, changes: u64) {
        self.stale.store(changes, Ordering::SeqCst);
    }

    /// The bytes of an object, without a request.
    #[must_use]
    pub fn bytes(&self, key: &str) -> Option<Vec<u8>> {
        self.state().objects.get(key).map(|object| object.bytes.to_vec())
    }

    /// All keys, without a request.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        self.state().objects.keys().cloned().collect()
    }

    /// The uploads that are open, without a request.
    #[must_use]
    pub fn open_uploads(&self) -> Vec<OpenUpload> {
        let state = self.state();
        let open = state.uploads.iter().map(|(id, upload)| OpenUpload {
            key: upload.key.clone(),
            token: upload.token.clone(),
            id: id.clone(),
            bytes: upload.parts.values().map(|(_, bytes)| bytes.len() as u64).sum(),
        });
        open.collect()
    }

    /// Changes the bytes of an object behind everybody's back, as a bad disk does.
    pub fn corrupt(&self, key: &str, change: impl FnOnce(&mut Vec<u8>)) {
        if let Some(object) = self.state().objects.get_mut(key) {
            change(Arc::make_mut(&mut object.bytes));
        }
    }

    /// A store with the same objects and uploads, independent from now on.
    #[must_use]
    pub fn snapshot(&self) -> Self {
        let copy =
            Self { state: Arc::default(), page: Arc::default(), stale: Arc::default(), ..*self };
        copy.set_page(self.page.load(Ordering::SeqCst));
        let (from, mut to) = (self.state(), copy.state());
        to.objects.clone_from(&from.objects);
        to.begun = from.begun;
        for (id, Multipart { key, token, parts }) in &from.uploads {
            let (key, token, parts) = (key.clone(), token.clone(), parts.clone());
            to.uploads.insert(id.clone(), Multipart { key, token, parts });
        }
        drop(to);
        copy
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self, state: &mut State) {
        // Kept only while it is asked for; it costs a copy of all keys.
        if self.stale.load(Ordering::SeqCst) > 0 {
            let now = state.listing();
            state.history.push(now);
        }
    }
}

impl State {
    fn listing(&self) -> Vec<(String, u64, Etag)> {
        let all = self.objects.iter();
        all.map(|(key, object)| (key.clone(), object.bytes.len() as u64, object.etag.clone()))
            .collect()
    }

    fn find(&self, request: Request, key: &str) -> Result<&Object> {
        let missing = || RequestError::new(request, key, Failure::NotFound, "there is no such key");
        self.objects.get(key).ok_or_else(missing)
    }

    fn upload(&mut self, request: Request, key: &str, id: &str) -> Result<&mut Multipart> {
        let found = self.uploads.get_mut(id).filter(|upload| upload.key == key);
        found.ok_or_else(|| {
            RequestError::new(request, key, Failure::NotFound, "there is no such upload")
        })
    }
}

/// FNV-1a, which is enough for a tag that only tests compare.
fn tag_of(bytes: &[u8]) -> String {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("\"{hash:016x}\"")
}

fn conflict(request: Request, key: &str) -> RequestError {
    RequestError::new(request, key, Failure::ConditionFailed, "the condition does not hold")
}

impl Objects for MemoryObjects {
    fn location(&self) -> String {
        "memory".into()
    }

    fn part_bytes_min(&self) -> u64 {
        1
    }

    fn deletes_conditionally(&self) -> bool {
        self.compares_deletes
    }

    fn put(
        &self,
        key: &str,
        body: &[u8],
        token: &Token,
        condition: &Condition,
        _: Duration,
    ) -> Result<Etag> {
        let mut state = self.state();
        let found = state.objects.get(key);
        let holds = match condition {
            Condition::Always => true,
            Condition::Absent => found.is_none(),
            Condition::Is(etag) => found.is_some_and(|found| found.etag == *etag),
        };
        if !holds && !self.is_lax {
            return Err(conflict(Request::Put, key));
        }
        let etag = Etag(tag_of(body));
        let object =
            Object { bytes: Arc::new(body.to_vec()), etag: etag.clone(), token: token.clone() };
        state.objects.insert(key.into(), object);
        self.changed(&mut state);
        Ok(etag)
    }

    fn head(&self, key: &str, _: Duration) -> Result<Head> {
        let state = self.state();
        let Object { bytes, etag, token } = state.find(Request::Head, key)?;
        Ok(Head { etag: etag.clone(), len: bytes.len() as u64, token: Some(token.clone()) })
    }

    fn get(&self, key: &str, span: Span, etag: Option<&Etag>, _: Duration) -> Result<Body> {
        let state = self.state();
        let object = state.find(Request::Get, key)?;
        if etag.is_some_and(|etag| *etag != object.etag) {
            return Err(conflict(Request::Get, key));
        }
        let len = object.bytes.len() as u64;
        let (start, end) = match span {
            Span::All => (0, len),
            Span::At { offset, len } => (offset, offset.saturating_add(len)),
            Span::Last(most) => (len.saturating_sub(most), len),
        };
        if end > len || start > end {
            let reason = format!("the object has {len} bytes");
            return Err(RequestError::new(Request::Get, key, Failure::Denied, reason));
        }
        let bytes = object.bytes[start as usize..end as usize].to_vec();
        Ok(Body { bytes, etag: object.etag.clone(), len })
    }

    fn list(&self, prefix: &str, next: Option<&str>, _: Duration) -> Result<Page> {
        let state = self.state();
        let lag = self.stale.load(Ordering::SeqCst) as usize;
        let seen = match state.history.len().checked_sub(lag + 1) {
            _ if lag == 0 => state.listing(),
            Some(at) => state.history[at].clone(),
            None => Vec::new(),
        };
        let is_below = |key: &str| {
            key.strip_prefix(prefix).is_some_and(|name| !name.contains('/'))
                && next.is_none_or(|next| key > next)
        };
        let mut below = seen.into_iter().filter(|(key, ..)| is_below(key));
        let page = self.page.load(Ordering::SeqCst);
        let objects: Vec<Listed> = below
            .by_ref()
            .take(page)
            .map(|(key, len, etag)| Listed { key, len, etag: Some(etag) })
            .collect();
        let is_last = below.next().is_none();
        let next = objects.last().map(|last| last.key.clone()).filter(|_| !is_last);
        Ok(Page { objects, next })
    }

    fn delete(&self, key: &str, etag: Option<&Etag>, _: Duration) -> Result<()> {
        let mut state = self.state();
        let object = state.find(Request::Delete, key)?;
        if self.compares_deletes && etag.is_some_and(|etag| *etag != object.etag) {
            return Err(conflict(Request::Delete, key));
        }
        state.objects.remove(key);
        self.changed(&mut state);
        Ok(())
    }

    fn begin(&self, key: &str, token: &Token, _: Duration) -> Result<String> {
        let mut state = self.state();
        state.begun += 1;
        let id = format!("upload-{}", state.begun);
        let upload = Multipart { key: key.into(), token: token.clone(), parts: BTreeMap::new() };
        state.uploads.insert(id.clone(), upload);
        Ok(id)
    }

    fn part(
        &self,
        key: &str,
        upload: &str,
        number: u32,
        body: &[u8],
        _: Duration,
    ) -> Result<String> {
        let mut state = self.state();
        let upload = state.upload(Request::Part, key, upload)?;
        let tag = tag_of(body);
        upload.parts.insert(number, (tag.clone(), body.to_vec()));
        Ok(tag)
    }

    fn complete(&self, key: &str, upload: &str, parts: &[String], _: Duration) -> Result<Etag> {
        let mut state = self.state();
        let Multipart { parts: stored, token, .. } =
            state.upload(Request::Complete, key, upload)?;
        let mut bytes = Vec::new();
        for (number, tag) in (1..).zip(parts) {
            match stored.get(&number) {
                Some((known, part)) if known == tag => bytes.extend_from_slice(part),
                _ => {
                    let reason = format!("part {number} is missing or is another one");
                    return Err(RequestError::new(Request::Complete, key, Failure::Denied, reason));
                }
            }
        }
        let etag = Etag(format!("{}-{}", tag_of(&bytes), parts.len()));
        let object = Object { bytes: Arc::new(bytes), etag: etag.clone(), token: token.clone() };
        state.uploads.remove(upload);
        state.objects.insert(key.into(), object);
        self.changed(&mut state);
        Ok(etag)
    }

    fn abort(&self, key: &str, upload: &str, _: Duration) -> Result<()> {
        let mut state = self.state();
        state.upload(Request::Abort, key, upload)?;
        state.uploads.remove(upload);
        Ok(())
    }
}
