//! The report as one page: no script, nothing loaded, light and dark, on a phone and on a desk.

use super::chart::{self, Bar, Line};
use super::curves::{Curve, END_TO_END, SCALING};
use super::verdict::{self, Verdict, Word};
use super::{Report, end_to_end, palette};
use crate::harness::row::{Role, Row};
use crate::harness::table::number;
use crate::{Result, SETS, scaling};
use std::fmt::Write;

const STYLE: &str = include_str!("style.css");

/// The whole page.
pub(super) fn page(report: &Report) -> Result<String> {
    let mut page = String::new();
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\">\n<title>Q-Store benchmarks, {}</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n",
        escaped(&report.about.date)
    );
    head(&mut page, report);
    goals(&mut page, report);
    runs(&mut page, report)?;
    curves(&mut page, report, scaling::NAME, &SCALING, "How the costs grow")?;
    for set in &SETS {
        if set.name != crate::end_to_end::NAME && set.name != scaling::NAME {
            bars(&mut page, report, set.name, set.question)?;
        }
    }
    all_figures(&mut page, report);
    page.push_str("</body>\n</html>\n");
    Ok(page)
}

/// Title, where and of what the run was made, who did not take part, and the way through the page.
fn head(page: &mut String, report: &Report) {
    let about = &report.about;
    page.push_str("<header>\n<h1>Q-Store beside what you would use instead</h1>\n");
    page.push_str(
        "<p>Ours, the peers and the physical limit were measured in turns within one run, so that a \
         noisy moment of the machine hit all alike. Compare within this page, not with another.</p>\n",
    );
    page.push_str("<nav><a href=\"#goals\">goals</a>");
    for set in &SETS {
        if report.figures.iter().any(|row| row.set == set.name) {
            let _ = write!(page, " <a href=\"#{0}\">{1}</a>", set.name, set.name.replace('_', " "));
        }
    }
    page.push_str(" <a href=\"#all\">all figures</a></nav>\n<dl>\n");
    let mut told = |name: &str, value: &str| {
        let _ = writeln!(page, "<dt>{name}</dt><dd>{}</dd>", escaped(value));
    };
    told("run", &format!("{} of {}, {:.0} min", about.command(), about.date, about.seconds / 60.0));
    told("commit", &about.commit);
    told("machine", &about.machine.line());
    let versions: Vec<_> =
        about.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
    told("versions", &versions.join(", "));
    for absent in &report.absent {
        told("not measured", &format!("{}: {}", absent.who, absent.why));
    }
    page.push_str("</dl>\n</header>\n");
}

fn goals(page: &mut String, report: &Report) {
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

/// The simulated runs: curves, a table for each rate, and who is who.
fn runs(page: &mut String, report: &Report) -> Result {
    let tables = end_to_end::tables(&report.figures);
    if tables.is_empty() {
        return Ok(());
    }
    curves(page, report, crate::end_to_end::NAME, &END_TO_END, "Whole runs")?;
    for table in tables {
        let _ = writeln!(
            page,
            "<h3>{} steps a second</h3>\n<div class=\"wide runs\"><table><thead><tr><th>storage</th>",
            table.rate
        );
        for (_, head) in end_to_end::COLUMNS {
            let _ = write!(page, "<th class=\"number\">{head}</th>");
        }
        page.push_str("</tr></thead><tbody>\n");
        for (name, is_ours, cells) in table.lines {
            let class = if is_ours { " class=\"ours\"" } else { "" };
            let _ = write!(page, "<tr{class}><td class=\"name\">{}</td>", escaped(&name));
            for cell in cells {
                let _ = write!(page, "<td class=\"number\">{cell}</td>");
            }
            page.push_str("</tr>\n");
        }
        page.push_str("</tbody></table></div>\n");
    }
    page.push_str("<details><summary>how each of them stores</summary><dl class=\"notes\">\n");
    for (name, note) in end_to_end::contenders(&report.figures) {
        let _ = writeln!(page, "<dt>{}</dt><dd>{}</dd>", escaped(&name), escaped(&note));
    }
    page.push_str("</dl></details>\n");
    Ok(())
}

fn curves(page: &mut String, report: &Report, set: &str, curves: &[Curve], title: &str) -> Result {
    if !report.figures.iter().any(|row| row.set == set) {
        return Ok(());
    }
    let question = SETS.iter().find(|known| known.name == set).map_or("", |set| set.question);
    let _ = writeln!(
        page,
        "<h2 id=\"{set}\">{title}</h2>\n<p>This set asks {question}.</p>\n<div class=\"cards\">"
    );
    for curve in curves {
        let lines = curve.lines(report);
        let svg = chart::curves(&lines, curve.x, curve.y)?;
        if svg.is_empty() {
            continue;
        }
        let _ = write!(page, "<figure><h3>{}</h3>\n{svg}\n<div class=\"key\">", curve.title);
        // In the order in which they end on the right, from the top.
        let mut order: Vec<_> = lines.iter().enumerate().collect();
        let end = |line: &Line| line.points.last().map_or(0.0, |point| point.1);
        order.sort_by(|one, other| end(other.1).total_cmp(&end(one.1)));
        for (index, line) in order {
            let _ = write!(
                page,
                "<span><i style=\"background:{}\"></i>{}</span>",
                palette::variable(index),
                escaped(&line.name)
            );
        }
        page.push_str("</div></figure>\n");
    }
    page.push_str("</div>\n");
    Ok(())
}

/// One chart for each figure of ours that has rivals.
fn bars(page: &mut String, report: &Report, set: &str, question: &str) -> Result {
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
fn all_figures(page: &mut String, report: &Report) {
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

/// Text between tags or in quotes.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::example;

    #[test]
    fn the_page_needs_nothing_else_and_says_where_it_comes_from() {
        let page = page(&example()).unwrap();
        for part in ["0123456789ab", "A processor, 2 cores", "push_row200", "a &lt;b&gt; &amp; c"] {
            assert!(page.contains(part), "{part} is missing");
        }
        assert!(
            !page.contains("http")
                || page.matches("http").count() == page.matches("w3.org").count()
        );
        assert!(!page.contains("<script") && !page.contains("<link"));
        assert!(page.contains("not measured in this run") && page.contains("prefers-color-scheme"));
    }

    #[test]
    fn no_colour_of_the_drawings_is_left_fixed() {
        let page = page(&example()).unwrap();
        let (_, body) = page.split_once("</style>").unwrap();
        assert!(body.contains("var(--ours)") && body.contains("var(--s0)"));
        assert!(!body.contains("#0") && !body.contains("#FF"), "a fixed colour");
    }
}
