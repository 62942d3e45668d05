//! The summary of a report as Markdown, for `docs/benchmarks.md`.

use super::curves::SCALING;
use super::verdict::{self, Word};
use super::{Report, end_to_end};
use crate::harness::row::{Role, Row};
use crate::harness::table::number;
use crate::sets::SETS;
use std::fmt::Write;

/// Goals, whole runs, curves, and every figure of ours beside its rivals.
pub(super) fn summary(report: &Report) -> String {
    let mut text = String::new();
    head(&mut text, report);
    goals(&mut text, report);
    runs(&mut text, report);
    curves(&mut text, report);
    for set in &SETS {
        beside_rivals(&mut text, report, set.name);
    }
    text
}

fn head(text: &mut String, report: &Report) {
    let about = &report.about;
    let _ = writeln!(
        text,
        "`{}` of {}, commit {}, {:.0} minutes. {}.\n",
        about.command(),
        about.date,
        about.commit,
        about.seconds / 60.0,
        about.machine.line()
    );
    let versions: Vec<_> =
        about.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
    let _ = writeln!(text, "Versions: {}.\n", versions.join(", "));
    for absent in &report.absent {
        let _ = writeln!(text, "Not measured: {}: {}.\n", absent.who, absent.why);
    }
}

fn goals(text: &mut String, report: &Report) {
    let verdicts = verdict::all(report);
    let _ = writeln!(
        text,
        "### Goals\n\n{} met, {} fall short, {} not measured in this run.\n\n| row | figure | beside | \
         ratio | goal | |\n|---|--:|---|--:|--:|---|",
        verdict::count(&verdicts, Word::Met),
        verdict::count(&verdicts, Word::FallsShort),
        verdict::count(&verdicts, Word::NotMeasured),
    );
    for verdict in &verdicts {
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {} | {} | {} |",
            verdict.goal.row,
            verdict.figure.as_deref().unwrap_or_default(),
            verdict.rival.clone().unwrap_or_else(|| verdict.goal.beside.join(", ")),
            verdict.ratio().unwrap_or_default(),
            verdict.asked(),
            match verdict.word() {
                Word::FallsShort => "**falls short**",
                word => word.text(),
            },
        );
    }
    text.push('\n');
}

fn runs(text: &mut String, report: &Report) {
    let tables = end_to_end::tables(&report.figures);
    if tables.is_empty() {
        return;
    }
    text.push_str("### Whole runs\n\n");
    for table in tables {
        let heads: Vec<_> = end_to_end::COLUMNS.iter().map(|(_, head)| *head).collect();
        let _ = writeln!(
            text,
            "{} steps a second:\n\n| | {} |\n|---|{}",
            table.rate,
            heads.join(" | "),
            "--:|".repeat(heads.len())
        );
        for (name, _, cells) in table.lines {
            let _ = writeln!(text, "| {name} | {} |", cells.join(" | "));
        }
        text.push('\n');
    }
    for (name, note) in end_to_end::contenders(&report.figures) {
        let _ = writeln!(text, "* {name}: {note}");
    }
    text.push('\n');
}

fn curves(text: &mut String, report: &Report) {
    let mut is_first = true;
    for curve in &SCALING {
        let lines = curve.lines(report);
        let mut xs: Vec<f64> = lines.iter().flat_map(|line| &line.points).map(|p| p.0).collect();
        xs.sort_by(f64::total_cmp);
        xs.dedup();
        if xs.is_empty() {
            continue;
        }
        if is_first {
            text.push_str("### How the costs grow\n\n");
            is_first = false;
        }
        let heads: Vec<_> = xs.iter().map(f64::to_string).collect();
        let _ = writeln!(
            text,
            "{}, {}:\n\n| {} | {} |\n|---|{}",
            curve.title,
            curve.y,
            curve.x,
            heads.join(" | "),
            "--:|".repeat(xs.len())
        );
        for line in lines {
            let cell = |x: &f64| {
                let point = line.points.iter().find(|point| point.0.total_cmp(x).is_eq());
                point.map(|point| number(point.1)).unwrap_or_default()
            };
            let cells: Vec<_> = xs.iter().map(cell).collect();
            let _ = writeln!(text, "| {} | {} |", line.name, cells.join(" | "));
        }
        text.push('\n');
    }
}

fn beside_rivals(text: &mut String, report: &Report, set: &str) {
    let is_told = |row: &&Row| row.set == set && row.role == Role::Ours && row.point.is_none();
    let rows: Vec<_> = report.figures.iter().filter(is_told).collect();
    if rows.is_empty() {
        return;
    }
    let _ = writeln!(
        text,
        "### {}{}\n\n| row | median | samples | ratio to |\n|---|--:|--:|---|",
        set[..1].to_uppercase(),
        &set[1..]
    );
    for row in rows {
        let rivals = row.rivals.iter().filter_map(|name| report.figure(name));
        let ratios: Vec<_> = rivals
            .map(|rival| format!("{} {:.2}", rival.name, row.median / rival.median))
            .collect();
        let _ = writeln!(
            text,
            "| `{}` | {} {} | {} | {} |",
            row.name,
            number(row.median),
            row.unit,
            row.n,
            ratios.join(", ")
        );
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::example;

    #[test]
    fn figures_stand_beside_their_rivals_and_goals_beside_a_plain_word() {
        let text = summary(&example());
        for line in [
            "| `push_row200` | 10.0 ns | arrayqueue_push_row200 10.0 ns | 1.00 | ≤ 1.15 × | met |",
            "| `push_row200` | 10.0 ns | 9 | arrayqueue_push_row200 1.00 |",
            "| rows in the file | 1000 | 1000000 |",
            "| q-store | 1.00 | 2.00 |",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }
}
