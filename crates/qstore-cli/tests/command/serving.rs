//! The page is served until Ctrl-C, and a report is one file that asks nobody for anything.

use super::kit::{call, enter, scratch};
use qstore_cli::console::{Screen, Waiting, World};
use qstore_cli::{Exit, run};
use qstore_run::RunPlace;
use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::rc::Rc;
use std::time::Duration;

/// What is printed, also while the verb is at work.
#[derive(Clone, Default)]
struct Screened(Rc<RefCell<Vec<u8>>>);

impl Write for Screened {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Looks at the page at the first wait, and presses Ctrl-C.
struct Visit {
    printed: Screened,
    look: fn(&str),
    is_stopped: bool,
}

impl Waiting for Visit {
    fn handle_interrupts(&mut self) {}

    fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    fn wait(&mut self, _: Duration) {
        let text = String::from_utf8(self.printed.0.borrow().clone()).unwrap();
        (self.look)(text.trim());
        self.is_stopped = true;
    }
}

fn serve(more: &[&str], look: fn(&str)) -> String {
    enter();
    let mut printed = Screened::default();
    let mut waiting = Visit { printed: printed.clone(), look, is_stopped: false };
    let world = World {
        out: &mut printed.clone(),
        err: &mut std::io::sink(),
        screen: Screen::default(),
        place: RunPlace::default(),
        dir: "runs".into(),
        waiting: &mut waiting,
    };
    let exit = run(["qstore", "serve"].iter().chain(more), world);
    assert_eq!(exit, Exit::Done);
    assert!(waiting.is_stopped);
    printed.flush().unwrap();
    let text = printed.0.borrow().clone();
    String::from_utf8(text).unwrap()
}

/// The answer to a request with these headers.
fn get(url: &str, path: &str, headers: &str) -> String {
    let host = url.strip_prefix("http://").unwrap().split('/').next().unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn the_address_leads_to_the_page_and_its_token_to_the_runs() {
    let printed = serve(&[], |url| {
        let token = url.split_once("?token=").unwrap().1;
        let refused = get(url, "/api/runs", "");
        assert!(refused.starts_with("HTTP/1.1 401"), "{refused}");
        let moved = get(url, &format!("/?token={token}"), "");
        assert!(moved.starts_with("HTTP/1.1 303") && moved.contains("HttpOnly"), "{moved}");
        let cookie = moved.split("Set-Cookie: ").nth(1).unwrap().split(';').next().unwrap();
        let page = get(url, "/", &format!("Cookie: {cookie}\r\n"));
        assert!(page.contains("<title>") || page.contains("<script>"), "{page}");
        let runs = get(url, "/api/runs", &format!("Cookie: {cookie}\r\n"));
        assert!(runs.contains("run_004") && runs.contains("\"failed\""), "{runs}");
    });
    assert!(printed.starts_with("http://127.0.0.1:"), "{printed}");
}

#[test]
fn without_a_token_and_as_json() {
    let printed = serve(&["--no-token", "--json", "runs/run_003"], |text| {
        let document: serde_json::Value = serde_json::from_str(text).unwrap();
        let runs = get(document["url"].as_str().unwrap(), "/api/runs", "");
        assert!(runs.contains("run_003") && !runs.contains("run_004"), "{runs}");
    });
    assert!(printed.starts_with("{\"schema\":\"qstore.serve/1\""), "{printed}");
}

#[test]
fn what_cannot_be_served_is_reported() {
    assert_eq!(call(&["serve", "no/such"]).exit, Exit::Missing);
    assert_eq!(call(&["serve", "runs/run_003/metrics.parquet"]).exit, Exit::Usage);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let called = call(&["serve", "runs", "--port", &port]);
    assert_eq!(called.exit, Exit::Failed);
    assert!(
        called.err.contains(&format!("cannot listen on 127.0.0.1, port {port}")),
        "{}",
        called.err
    );
}

#[test]
fn a_report_has_everything_inside_and_replaces_nothing() {
    let copy = scratch();
    let at = |path: &str| copy.path().join(path).display().to_string();
    let (runs, file) = (at("runs"), at("report.html"));
    let arguments = ["report", &runs, "-o", &file, "--title", "A <study>"];
    assert_eq!(call(&arguments).exit, Exit::Done);
    let html = std::fs::read_to_string(&file).unwrap();
    assert!(html.contains("<title>A &lt;study&gt;</title>"));
    assert!(html.contains("default-src 'none'") && !html.contains("connect-src"));
    for name in ["run_001", "run_002", "run_003", "run_004", "the device was taken offline"] {
        assert!(html.contains(name), "{name}");
    }
    assert_eq!(call(&arguments).exit, Exit::Failed);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), html, "it was left alone");
    let again = [&arguments[..], &["--force", "--columns", "val_loss", "--width", "100"]].concat();
    assert_eq!(call(&again).exit, Exit::Done);
    assert!(std::fs::read_to_string(&file).unwrap().len() < html.len());
    assert_eq!(call(&["report", &at("jobs"), "-o", &at("x.html")]).exit, Exit::Missing);
}
