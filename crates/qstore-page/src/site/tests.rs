//! The site on real runs: what it answers, when it answers 304, and what no request can reach.

use super::*;
use crate::packed::tests::unpacked_text;
use proptest::prelude::*;
use proptest::test_runner::contextualize_config;
use qstore_run::{Run, RunSettings};
use serde_json::Value as Json;
use std::fs;
use std::path::Path;

const HOSTILE: &str = "<img src=x onerror=alert(1)>";

/// A run with a spike at step 30, and rows that sum up two epochs.
fn make(runs: &Path, name: &str) -> Run {
    let settings = RunSettings::default().name(name).param("lr", 0.1).param(HOSTILE, "</script>");
    let run = Run::create(runs, settings.tag(HOSTILE)).unwrap();
    for step in 0..100_i64 {
        let loss = if step == 30 { 1_000.0 } else { 1.0 };
        run.log_step((step / 50, step, loss)).unwrap();
        if step % 50 == 49 {
            run.log_epoch(step / 50, [("loss", 0.5)], [("loss", 0.25)]).unwrap();
        }
    }
    run
}

fn site(runs: &Path) -> Site {
    let source = Source::Directory { path: runs.into(), is_deep: false };
    Site::new(RunPlace::default(), source, 7_777, SiteSettings::default())
}

fn ask(site: &Site, target: &str) -> Response {
    site.answer(&Request::get(target).header("Host", "127.0.0.1:7777"))
}

fn json(site: &Site, target: &str) -> Json {
    let answer = ask(site, target);
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    serde_json::from_slice(&answer.body).unwrap()
}

#[test]
fn a_run_can_be_looked_at_from_all_sides() {
    let runs = tempfile::tempdir().unwrap();
    let mut run = make(runs.path(), HOSTILE);
    run.finish().unwrap();
    let site = site(runs.path());
    let listed = json(&site, "/api/runs");
    assert_eq!(listed["schema"], "qstore.page.runs/1");
    let one = &listed["runs"][0];
    assert_eq!((&one["name"], &one["status"]), (&HOSTILE.into(), &"finished".into()));
    assert_eq!((&one["rows"], &one["metric"]["name"]), (&102.into(), &"val_loss".into()));

    let detail = json(&site, "/api/run/0");
    assert_eq!(detail["run"]["params"][HOSTILE], "</script>");
    assert_eq!(detail["attempts"][0]["rows"], 102);
    assert_eq!(detail["problems"], Json::Array(vec![]));
    let column = |name: &str| {
        let columns = detail["columns"].as_array().unwrap();
        columns.iter().find(|column| column["name"] == name).unwrap()["number"].clone()
    };
    assert_eq!((column("train_loss"), column("batch_time_ms")), (true.into(), false.into()));

    let epochs = json(&site, "/api/epochs/0");
    assert_eq!((&epochs["count"], &epochs["rows"][1][0]), (&2.into(), &1.0.into()));

    let drawn = json(&site, "/api/series?run=0&y=train_loss&width=20");
    let trace = &drawn["series"][0]["traces"][0];
    assert_eq!((&drawn["x"], &trace["rows"]), (&"step".into(), &100.into()));
    let text = |name: &str| trace["rest"]["max"][name].as_str().unwrap();
    let largest = unpacked_text(text("t"), text("d")).into_iter().fold(0.0, f64::max);
    assert!((largest - 1_000.0).abs() < 1e-9, "the spike is in it");

    // Over the epochs, and of a column that it does not have.
    let over = json(&site, "/api/series?run=0&y=val_loss&x=epoch");
    assert_eq!(over["series"][0]["traces"][0]["rows"], 2);
    assert_eq!(json(&site, "/api/series?run=0&y=none")["series"], Json::Array(vec![]));
    let quick = json(&site, "/api/series?run=0&y=train_loss&quick=1");
    assert_eq!(quick["series"][0]["bands"][0][3], 1_000.0);
}

#[test]
fn what_has_not_changed_is_not_sent_again() {
    let runs = tempfile::tempdir().unwrap();
    let mut run = make(runs.path(), "one");
    run.logger().flush(std::time::Duration::from_secs(60)).unwrap();
    let site = site(runs.path());
    let targets = ["/api/runs", "/api/run/0", "/api/epochs/0", "/api/series?run=0&y=train_loss"];
    let poll = |target: &str, tag: &str| {
        let request = Request::get(target).header("Host", "127.0.0.1:7777");
        site.answer(&request.header("If-None-Match", tag))
    };
    // The first look gives the runs their numbers.
    let tags = targets.map(|target| ask(&site, target).find("etag").unwrap().to_owned());
    let (mut unchanged, mut all) = (0, 0);
    for _ in 0..25 {
        for (target, tag) in targets.iter().zip(&tags) {
            let answer = poll(target, tag);
            all += 1;
            unchanged += u32::from(answer.status == 304 && answer.body.is_empty());
        }
    }
    assert_eq!(unchanged, all, "an idle run is never sent again");
    run.log_step((2, 100, 0.5)).unwrap();
    run.logger().flush(std::time::Duration::from_secs(60)).unwrap();
    for (target, tag) in targets.iter().zip(&tags) {
        assert_eq!(poll(target, tag).status, 200, "{target}");
    }
    // Its end leaves its mark in a file; so does a lock that is released, in none.
    let tag = ask(&site, "/api/runs").find("etag").unwrap().to_owned();
    run.finish().unwrap();
    assert_eq!(poll("/api/runs", &tag).status, 200);
}

#[test]
fn a_tag_of_another_server_does_not_fit() {
    let runs = tempfile::tempdir().unwrap();
    make(runs.path(), "one").finish().unwrap();
    let (one, other) = (site(runs.path()), site(runs.path()));
    let tag = ask(&one, "/api/runs").find("etag").unwrap().to_owned();
    let request = Request::get("/api/runs").header("Host", "127.0.0.1:7777");
    assert_eq!(other.answer(&request.header("If-None-Match", tag)).status, 200);
}

#[test]
fn rows_that_a_resumed_run_has_replaced_are_shown_on_demand() {
    let runs = tempfile::tempdir().unwrap();
    let run = make(runs.path(), "one");
    let path = run.path().to_path_buf();
    drop(run);
    // Nothing was saved, so everything is repeated.
    let (resumed, _) = Run::resume_or_start(&path, RunSettings::default()).unwrap();
    for step in 0..150_i64 {
        resumed.log_step((0, step, 2.0)).unwrap();
    }
    drop(resumed);
    let site = site(runs.path());
    ask(&site, "/api/runs");
    let lines = |target: &str| -> Vec<(Json, Json, Json)> {
        let drawn = json(&site, target);
        let traces = drawn["series"][0]["traces"].as_array().unwrap().clone();
        let of = |trace: &Json| {
            (trace["attempt"].clone(), trace["superseded"].clone(), trace["rows"].clone())
        };
        traces.iter().map(of).collect()
    };
    let current = (2.into(), false.into(), 150.into());
    assert_eq!(lines("/api/series?run=0&y=train_loss"), std::slice::from_ref(&current));
    let gone = (1.into(), true.into(), 100.into());
    assert_eq!(lines("/api/series?run=0&y=train_loss&all=1"), [current, gone]);
}

#[test]
fn several_runs_have_one_axis() {
    let runs = tempfile::tempdir().unwrap();
    make(runs.path(), "one").finish().unwrap();
    let mut longer = Run::create(runs.path(), RunSettings::default().name("two")).unwrap();
    for step in 0..400_i64 {
        longer.log_step((0, step, 1.0)).unwrap();
    }
    longer.finish().unwrap();
    let site = site(runs.path());
    ask(&site, "/api/runs");
    let drawn = json(&site, "/api/series?run=0&run=1&y=train_loss&width=100");
    let [one, two] = &**drawn["series"].as_array().unwrap() else { panic!("{drawn}") };
    assert_eq!(one["grid"], two["grid"]);
}

#[test]
fn a_run_that_cannot_be_read_hides_no_other() {
    let runs = tempfile::tempdir().unwrap();
    make(runs.path(), "good").finish().unwrap();
    make(runs.path(), "bad").finish().unwrap();
    fs::write(runs.path().join("bad/metrics.parquet"), "PAR1 not a file PAR1").unwrap();
    fs::create_dir(runs.path().join("worse")).unwrap();
    fs::write(runs.path().join("worse/run.json"), "{").unwrap();
    let site = site(runs.path());
    let listed = json(&site, "/api/runs");
    let states: Vec<_> =
        listed["runs"].as_array().unwrap().iter().map(|run| &run["status"]).collect();
    assert_eq!(states, ["unreadable", "finished", "unreadable"]);
    assert!(listed["runs"][0]["error"].as_str().unwrap().contains("metrics.parquet"));
    let detail = json(&site, "/api/run/0");
    assert_eq!(detail["problems"].as_array().unwrap().len(), 1);
    assert_eq!(detail["run"]["params"]["lr"], 0.1, "the rest is there");
    assert_eq!(ask(&site, "/api/run/2").status, 500);
}

#[test]
fn what_is_not_understood_is_refused() {
    let runs = tempfile::tempdir().unwrap();
    make(runs.path(), "one").finish().unwrap();
    let site = site(runs.path());
    ask(&site, "/api/runs");
    for (target, status) in [
        ("/api/series?run=0", 400),
        ("/api/series?run=x&y=a", 400),
        ("/api/series?run=7&y=a", 404),
        ("/api/series?run=0&y=train_loss&x=z", 400),
        ("/api/series?run=0&y=train_loss&from=2&to=1", 400),
        ("/api/series?run=0&y=train_loss&from=NaN&width=0", 200),
        ("/api/series?run=0&y=train_loss&width=1e300", 200),
        ("/api/series?run=0&y=train_loss&width=-5", 200),
        ("/api/run/1", 404),
        ("/api/run/+0", 404),
        ("/api/run/99999999999999999999999", 404),
        ("/api/run/", 404),
        ("/api", 404),
    ] {
        assert_eq!(ask(&site, target).status, status, "{target}");
    }
}

#[test]
fn every_answer_is_locked_down() {
    let runs = tempfile::tempdir().unwrap();
    make(runs.path(), "zebra_run").finish().unwrap();
    let site = site(runs.path());
    for target in ["/", "/api/runs", "/api/run/0", "/nothing", "x"] {
        let answer = ask(&site, target);
        let find = |name: &str| answer.find(name).unwrap_or_default().to_owned();
        assert_eq!(find("X-Content-Type-Options"), "nosniff", "{target}");
        let policy = find("Content-Security-Policy");
        assert!(
            policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'")
        );
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(find("Cross-Origin-Resource-Policy"), "same-origin");
        let is_open =
            |(name, _): &(&str, String)| name.to_ascii_lowercase().starts_with("access-control");
        assert!(!answer.headers.iter().any(is_open), "no other page may read it");
    }
    let page = ask(&site, "/");
    assert_eq!(page.find("content-type"), Some("text/html; charset=utf-8"));
    assert!(
        !String::from_utf8(page.body).unwrap().contains("zebra_run"),
        "no name is in the page itself"
    );
}

proptest! {
    #![proptest_config(contextualize_config(ProptestConfig::with_cases(64)))]

    /// There is a file next to the runs, and no request gets it.
    #[test]
    fn no_path_of_a_request_reaches_a_file(
        parts in prop::collection::vec(
            prop_oneof![
                Just("..".to_owned()), Just("%2e%2e".to_owned()), Just("%2f".to_owned()),
                Just("run.json".to_owned()), Just("secret".to_owned()), Just("api".to_owned()),
                Just("run".to_owned()), Just("series".to_owned()), Just("0".to_owned()),
                Just("one".to_owned()), Just("%00".to_owned()), "[ -~]{0,6}",
            ],
            0..7,
        ),
        query in "(run|y|x|from|width|token)?=?[ -~]{0,12}",
    ) {
        let root = tempfile::tempdir().unwrap();
        let runs = root.path().join("runs");
        fs::create_dir_all(runs.join("one")).unwrap();
        fs::write(runs.join("one/run.json"), r#"{"format":"qstore-run","version":1,"id":"i","name":"one",
            "created":"2026-11-30T08:00:00Z"}"#).unwrap();
        for path in ["secret", "runs/secret", "runs/one/secret"] {
            fs::write(root.path().join(path), "the secret").unwrap();
        }
        let site = site(&runs);
        ask(&site, "/api/runs");
        let path = parts.join("/");
        for target in [format!("/{path}?{query}"), format!("/api/{path}?{query}"), format!("/api/run/{path}")] {
            let answer = ask(&site, &target);
            let body = String::from_utf8_lossy(&answer.body);
            prop_assert!(!body.contains("the secret"), "{}", target);
            let known = ["/", "/api/runs", "/api/run/0", "/api/epochs/0", "/api/series"];
            let path = target.split('?').next().unwrap_or_default();
            prop_assert!(answer.status != 200 || known.contains(&path) || path.starts_with("/api/run/0"), "{}", target);
        }
    }

    /// Whatever a run is called: the documents are JSON, and the report is one page with one script.
    #[test]
    fn a_hostile_name_is_only_ever_text(
        name in "(</script>|<!--|-->|<script>|\\]\\]>|&|\"|'|<b>|[a-z ]|\u{202e}|\u{2028}){1,8}",
    ) {
        let runs = tempfile::tempdir().unwrap();
        let dir = runs.path().join("run");
        fs::create_dir_all(&dir).unwrap();
        let file = serde_json::json!({
            "format": "qstore-run", "version": 1, "id": name, "name": name, "created": "2026-11-30T08:00:00Z",
            "tags": [name], "notes": name, "group": name, "params": {&*name: name},
        });
        fs::write(dir.join("run.json"), file.to_string()).unwrap();
        let site = site(runs.path());
        prop_assert_eq!(&json(&site, "/api/runs")["runs"][0]["tags"][0], &Json::from(&*name));
        let source = Source::Runs(vec![dir]);
        let report = crate::Report::default().title(&*name).write(RunPlace::default(), source).unwrap();
        prop_assert_eq!(report.matches("<script").count(), 2);
        prop_assert_eq!(report.matches("</script").count(), 2);
        let start = report.find("id=\"data\">").unwrap() + 10;
        let data = &report[start..start + report[start..].find("</script>").unwrap()];
        let data: Json = serde_json::from_str(data).unwrap();
        prop_assert_eq!(&data["answers"]["api/run/0"]["run"]["notes"], &Json::from(name));
    }
}
