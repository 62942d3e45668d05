//! A screen of a dashboard. It is drawn whole each time; what has not changed is left alone by the terminal's side.

use super::chart::{self, Look};
use super::dashboard::{Dashboard, View};
use super::paint::{FAINT, WARNING, of_state};
use super::panels;
use super::plan::{LEAST, Plan};
use crate::output::amount;
use crate::output::escape::shown;
use crate::output::moment;
use qstore_run::RunState;
use qstore_view::XAxis;
use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Rect;
use ratatui_core::style::{Modifier, Style};
use ratatui_core::terminal::Frame;
use std::time::Duration;
use unicode_width::UnicodeWidthStr;

/// Without rows for that long, a run is silent.
const SILENCE: Duration = Duration::from_secs(10);

/// Draws all of it. The frame has the size that the dashboard has.
pub fn draw(frame: &mut Frame<'_>, dashboard: &Dashboard) {
    let (area, buffer) = (frame.area(), frame.buffer_mut());
    let has_charts = matches!(dashboard.view, View::Charts | View::System);
    let Some(plan) = Plan::of((area.width, area.height), has_charts) else {
        let text = format!("at least {} columns and {} lines", LEAST.0, LEAST.1);
        buffer.set_stringn(0, 0, text, area.width.into(), Style::new());
        return;
    };
    head(dashboard, plan.head, plan.side.is_some(), buffer);
    tabs(dashboard, plan.tabs, buffer);
    match dashboard.view {
        View::Charts | View::System => charts(dashboard, plan.body, buffer),
        View::Checkpoints => panels::checkpoints(dashboard, plan.body, buffer),
        View::Runs => panels::runs(dashboard, plan.body, buffer),
    }
    if let Some(side) = plan.side {
        panels::side(dashboard, side, buffer);
    }
    foot(dashboard, plan.foot, buffer);
    if dashboard.is_helping {
        panels::help(plan.body, buffer);
    }
}

/// Texts beside each other, two columns apart, as many as have room.
fn row(area: Rect, line: u16, parts: &[(String, Style)], buffer: &mut Buffer) {
    let mut x = area.x + 1;
    for (text, style) in parts.iter().filter(|(text, _)| !text.is_empty()) {
        let room = usize::from(area.right().saturating_sub(x));
        if text.width() > room {
            // Rather the beginning of it than nothing.
            buffer.set_stringn(x, area.y + line, text, room, *style);
            return;
        }
        (x, _) = buffer.set_stringn(x, area.y + line, text, room, *style);
        x += 2;
    }
}

fn head(dashboard: &Dashboard, area: Rect, has_side: bool, buffer: &mut Buffer) {
    let facts = &dashboard.facts;
    let (plain, faint) = (Style::new(), Style::new().fg(FAINT));
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let (state, color) = of_state(facts.state);
    let part = |text: Option<String>| (text.unwrap_or_default(), plain);
    let first = [
        (shown(&facts.name).into_owned(), bold),
        (state.to_owned(), bold.fg(color)),
        part(facts.attempt.filter(|attempt| *attempt > 1).map(|n| format!("attempt {n}"))),
        part(facts.elapsed.map(moment::span)),
        part(facts.rows_per_s.map(|rate| format!("{} rows/s", rounded(rate)))),
        part(facts.left.map(|left| format!("{} left", moment::span(left)))),
        (shown(&facts.reason).into_owned(), faint),
    ];
    row(area, 0, &first, buffer);
    let step = facts.step.map(|step| match facts.total {
        Some(total) => format!("step {} of {}", amount::integer(step), amount::integer(total)),
        None => format!("step {}", amount::integer(step)),
    });
    let lost = facts
        .losses
        .iter()
        .map(|(_, count)| count)
        .fold(0_u64, |all, one| all.saturating_add(*one));
    let is_running = facts.state == Some(RunState::Running);
    let silent = facts.silent.filter(|silent| is_running && *silent >= SILENCE);
    let second = [
        (format!("{} rows", amount::count(facts.rows)), plain),
        part(step),
        part(facts.epoch.map(|epoch| format!("epoch {}", amount::integer(epoch)))),
        match lost {
            0 => ("nothing lost".to_owned(), faint),
            lost => (format!("{} lost", amount::count(lost)), plain.fg(WARNING)),
        },
        match silent {
            Some(silent) => (format!("no row for {}", moment::span(silent)), plain.fg(WARNING)),
            None => (String::new(), plain),
        },
    ];
    row(area, 1, &second, buffer);
    if has_side {
        return;
    }
    // What is beside the charts on a wider screen.
    let short = |(name, value): &(String, f64)| {
        let label = name.trim_end_matches("_percent").trim_end_matches("_bytes");
        (format!("{} {}", shown(label), panels::measured(name, *value)), faint)
    };
    let mut third: Vec<_> = facts.system.iter().take(2).map(short).collect();
    third.extend(panels::newest(dashboard).map(|text| (text, faint)));
    row(area, 2, &third, buffer);
}

/// A rate with two or three digits.
fn rounded(rate: f64) -> String {
    if rate >= 100.0 { amount::count(rate.round() as u64) } else { amount::float(rate, 2) }
}

fn name_of(view: View) -> &'static str {
    match view {
        View::Charts => "Charts",
        View::Checkpoints => "Checkpoints",
        View::System => "System",
        View::Runs => "Runs",
    }
}

fn tabs(dashboard: &Dashboard, area: Rect, buffer: &mut Buffer) {
    let mut x = area.x + 1;
    for view in dashboard.views() {
        let style = if view == dashboard.view {
            Style::new().add_modifier(Modifier::BOLD | Modifier::UNDERLINED)
        } else {
            Style::new().fg(FAINT)
        };
        let room = usize::from(area.right().saturating_sub(x));
        (x, _) = buffer.set_stringn(x, area.y, name_of(view), room, style);
        x += 2;
    }
    let mut said = Vec::new();
    if let Some((cells, first)) = dashboard.page() {
        let count = dashboard.columns().len();
        if count > cells.count() {
            let last = (first + cells.count()).min(count);
            said.push(format!("{}-{last} of {count}", first + 1));
        }
        if !dashboard.filter.is_empty() && !dashboard.is_typing {
            said.push(format!("/{}", shown(&dashboard.filter)));
        }
        said.extend(axes(dashboard));
    }
    if dashboard.is_paused {
        said.push("PAUSED".into());
    }
    let text = said.join("  ");
    let start = area.right().saturating_sub(text.width() as u16 + 1);
    if start > x {
        buffer.set_string(start, area.y, text, Style::new());
    }
}

/// What was chosen of the axes.
fn axes(dashboard: &Dashboard) -> Vec<String> {
    let x = match dashboard.x {
        XAxis::Epoch => "epoch",
        XAxis::Relative => "since start",
        XAxis::Time => "time",
        XAxis::Row => "row",
        _ => "step",
    };
    let mut said = vec![format!("x {}{x}", if dashboard.is_log_x { "log " } else { "" })];
    if dashboard.halvings > 0 {
        said.push(format!("last 1/{}", amount::count(1 << dashboard.halvings)));
    }
    if dashboard.is_log_y {
        said.push("log y".into());
    }
    if dashboard.tenths > 0 {
        said.push(format!("smooth 0.{}", dashboard.tenths));
    }
    said
}

fn charts(dashboard: &Dashboard, body: Rect, buffer: &mut Buffer) {
    let Some((cells, first)) = dashboard.page() else { return };
    let columns = dashboard.columns();
    if columns.is_empty() {
        let text = match dashboard.view {
            _ if !dashboard.filter.is_empty() => "no name has this in it; escape shows all",
            View::System => "the run does not measure the system",
            _ => "no numbers yet",
        };
        let room = usize::from(body.width.saturating_sub(2));
        buffer.set_stringn(body.x + 1, body.y + 1, text, room, Style::new().fg(FAINT));
        return;
    }
    let is_system = dashboard.view == View::System;
    let weight = f64::from(dashboard.tenths) / 10.0;
    for (number, name) in columns.iter().enumerate().skip(first).take(cells.count()) {
        let is_chosen = number == dashboard.chosen() && columns.len() > 1;
        let look = Look { is_log_y: dashboard.is_log_y, weight, is_chosen };
        let chart = dashboard.charts.get(&(is_system, (*name).clone()));
        chart::draw(name, chart, look, cells.area(number - first), buffer);
    }
}

fn foot(dashboard: &Dashboard, area: Rect, buffer: &mut Buffer) {
    let faint = Style::new().fg(FAINT);
    let room = usize::from(area.width.saturating_sub(1));
    if dashboard.is_typing {
        let text = format!("/{}▏", shown(&dashboard.filter));
        let (x, _) = buffer.set_stringn(area.x + 1, area.y, text, room, Style::new());
        let room = usize::from(area.right().saturating_sub(x + 2));
        buffer.set_stringn(x + 2, area.y, "enter keeps it, escape shows all", room, faint);
        return;
    }
    let text = "? keys  tab view  / filter  x axis  y log  +/- zoom  space pause  q quit";
    buffer.set_stringn(area.x + 1, area.y, text, room, faint);
}
