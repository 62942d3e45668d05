//! The site: answers requests, without a socket.
//!
//! Invariant: nothing is written, no process is started, and what a request names is looked up in lists that were
//! made here.

use crate::asset;
use crate::catalog::{Catalog, Listed, Source, Version};
use crate::detail::Detail;
use crate::epochs::Epochs;
use crate::error::PageError;
use crate::guard::Guard;
use crate::message::{Query, Request, Response};
use crate::picture::{WIDTH_MAX, Wanted, x_of};
use crate::summary::Summary;
use qstore_run::{RunPlace, RunReader};
use qstore_view::Cache;
use serde::Serialize;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The most runs, and the most columns, of one picture.
const SERIES_MAX: usize = 64;
/// Pixel columns, where a request does not say.
const WIDTH: u32 = 1_200;

/// Who may look at the site, and how.
///
/// ```
/// use qstore_page::SiteSettings;
///
/// let settings = SiteSettings::default().token("0123456789abcdef").allow_host("lab.example");
/// # let _ = settings;
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct SiteSettings {
    /// What a browser must know. Default: nothing, so that everybody on this machine may look.
    pub token: Option<String>,
    /// Names under which a proxy hands on requests. Default: none, only names of this machine.
    pub allowed_hosts: Vec<String>,
}

impl SiteSettings {
    /// Only who knows the token may look.
    #[must_use]
    pub fn token(self, token: impl Into<String>) -> Self {
        Self { token: Some(token.into()), ..self }
    }

    /// Requests under that name are answered, too.
    #[must_use]
    pub fn allow_host(mut self, name: impl Into<String>) -> Self {
        self.allowed_hosts.push(name.into());
        self
    }
}

/// The page and its data, for one server.
///
/// ```
/// use qstore_page::{Request, Site, SiteSettings, Source};
/// use qstore_run::{Run, RunPlace, RunSettings};
///
/// # let runs = tempfile::tempdir()?;
/// Run::create(runs.path(), RunSettings::default())?.finish()?;
/// let source = Source::Directory { path: runs.path().into(), is_deep: false };
/// let site = Site::new(RunPlace::default(), source, 7_777, SiteSettings::default());
///
/// let request = Request::get("/api/runs").header("Host", "127.0.0.1:7777");
/// let answer = site.answer(&request);
/// assert_eq!(answer.status, 200);
/// let again = request.header("If-None-Match", answer.find("ETag").expect("it has one"));
/// assert_eq!(site.answer(&again).status, 304);
/// assert_eq!(site.answer(&Request::get("/api/runs").header("Host", "evil.test")).status, 403);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Site {
    guard: Guard,
    catalog: Catalog,
    /// Differs from server to server, so that no tag of another one fits.
    origin: u64,
    summaries: Mutex<HashMap<usize, (Version, Summary)>>,
    cache: Mutex<Cache>,
}

/// The table of runs.
#[derive(Debug, Serialize)]
pub(crate) struct RunsBody<'a> {
    pub(crate) schema: &'static str,
    pub(crate) title: &'a str,
    pub(crate) runs: &'a [Summary],
}

/// What is asked for.
enum Route {
    Page,
    Runs,
    Run(usize),
    Epochs(usize),
    Series,
}

impl Site {
    /// A site about some runs, for a server on that port of this machine.
    #[must_use]
    pub fn new(place: RunPlace, source: Source, port: u16, settings: SiteSettings) -> Self {
        let SiteSettings { token, allowed_hosts } = settings;
        let mut hasher = DefaultHasher::new();
        (place.surroundings.now(), port, &token).hash(&mut hasher);
        Self {
            guard: Guard::new(port, allowed_hosts, token),
            catalog: Catalog::new(place, source),
            origin: hasher.finish(),
            summaries: Mutex::default(),
            cache: Mutex::default(),
        }
    }

    /// The token that a browser must know.
    #[must_use]
    pub fn token(&self) -> Option<&str> {
        self.guard.token()
    }

    /// Answers a request. It never fails: the answer reports what cannot be read.
    #[must_use]
    pub fn answer(&self, request: &Request) -> Response {
        let answer = match self.guard.refuse(request) {
            Some(refused) => refused,
            None => self.route(request),
        };
        let mut answer = answer
            .with("X-Content-Type-Options", "nosniff")
            .with("X-Frame-Options", "DENY")
            .with("Referrer-Policy", "no-referrer")
            .with("Cross-Origin-Resource-Policy", "same-origin")
            .with("Cross-Origin-Opener-Policy", "same-origin")
            .with("Cache-Control", "no-store");
        if answer.find("Content-Security-Policy").is_none() {
            answer = answer
                .with("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'");
        }
        answer
    }

    fn route(&self, request: &Request) -> Response {
        let missing = || Response::text(404, "there is nothing of this name");
        let Some(route) = Route::of(request.path()) else { return missing() };
        let query = request.query();
        let answered = match route {
            Route::Page => {
                let page = &*asset::SERVED;
                let html = Response::new(200, "text/html; charset=utf-8", page.html.as_str());
                return html.with("Content-Security-Policy", page.policy.as_str());
            }
            Route::Runs => self.runs(request),
            Route::Run(id) => self.one(request, id, |run, reader, version| {
                Ok(Response::json(&Detail::read(run, reader, version)?)?)
            }),
            Route::Epochs(id) => {
                self.one(request, id, |_, reader, _| Ok(Response::json(&Epochs::read(reader)?)?))
            }
            Route::Series => self.series(request, &query),
        };
        answered.unwrap_or_else(|error| match error {
            Failure::Missing => missing(),
            Failure::Malformed(reason) => Response::text(400, reason),
            // The page shows the text as text.
            Failure::Unreadable(error) => Response::text(500, &error.to_string()),
        })
    }

    fn runs(&self, request: &Request) -> Answer {
        let summaries = self.summaries()?;
        let state: Vec<_> = summaries
            .iter()
            .map(|summary| (summary.id, summary.version.clone(), summary.status))
            .collect();
        let tag = self.tag(&state);
        if is_known(request, &tag) {
            return Ok(unchanged(tag));
        }
        let title = self.catalog.title();
        let body = RunsBody { schema: "qstore.page.runs/1", title: &title, runs: &summaries };
        Ok(Response::json(&body)?.with("ETag", tag))
    }

    /// A line for each run. What has not changed is not read again; a status that leaves no trace is.
    pub(crate) fn summaries(&self) -> Result<Vec<Summary>, PageError> {
        let mut summaries = Vec::new();
        for run in self.catalog.list()? {
            let version = self.catalog.version(&run);
            let known = lock(&self.summaries).get(&run.id).cloned();
            let known = known.filter(|(of, summary)| {
                *of == version && (summary.is_final() || summary.is_still(&self.catalog, &run))
            });
            let summary = known.map_or_else(
                || Summary::read(&self.catalog, &run, version),
                |(_, summary)| summary,
            );
            lock(&self.summaries).insert(run.id, (version, summary.clone()));
            summaries.push(summary);
        }
        Ok(summaries)
    }

    fn one(
        &self,
        request: &Request,
        id: usize,
        answer: impl FnOnce(&Listed, &RunReader, Version) -> Answer,
    ) -> Answer {
        let run = self.catalog.find(id).ok_or(Failure::Missing)?;
        // Before the files are read: a change in between makes the next answer a new one.
        let version = self.catalog.version(&run);
        let reader = self.catalog.open(&run)?;
        let status = reader.status().map(|status| status.state.name()).unwrap_or_default();
        let tag = self.tag(&(version, status, &request.target));
        if is_known(request, &tag) {
            return Ok(unchanged(tag));
        }
        Ok(answer(&run, &reader, version)?.with("ETag", tag))
    }

    fn series(&self, request: &Request, query: &Query) -> Answer {
        let wanted = wanted(query)?;
        let mut runs = Vec::new();
        for id in query.all("run").take(SERIES_MAX) {
            let id = id.parse().map_err(|_| Failure::Malformed("run is a number"))?;
            runs.push(self.catalog.find(id).ok_or(Failure::Missing)?);
        }
        let versions: Vec<_> = runs.iter().map(|run| self.catalog.version(run)).collect();
        let tag = self.tag(&(&versions, &request.target));
        if is_known(request, &tag) {
            return Ok(unchanged(tag));
        }
        let opened = runs.into_iter().map(|run| {
            let reader = self.catalog.open(&run)?;
            Ok((run, reader))
        });
        let opened = opened.collect::<Result<Vec<_>, PageError>>()?;
        let pictures = wanted.draw(&opened, &mut lock(&self.cache))?;
        Ok(Response::json(&pictures)?.with("ETag", tag))
    }

    fn tag(&self, state: &impl Hash) -> String {
        let mut hasher = DefaultHasher::new();
        (self.origin, state).hash(&mut hasher);
        format!("\"{:016x}\"", hasher.finish())
    }

    pub(crate) fn catalog(&self) -> &Catalog {
        &self.catalog
    }
}

type Answer = Result<Response, Failure>;

/// Why there is no answer.
enum Failure {
    Missing,
    Malformed(&'static str),
    Unreadable(PageError),
}

impl<E: Into<PageError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Unreadable(error.into())
    }
}

impl Route {
    fn of(path: &str) -> Option<Self> {
        let id = |text: &str| {
            let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| text.parse().ok()).flatten()
        };
        match path {
            "/" => Some(Self::Page),
            "/api/runs" => Some(Self::Runs),
            "/api/series" => Some(Self::Series),
            path => {
                let run = path.strip_prefix("/api/run/").and_then(id).map(Self::Run);
                run.or_else(|| path.strip_prefix("/api/epochs/").and_then(id).map(Self::Epochs))
            }
        }
    }
}

fn wanted(query: &Query) -> Result<Wanted, Failure> {
    let columns: Vec<_> = query.all("y").take(SERIES_MAX).map(str::to_owned).collect();
    if columns.is_empty() {
        return Err(Failure::Malformed("name a column with y"));
    }
    let x = x_of(query.find("x").unwrap_or("step"));
    let x = x.ok_or(Failure::Malformed("x is step, epoch, time, relative or row"))?;
    let width = query.number("width").map_or(WIDTH, |width| width as u32).min(WIDTH_MAX);
    let (from, to) = (query.number("from"), query.number("to"));
    if let (Some(from), Some(to)) = (from, to)
        && from > to
    {
        return Err(Failure::Malformed("from is less than to"));
    }
    Ok(Wanted {
        columns,
        x,
        is_log_x: query.is_set("log"),
        from,
        to,
        width,
        with_superseded: query.is_set("all"),
        is_quick: query.is_set("quick"),
        is_system: query.is_set("system"),
    })
}

fn is_known(request: &Request, tag: &str) -> bool {
    request.find("if-none-match") == Some(tag)
}

fn unchanged(tag: String) -> Response {
    Response { status: 304, headers: vec![("ETag", tag)], body: Vec::new() }
}

/// What is behind a lock here is a cache: whole, whenever a thread may have panicked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
