//! The server: HTTP/1.1 on this machine only, one thread for each connection.
//!
//! What it does not do: HTTP/2, TLS, bodies of requests, streams. A proxy can hold back none of its answers, and
//! nothing can be sent to it but a head of at most 8 KiB.

use crate::error::PageError;
use crate::message::{Request, Response};
use crate::site::Site;
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The maximum length of a head.
const HEAD_MAX: usize = 8 * 1024;
/// The maximum number of its headers.
const HEADERS_MAX: usize = 64;
/// The maximum number of connections: a browser opens six.
const CONNECTIONS_MAX: usize = 16;
/// A connection on which nothing comes for this long is closed.
const IDLE: Duration = Duration::from_secs(60);
/// An answer that is not taken for this long is given up.
const WRITE: Duration = Duration::from_secs(30);

/// After a refusal, what is still sent is taken for this long, and this many times.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_CHUNKS_MAX: usize = 16;

/// A port of this machine on which a site is answered, until it is stopped.
#[derive(Debug)]
#[must_use = "dropping it stops it"]
pub struct Server {
    site: Arc<Site>,
    addresses: Vec<SocketAddr>,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    is_stopping: AtomicBool,
    next: AtomicU64,
    open: Mutex<HashMap<u64, TcpStream>>,
}

/// A port that was taken, before it is known what is answered on it: the site must know its port.
#[derive(Debug)]
pub struct Port {
    listeners: Vec<TcpListener>,
    number: u16,
}

impl Port {
    /// Takes a port of 127.0.0.1 and, where there is one, of `::1`. Port 0 is any free one. No other machine can
    /// reach it.
    ///
    /// # Errors
    /// [`PageError::Listen`] if it is taken.
    pub fn take(port: u16) -> Result<Self, PageError> {
        let failed = |source| PageError::Listen { port, source };
        let first = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(failed)?;
        let number = first.local_addr().map_err(failed)?.port();
        let mut listeners = vec![first];
        // Another program may have the port there; then only 127.0.0.1 is ours.
        listeners.extend(TcpListener::bind((Ipv6Addr::LOCALHOST, number)));
        Ok(Self { listeners, number })
    }

    /// Its number.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.number
    }

    /// Answers requests from now on.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub fn serve(self, site: Site) -> Result<Server, PageError> {
        let thread = |source| PageError::Thread { source };
        let mut server = Server {
            site: Arc::new(site),
            addresses: Vec::new(),
            shared: Arc::default(),
            threads: Vec::new(),
        };
        for listener in self.listeners {
            server.addresses.push(listener.local_addr().map_err(thread)?);
            let (site, shared) = (Arc::clone(&server.site), Arc::clone(&server.shared));
            let accept = move || accept(&listener, &site, &shared);
            let started = thread::Builder::new().name("qstore-page".into()).spawn(accept);
            server.threads.push(started.map_err(thread)?);
        }
        Ok(server)
    }
}

impl Server {
    /// Where it can be reached: one address or two, all of this machine.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// What is answered.
    #[must_use]
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// What to open in a browser. It has the token.
    #[must_use]
    pub fn url(&self) -> String {
        let port = self.addresses.first().map_or(0, SocketAddr::port);
        let token = self.site.token().map(|token| format!("?token={token}"));
        format!("http://127.0.0.1:{port}/{}", token.unwrap_or_default())
    }

    /// Closes the port, and all connections. An answer that is being computed is not sent anymore.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.shared.is_stopping.store(true, Ordering::SeqCst);
        for address in &self.addresses {
            // Wakes the thread that accepts. If it cannot be reached, it has ended.
            drop(TcpStream::connect(address));
        }
        for thread in self.threads.drain(..) {
            drop(thread.join());
        }
        for (_, stream) in self.shared.open().drain() {
            // Ends the thread that reads from it.
            drop(stream.shutdown(Shutdown::Both));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn open(&self) -> MutexGuard<'_, HashMap<u64, TcpStream>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn accept(listener: &TcpListener, site: &Arc<Site>, shared: &Arc<Shared>) {
    loop {
        let accepted = listener.accept();
        if shared.is_stopping.load(Ordering::SeqCst) {
            return;
        }
        // One that was given up in the meantime.
        let Ok((mut stream, peer)) = accepted else { continue };
        if !is_loopback(peer.ip()) {
            continue;
        }
        let Ok(handle) = stream.try_clone() else { continue };
        let mut open = shared.open();
        if open.len() >= CONNECTIONS_MAX {
            drop(open);
            let full = Response::text(503, "too many connections");
            drop(write(&mut stream, &full, false, false));
            continue;
        }
        let number = shared.next.fetch_add(1, Ordering::Relaxed);
        open.insert(number, handle);
        drop(open);
        let (site, of_thread) = (Arc::clone(site), Arc::clone(shared));
        let talk = move || {
            // A connection that breaks is the business of the other side.
            drop(talk(&mut stream, &site));
            of_thread.open().remove(&number);
        };
        let started = thread::Builder::new().name("qstore-page-connection".into()).spawn(talk);
        if started.is_err() {
            shared.open().remove(&number);
        }
    }
}

fn is_loopback(address: IpAddr) -> bool {
    address.is_loopback()
}

/// Answers the requests of a connection, one after the other.
fn talk(stream: &mut TcpStream, site: &Site) -> io::Result<()> {
    stream.set_read_timeout(Some(IDLE))?;
    stream.set_write_timeout(Some(WRITE))?;
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(1024);
    loop {
        let (request, stays, used) = match read(stream, &mut buffer)? {
            Head::Whole(request, stays, used) => (request, stays, used),
            Head::Nothing => return Ok(()),
            Head::Refused(status, reason) => {
                write(stream, &Response::text(status, reason), false, false)?;
                return linger(stream);
            }
        };
        buffer.drain(..used);
        let answer = site.answer(&request);
        write(stream, &answer, request.method == "HEAD", stays)?;
        if !stays {
            return Ok(());
        }
    }
}

/// Takes some of what is still coming before the connection is closed: closing it at once would discard the answer at
/// the other side.
fn linger(stream: &mut TcpStream) -> io::Result<()> {
    stream.shutdown(Shutdown::Write)?;
    stream.set_read_timeout(Some(LINGER))?;
    let mut chunk = [0; 4096];
    for _ in 0..LINGER_CHUNKS_MAX {
        if stream.read(&mut chunk)? == 0 {
            break;
        }
    }
    Ok(())
}

#[derive(Debug, PartialEq)]
enum Head {
    /// A request, whether the connection stays, and the length of its head.
    Whole(Request, bool, usize),
    /// The other side has closed the connection.
    Nothing,
    /// A status, and why.
    Refused(u16, &'static str),
}

fn read(stream: &mut impl Read, buffer: &mut Vec<u8>) -> io::Result<Head> {
    let mut chunk = [0; 1024];
    loop {
        if let Some(head) = parse(buffer) {
            return Ok(head);
        }
        if buffer.len() >= HEAD_MAX {
            return Ok(Head::Refused(431, "the head of the request is longer than 8 KiB"));
        }
        let room = chunk.len().min(HEAD_MAX - buffer.len());
        match stream.read(&mut chunk[..room]) {
            Ok(0) if buffer.is_empty() => return Ok(Head::Nothing),
            Ok(0) => return Ok(Head::Refused(400, "the request is truncated")),
            Ok(count) => buffer.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The head at the beginning of some bytes; nothing if there is more to come.
fn parse(bytes: &[u8]) -> Option<Head> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Request::new(&mut headers);
    let used = match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(used)) => used,
        Ok(httparse::Status::Partial) => return None,
        Err(httparse::Error::TooManyHeaders) => {
            return Some(Head::Refused(431, "the request has more than 64 headers"));
        }
        Err(_) => return Some(Head::Refused(400, "this is not a request of HTTP/1")),
    };
    let mut request =
        Request::new(parsed.method.unwrap_or_default(), parsed.path.unwrap_or_default());
    for header in parsed.headers.iter() {
        let Ok(value) = str::from_utf8(header.value) else {
            return Some(Head::Refused(400, "a header is not UTF-8"));
        };
        request.headers.push((header.name.to_owned(), value.trim().to_owned()));
    }
    let has_body = request.all("transfer-encoding").next().is_some()
        || request.all("content-length").any(|length| length != "0");
    if has_body {
        return Some(Head::Refused(413, "a request to this server has no body"));
    }
    let connection = request.find("connection").unwrap_or_default().to_ascii_lowercase();
    // HTTP/1.0 closes.
    let stays = parsed.version == Some(1) && !connection.contains("close");
    Some(Head::Whole(request, stays, used))
}

fn write(stream: &mut impl Write, answer: &Response, is_head: bool, stays: bool) -> io::Result<()> {
    let mut head = format!("HTTP/1.1 {} {}\r\n", answer.status, reason(answer.status));
    for (name, value) in &answer.headers {
        // Ours have neither; one that had would be another header.
        let value: String = value.chars().filter(|char| !char.is_control()).collect();
        head.extend([name, ": ", &value, "\r\n"]);
    }
    if answer.status != 304 {
        head.extend(["Content-Length: ", &answer.body.len().to_string(), "\r\n"]);
    }
    head.push_str(if stays { "\r\n" } else { "Connection: close\r\n\r\n" });
    let mut bytes = head.into_bytes();
    if !is_head {
        bytes.extend_from_slice(&answer.body);
    }
    stream.write_all(&bytes)?;
    stream.flush()
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        303 => "See Other",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        413 => "Content Too Large",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        _ => "Internal Server Error",
    }
}

/// 128 random bits from the system, as text.
///
/// # Errors
/// [`PageError::Random`].
pub fn random_token() -> Result<String, PageError> {
    let path = PathBuf::from("/dev/urandom");
    let mut bytes = [0; 16];
    let read = std::fs::File::open(&path).and_then(|mut file| file.read_exact(&mut bytes));
    read.map_err(|source| PageError::Random { path, source })?;
    Ok(format!("{:032x}", u128::from_le_bytes(bytes)))
}

#[cfg(test)]
mod tests;
