//! Who may ask: the rules that keep other pages of the same browser away from the runs.
//!
//! A page on the internet can make a browser send requests to 127.0.0.1, also under a name of its own that it has
//! made to mean 127.0.0.1 (DNS rebinding). It cannot change `Host`, `Origin` and `Sec-Fetch-Site`, and it does
//! not know the token. Other users of the machine can send anything, and do not know the token either.
//!
//! Invariant: a request is answered with data only if every rule allows it.

use crate::message::{Request, Response};

/// How a browser may reach the page, and what it must know.
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    port: u16,
    /// Names under which a proxy hands on requests.
    allowed: Vec<String>,
    /// What a browser must know; nothing if everybody on this machine may look.
    token: Option<String>,
}

impl Guard {
    pub(crate) fn new(port: u16, allowed: Vec<String>, token: Option<String>) -> Self {
        let allowed = allowed.into_iter().map(|name| name.to_ascii_lowercase()).collect();
        Self { port, allowed, token }
    }

    pub(crate) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// The answer to a request that is refused, or to one that brings the token; nothing if it may be answered.
    pub(crate) fn refuse(&self, request: &Request) -> Option<Response> {
        if request.method != "GET" && request.method != "HEAD" {
            let refused = Response::text(405, "only GET and HEAD: this server changes nothing");
            return Some(refused.with("Allow", "GET, HEAD"));
        }
        if !request.target.starts_with('/') {
            return Some(Response::text(400, "a target begins with a slash"));
        }
        let Some(host) = request.find("host").filter(|host| self.is_own(host)) else {
            return Some(Response::text(
                403,
                "this name is not one of this server's; use 127.0.0.1, or start it with --allow-host NAME",
            ));
        };
        if !Self::is_from_here(request, host) {
            return Some(Response::text(403, "requests from other sites are refused"));
        }
        self.refuse_without_token(request)
    }

    /// Whether a `Host` is a name of this machine with our port, or one that was allowed.
    fn is_own(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let loopback = ["127.0.0.1", "localhost", "[::1]"];
        let is_loopback = loopback.iter().any(|name| {
            host.strip_prefix(name).is_some_and(|rest| {
                rest == format!(":{}", self.port) || rest.is_empty() && self.port == 80
            })
        });
        is_loopback
            || self.allowed.iter().any(|name| {
                let port = host.strip_prefix(name.as_str());
                port.is_some_and(|port| {
                    port.is_empty()
                        || port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok())
                })
            })
    }

    /// Whether the page that makes the request is ours, or it is a person who follows a link.
    fn is_from_here(request: &Request, host: &str) -> bool {
        let origins: Vec<_> = request.all("origin").collect();
        let is_origin_ours = origins.iter().all(|origin| {
            let name = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
            name.is_some_and(|name| name.eq_ignore_ascii_case(host))
        });
        let sites: Vec<_> = request.all("sec-fetch-site").collect();
        let is_site_ours = sites.iter().all(|site| matches!(*site, "same-origin" | "none"));
        let is_visit = request.path() == "/"
            && request.find("sec-fetch-mode") == Some("navigate")
            && request.find("sec-fetch-dest") == Some("document");
        is_origin_ours && (is_site_ours || is_visit)
    }

    fn refuse_without_token(&self, request: &Request) -> Option<Response> {
        let token = self.token.as_deref()?;
        let cookie = self.cookie();
        let is_known = |text: &str| is_same(text, token);
        if request.path() == "/"
            && let Some(given) = request.query().find("token")
        {
            if !is_known(given) {
                return Some(Response::text(401, "this token is not the one of this server"));
            }
            // Out of the address, so that it is in no history and in no screenshot.
            let set = format!("{cookie}={token}; HttpOnly; SameSite=Strict; Path=/");
            let moved = Response::text(303, "see .").with("Location", ".").with("Set-Cookie", set);
            return Some(moved);
        }
        let cookies = request.all("cookie").flat_map(|cookies| cookies.split(';'));
        let mut of_cookies = cookies.filter_map(|pair| pair.trim().split_once('='));
        let has_cookie = of_cookies.any(|(name, value)| name == cookie && is_known(value));
        let bearer = request.find("authorization").and_then(|text| text.strip_prefix("Bearer "));
        if has_cookie || bearer.is_some_and(is_known) {
            return None;
        }
        let advice = "open the address that `qstore serve` has printed; it has the token";
        Some(Response::text(401, advice))
    }

    /// Cookies are of a host, not of a port: each server has its own.
    fn cookie(&self) -> String {
        format!("qstore-{}", self.port)
    }
}

/// Compares all bytes, wherever the first difference is.
fn is_same(given: &str, token: &str) -> bool {
    let differences =
        given.bytes().zip(token.bytes()).fold(0, |all, (one, other)| all | (one ^ other));
    given.len() == token.len() && differences == 0
}

#[cfg(test)]
mod tests;
