//! Every rule has a request that it refuses and one, next to it, that passes.

use super::*;
use proptest::prelude::*;

const TOKEN: &str = "0123456789abcdef";

fn guard() -> Guard {
    Guard::new(7_777, vec!["Lab.example".into()], Some(TOKEN.into()))
}

/// A request that passes.
fn good(target: &str) -> Request {
    Request::get(target)
        .header("Host", "127.0.0.1:7777")
        .header("Sec-Fetch-Site", "same-origin")
        .header("Cookie", format!("other=1; qstore-7777={TOKEN}"))
}

fn with(name: &str, value: &str) -> Request {
    let mut request = good("/api/runs");
    request.headers.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
    request.header(name, value)
}

fn status(request: &Request) -> Option<u16> {
    guard().refuse(request).map(|response| response.status)
}

#[test]
fn a_good_request_passes() {
    assert_eq!(status(&good("/api/runs")), None);
    assert_eq!(status(&good("/")), None);
}

#[test]
fn only_methods_that_read() {
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "CONNECT", "get", ""] {
        let request = Request { method: method.into(), ..good("/api/runs") };
        assert_eq!(status(&request), Some(405), "{method}");
    }
    assert_eq!(status(&Request { method: "HEAD".into(), ..good("/api/runs") }), None);
}

#[test]
fn no_target_but_a_path() {
    for target in ["http://127.0.0.1:7777/", "*", "127.0.0.1:7777", ""] {
        assert_eq!(status(&good(target)), Some(400), "{target}");
    }
}

#[test]
fn another_name_that_means_this_machine_is_refused() {
    for host in [
        "evil.test:7777",
        "127.0.0.1.evil.test:7777",
        "127.0.0.1",
        "127.0.0.1:7778",
        "127.0.0.1:77770",
        "localhost.:7777",
        "0.0.0.0:7777",
        "evil.test",
        "lab.example.evil.test",
        "lab.example:x",
        "lab.example:1@evil.test",
        "",
    ] {
        assert_eq!(status(&with("Host", host)), Some(403), "{host}");
    }
    for host in ["localhost:7777", "[::1]:7777", "LOCALHOST:7777", "lab.example", "lab.example:443"]
    {
        assert_eq!(status(&with("Host", host)), None, "{host}");
    }
    assert_eq!(status(&good("/api/runs").header("Host", "127.0.0.1:7777")), Some(403), "twice");
    let mut without = good("/api/runs");
    without.headers.retain(|(name, _)| name != "Host");
    assert_eq!(status(&without), Some(403));
}

#[test]
fn other_pages_of_the_browser_are_refused() {
    for origin in ["http://evil.test", "null", "http://127.0.0.1:8888", "file://", ""] {
        assert_eq!(status(&with("Origin", origin)), Some(403), "{origin}");
    }
    assert_eq!(status(&with("Origin", "http://127.0.0.1:7777")), None);
    for site in ["cross-site", "same-site", "x"] {
        assert_eq!(status(&with("Sec-Fetch-Site", site)), Some(403), "{site}");
    }
    assert_eq!(status(&with("Sec-Fetch-Site", "none")), None);
    let both = with("Sec-Fetch-Site", "cross-site").header("Sec-Fetch-Site", "same-origin");
    assert_eq!(status(&both), Some(403));
}

#[test]
fn a_link_may_lead_to_the_page_and_to_nothing_else() {
    let visit = |target: &str, dest: &str| {
        let mut request = good(target);
        request.headers.retain(|(name, _)| name != "Sec-Fetch-Site");
        let request = request.header("Sec-Fetch-Site", "cross-site");
        status(&request.header("Sec-Fetch-Mode", "navigate").header("Sec-Fetch-Dest", dest))
    };
    assert_eq!(visit("/", "document"), None);
    assert_eq!(visit("/", "iframe"), Some(403));
    assert_eq!(visit("/api/runs", "document"), Some(403));
}

#[test]
fn without_the_token_nothing_is_shown() {
    for cookie in
        ["", "qstore-7777=", "qstore-7778=0123456789abcdef", "qstore-7777=0123456789abcdeF"]
    {
        for target in ["/", "/api/runs", "/api/run/0", "/nothing"] {
            let mut request = with("Cookie", cookie);
            request.target = target.into();
            assert_eq!(status(&request), Some(401), "{cookie} {target}");
        }
    }
    let bearer = |text: &str| status(&with("Cookie", "").header("Authorization", text));
    assert_eq!(bearer(&format!("Bearer {TOKEN}")), None);
    assert_eq!(bearer("Bearer 1"), Some(401));
    assert_eq!(bearer(TOKEN), Some(401));
    assert!(Guard::new(7_777, vec![], None).refuse(&with("Cookie", "")).is_none());
}

#[test]
fn the_token_of_the_address_becomes_a_cookie_and_leaves_the_address() {
    let visit = |token: &str| {
        let mut request = with("Cookie", "");
        request.target = format!("/?token={token}");
        guard().refuse(&request).unwrap()
    };
    let moved = visit(TOKEN);
    assert_eq!((moved.status, moved.find("location")), (303, Some(".")));
    let cookie = moved.find("set-cookie").unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    assert_eq!(visit("wrong").status, 401);
    assert_eq!(visit("wrong").find("set-cookie"), None);
    // Only the page takes it: it would be in the address of every request otherwise.
    let mut request = with("Cookie", "");
    request.target = format!("/api/runs?token={TOKEN}");
    assert_eq!(status(&request), Some(401));
}

proptest! {
    #[test]
    fn a_host_that_passes_is_one_of_the_few(host in "[a-z0-9.:\\[\\]@/-]{0,30}") {
        let own = ["127.0.0.1:7777", "localhost:7777", "[::1]:7777"];
        let is_allowed = host == "lab.example" || host.strip_prefix("lab.example:").is_some_and(|port| {
            port.parse::<u16>().is_ok()
        });
        prop_assert_eq!(guard().is_own(&host), own.contains(&&*host) || is_allowed);
    }

    #[test]
    fn only_the_token_is_the_token(given in "[0-9a-f]{0,20}") {
        prop_assert_eq!(is_same(&given, TOKEN), given == TOKEN);
    }
}
