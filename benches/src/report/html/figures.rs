//! The figures on the page: one chart for each of ours that has rivals, and all of them as tables.

use super::super::Report;
use super::super::chart::{self, Bar};
use super::escaped;
use crate::Result;
use crate::harness::row::{Role, Row};
use crate::harness::table::number;
use crate::sets::SETS;
use std::fmt::Write;

/// One chart for each figure of ours that has rivals.
pub(super) fn bars(page: &mut String, report: &Report, set: &str, question: &str) -> Result {
    let of_set: Vec<_> = report.figures.iter().filter(|row| row.set == set).collect();
    if of_set.is_empty() {
        return Ok(());
    }
    let _ = writeln!(
        page,
        "<h2 id=\"{set}\">{}{}</h2>\n<p>This set asks {question}.</p>\n<div class=\"key\"><span><i \
         style=\"background:var(--ours)\"></i>Q-Store</span><span><i style=\"background:var(--peer)\"></i>\
         a peer</span><span><i style=\"background:var(--limit)\"></i>the limit</span></div>\n<div \
         class=\"cards\">",
        set[..1].to_uppercase(),
        &set[1..]
    );
    for row in of_set.iter().filter(|row| row.role == Role::Ours) {
        let rivals = row.rivals.iter().filter_map(|name| report.figure(name));
        let group: Vec<&Row> = std::iter::once(*row).chain(rivals).collect();
        if group.len() < 2 {
            continue;
        }
        let bar = |row: &&Row| row.median;
        let bars: Vec<_> = group
            .iter()
            .map(|row| Bar { role: row.role, name: &row.name, value: bar(row), unit: &row.unit })
            .collect();
        let better = if row.more_is_better() { "longer is better" } else { "shorter is better" };
        let _ = writeln!(
            page,
            "<figure>{}<figcaption>{better}; {}</figcaption></figure>",
            chart::bars(&bars)?,
            escaped(&row.note)
        );
    }
    page.push_str("</div>\n");
    Ok(())
}

/// Every figure with its spread, and how it was measured.
pub(super) fn all_figures(page: &mut String, report: &Report) {
    page.push_str(
        "<h2 id=\"all\">All figures</h2>\n<p>Median, quartiles and range of the samples.</p>\n",
    );
    for set in &SETS {
        let rows: Vec<_> = report.figures.iter().filter(|row| row.set == set.name).collect();
        if rows.is_empty() {
            continue;
        }
        let _ = writeln!(
            page,
            "<details><summary>{}, {} figures</summary><div class=\"wide\"><table><thead><tr><th></th>\
             <th>row</th><th class=\"number\">median</th><th class=\"number\">quartiles</th><th \
             class=\"number\">range</th><th>unit</th><th class=\"number\">samples</th></tr></thead><tbody>",
            set.name.replace('_', " "),
            rows.len()
        );
        for row in &rows {
            let class = if row.role == Role::Ours { " class=\"ours\"" } else { "" };
            let _ = writeln!(
                page,
                "<tr{class}><td>{}</td><td class=\"name\">{}</td><td class=\"number\">{}</td><td \
                 class=\"number\">{} … {}</td><td class=\"number\">{} … {}</td><td>{}</td><td \
                 class=\"number\">{}</td></tr>",
                row.role.name(),
                escaped(&row.name),
                number(row.median),
                number(row.low),
                number(row.high),
                number(row.min),
                number(row.max),
                escaped(&row.unit),
                row.n
            );
        }
        page.push_str("</tbody></table></div>\n<dl class=\"notes\">\n");
        for notes in rows.chunk_by(|one, next| one.note == next.note) {
            let names: Vec<_> = notes.iter().map(|row| escaped(&row.name)).collect();
            let _ = writeln!(
                page,
                "<dt>{}</dt><dd>{}</dd>",
                names.join("<br>"),
                escaped(&notes[0].note)
            );
        }
        page.push_str("</dl></details>\n");
    }
}
