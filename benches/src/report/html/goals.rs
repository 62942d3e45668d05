//! The goals on the page: what was asked for, what was measured, and the plain word for it.

use super::super::Report;
use super::super::verdict::{self, Verdict, Word};
use super::escaped;
use std::fmt::Write;

/// How many are met, and the tables of those that were measured and of the others.
pub(super) fn goals(page: &mut String, report: &Report) {
    let verdicts = verdict::all(report);
    let _ = writeln!(
        page,
        "<h2 id=\"goals\">Goals</h2>\n<p>{} met, {} fall short, {} were not measured in this run. They \
         were set before anything was measured.</p>",
        verdict::count(&verdicts, Word::Met),
        verdict::count(&verdicts, Word::FallsShort),
        verdict::count(&verdicts, Word::NotMeasured),
    );
    let (missing, measured): (Vec<_>, Vec<_>) =
        verdicts.iter().partition(|verdict| verdict.word() == Word::NotMeasured);
    if !measured.is_empty() {
        goals_table(page, &measured);
    }
    if !missing.is_empty() {
        let count = missing.len();
        let _ = writeln!(page, "<details><summary>the {count} not measured</summary>");
        goals_table(page, &missing);
        page.push_str("</details>\n");
    }
}

fn goals_table(page: &mut String, verdicts: &[&Verdict]) {
    page.push_str(
        "<div class=\"wide\"><table class=\"goals\"><thead><tr><th>row</th><th class=\"number\">figure\
         </th><th>beside</th><th class=\"number\">ratio</th><th class=\"number\">goal</th><th></th></tr>\
         </thead><tbody>\n",
    );
    for verdict in verdicts {
        goal(page, verdict);
    }
    page.push_str("</tbody></table></div>\n");
}

fn goal(page: &mut String, verdict: &Verdict) {
    let word = verdict.word();
    let class = match word {
        Word::Met => "met",
        Word::FallsShort => "short",
        Word::Reported | Word::NotMeasured => "other",
    };
    let beside = verdict.rival.clone().unwrap_or_else(|| verdict.goal.beside.join(", "));
    let _ = writeln!(
        page,
        "<tr><td class=\"name\" title=\"{}\">{}</td><td class=\"number\" data-head=\"figure\">{}</td><td \
         data-head=\"beside\">{}</td><td class=\"number\" data-head=\"ratio\">{}</td><td class=\"number\" \
         data-head=\"goal\">{}</td><td class=\"verdict\"><span class=\"word {class}\">{}</span></td></tr>",
        verdict.goal.topic,
        verdict.goal.row,
        escaped(verdict.figure.as_deref().unwrap_or_default()),
        escaped(&beside),
        verdict.ratio().unwrap_or_default(),
        verdict.asked(),
        word.text(),
    );
}
