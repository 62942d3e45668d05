//! The report as one page: no script, nothing loaded, light and dark, on a phone and on a desk.

mod figures;
mod goals;

use super::chart::{self, Line};
use super::curves::{Curve, END_TO_END, SCALING};
use super::{Report, end_to_end, palette};
use crate::sets::SETS;
use crate::{Result, scaling};
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
    goals::goals(&mut page, report);
    runs(&mut page, report)?;
    curves(&mut page, report, scaling::NAME, &SCALING, "How the costs grow")?;
    for set in &SETS {
        if set.name != crate::end_to_end::NAME && set.name != scaling::NAME {
            figures::bars(&mut page, report, set.name, set.question)?;
        }
    }
    figures::all_figures(&mut page, report);
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
    fn no_color_of_the_drawings_is_left_fixed() {
        let page = page(&example()).unwrap();
        let (_, body) = page.split_once("</style>").unwrap();
        assert!(body.contains("var(--ours)") && body.contains("var(--s0)"));
        assert!(!body.contains("#0") && !body.contains("#FF"), "a fixed color");
    }
}
