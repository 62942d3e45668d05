//! The server over real connections, and what it makes of bytes that are not a request.

use super::*;
use crate::catalog::Source;
use crate::site::SiteSettings;
use proptest::prelude::*;
use qstore_run::RunPlace;

fn serve() -> (tempfile::TempDir, Server) {
    let runs = tempfile::tempdir().unwrap();
    let port = Port::take(0).unwrap();
    let source = Source::Directory { path: runs.path().into(), is_deep: false };
    let settings = SiteSettings::default().token("t0ken");
    let site = Site::new(RunPlace::default(), source, port.number(), settings);
    (runs, port.serve(site).unwrap())
}

/// Sends bytes and returns all that comes until the server closes the connection.
fn send(server: &Server, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.addresses()[0]).unwrap();
    stream.write_all(bytes).unwrap();
    // A server that has refused a request need not wait for the rest of it.
    drop(stream.shutdown(Shutdown::Write));
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8(answer).unwrap()
}

fn head(server: &Server, first: &str, more: &str) -> String {
    let port = server.addresses()[0].port();
    format!("{first} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{more}\r\n")
}

#[test]
fn no_other_machine_can_reach_it() {
    let (_runs, server) = serve();
    assert!(server.addresses().iter().all(|address| address.ip().is_loopback()));
    assert!(server.url().ends_with("/?token=t0ken"), "{}", server.url());
    server.stop();
}

#[test]
fn requests_of_a_connection_are_answered_in_order() {
    let (_runs, server) = serve();
    let bearer = "Authorization: Bearer t0ken\r\n";
    let two = head(&server, "GET /api/runs", bearer) + &head(&server, "HEAD /", bearer);
    let answers = send(&server, two.as_bytes());
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 2, "{answers}");
    assert!(answers.contains("\"runs\":[]"));
    assert!(answers.ends_with("\r\n\r\n"), "HEAD has no body");
    let refused = send(&server, head(&server, "GET /api/runs", "").as_bytes());
    assert!(refused.starts_with("HTTP/1.1 401"), "{refused}");
    server.stop();
}

#[test]
fn a_request_under_another_name_is_refused() {
    let (_runs, server) = serve();
    let port = server.addresses()[0].port();
    let bearer = "Authorization: Bearer t0ken\r\n";
    let answer = send(
        &server,
        format!("GET /api/runs HTTP/1.1\r\nHost: evil.test:{port}\r\n{bearer}\r\n").as_bytes(),
    );
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    server.stop();
}

#[test]
fn nothing_can_be_sent_to_it() {
    let (_runs, server) = serve();
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(2 * HEAD_MAX));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(HEADERS_MAX + 1));
    let with_body = head(&server, "POST /api/runs", "Content-Length: 4\r\n") + "body";
    let chunked = head(&server, "GET /", "Transfer-Encoding: chunked\r\n");
    for (bytes, status) in [
        (long.as_str(), "431"),
        (&many, "431"),
        (&with_body, "413"),
        (&chunked, "413"),
        ("GET / HTTP/1.1\r\nHost", "400"),
        ("\u{1}\u{2}\r\n\r\n", "400"),
    ] {
        let answer = send(&server, bytes.as_bytes());
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
        assert!(answer.contains("Connection: close"), "{answer}");
    }
    assert_eq!(send(&server, b""), "");
    server.stop();
}

#[test]
fn stopping_closes_the_port_and_what_is_open() {
    let (_runs, server) = serve();
    let address = server.addresses()[0];
    let mut open = TcpStream::connect(address).unwrap();
    // Once it is answered, the server has it.
    open.write_all(head(&server, "GET /", "").as_bytes()).unwrap();
    let mut byte = [0];
    open.read_exact(&mut byte).unwrap();
    server.stop();
    let mut rest = Vec::new();
    // An error is as good as the end.
    drop(open.read_to_end(&mut rest));
    assert!(TcpListener::bind(address).is_ok() || TcpStream::connect(address).is_err());
}

#[test]
fn one_connection_too_many_is_refused() {
    let (_runs, server) = serve();
    let mut open = Vec::new();
    for _ in 0..CONNECTIONS_MAX {
        let mut stream = TcpStream::connect(server.addresses()[0]).unwrap();
        stream.write_all(head(&server, "GET /", "").as_bytes()).unwrap();
        stream.read_exact(&mut [0]).unwrap();
        open.push(stream);
    }
    let answer = send(&server, b"");
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    server.stop();
}

#[test]
fn a_token_is_random() {
    let (one, other) = (random_token().unwrap(), random_token().unwrap());
    assert_eq!(one.len(), 32);
    assert_ne!(one, other);
}

proptest! {
    #[test]
    fn any_bytes_are_a_request_or_refused(
        mut bytes in prop::collection::vec(any::<u8>(), 0..300),
        start in prop_oneof![Just(""), Just("GET / HTTP/1.1\r\n"), Just("GET /a?b HTTP/1.1\r\nHost: ")],
    ) {
        let mut all = start.as_bytes().to_vec();
        all.append(&mut bytes);
        let found = read(&mut &*all.clone(), &mut Vec::new()).unwrap();
        match found {
            Head::Whole(_, _, used) => prop_assert!(used <= all.len()),
            Head::Nothing => prop_assert!(all.is_empty()),
            Head::Refused(status, _) => prop_assert!([400, 413, 431].contains(&status)),
        }
    }

    #[test]
    fn a_head_may_come_in_pieces(cut in 0_usize..60) {
        struct Pieces<'a>(Vec<&'a [u8]>);
        impl Read for Pieces<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                if self.0.is_empty() {
                    return Ok(0);
                }
                let piece = self.0.remove(0);
                buffer[..piece.len()].copy_from_slice(piece);
                Ok(piece.len())
            }
        }
        let whole = b"GET /api/runs HTTP/1.1\r\nHost: 127.0.0.1:7777\r\n\r\n";
        let (one, other) = whole.split_at(cut.clamp(1, whole.len() - 1));
        let head = read(&mut Pieces(vec![one, other]), &mut Vec::new()).unwrap();
        let Head::Whole(request, true, _) = head else { panic!("{head:?}") };
        prop_assert_eq!(request.find("host"), Some("127.0.0.1:7777"));
    }
}
