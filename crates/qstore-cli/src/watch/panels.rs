//! Lists beside and instead of the charts: checkpoints, losses, the system, runs, and the keys.

use super::dashboard::Dashboard;
use super::facts::{KeptLine, RunLine};
use super::paint::{FAINT, GOOD, WARNING, of_state};
use crate::output::amount;
use crate::output::escape::shown;
use crate::output::moment;
use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Rect;
use ratatui_core::style::{Modifier, Style};
use unicode_width::UnicodeWidthStr;

const KEYS: [(&str, &str); 14] = [
    ("q", "quit"),
    ("tab, 1-4", "next view"),
    ("h j k l, arrows", "choose a chart or a line"),
    ("page up, page down", "a page back or on"),
    ("enter", "one chart on the whole screen; open a run"),
    ("escape", "back"),
    ("/", "only charts whose names have this in them"),
    ("x", "next x axis: step, epoch, time since the start, time, row"),
    ("y, L", "log y, log x"),
    ("+, -, 0", "the last half of x, quarter …; all of it"),
    ("s, S", "a smoother line on top: more, less"),
    ("space", "pause: the files are not looked at"),
    ("×, ▼, ▲", "a value that is NaN, -∞, ∞"),
    ("?", "this"),
];

/// Lines from the top of an area, as many as there is room for.
struct Lines<'a> {
    area: Rect,
    next: u16,
    buffer: &'a mut Buffer,
}

impl<'a> Lines<'a> {
    fn new(area: Rect, buffer: &'a mut Buffer) -> Self {
        Self { area, next: area.y, buffer }
    }

    fn left(&self) -> usize {
        self.area.bottom().saturating_sub(self.next).into()
    }

    fn skip(&mut self) {
        self.next += 1;
    }

    /// A line of parts, one after the other. What has no room is cut off.
    fn line(&mut self, parts: &[(&str, Style)]) {
        if self.left() == 0 {
            return;
        }
        let mut x = self.area.x;
        for (text, style) in parts {
            let room = usize::from(self.area.right().saturating_sub(x));
            (x, _) = self.buffer.set_stringn(x, self.next, text, room, *style);
        }
        self.next += 1;
    }

    fn head(&mut self, text: &str) {
        self.line(&[(text, Style::new().add_modifier(Modifier::BOLD))]);
    }
}

/// Beside the charts: what is worth a glance.
pub(super) fn side(dashboard: &Dashboard, area: Rect, buffer: &mut Buffer) {
    let facts = &dashboard.facts;
    let (plain, faint) = (Style::new(), Style::new().fg(FAINT));
    let mut lines = Lines::new(area, buffer);
    lines.head("Lost");
    if facts.losses.is_empty() {
        lines.line(&[("nothing", Style::new().fg(GOOD))]);
    }
    for (what, count) in &facts.losses {
        let count = amount::count(*count);
        lines.line(&[(&count, Style::new().fg(WARNING)), (" ", plain), (what, plain)]);
    }
    if facts.superseded > 0 {
        let count = amount::count(facts.superseded);
        lines.line(&[(&count, plain), (" rows replaced by a later attempt", faint)]);
    }
    lines.skip();
    if !facts.system.is_empty() {
        lines.head("System");
        for (name, value) in facts.system.iter().take(8) {
            let name = format!("{:<18} ", shown(name));
            lines.line(&[(&name, faint), (&measured(&name, *value), plain)]);
        }
        lines.skip();
    }
    lines.head("Checkpoints");
    if facts.kept.is_empty() {
        lines.line(&[("none", faint)]);
    }
    // Each takes two lines here: it is narrow.
    let room = lines.left().saturating_sub(facts.problems.len() + 1) / 2;
    for kept in facts.kept.iter().take(room) {
        let (head, reason) = checkpoint(kept, facts.counter);
        lines.line(&[(&head, plain)]);
        let style = if kept.keep { faint } else { Style::new().fg(WARNING) };
        lines.line(&[("  ", plain), (&reason, style)]);
    }
    problems(dashboard, &mut lines);
}

fn problems(dashboard: &Dashboard, lines: &mut Lines<'_>) {
    for problem in &dashboard.facts.problems {
        lines.line(&[("! ", Style::new().fg(WARNING)), (&shown(problem), Style::new())]);
    }
}

/// A measurement of the system. What counts bytes says so in its name.
pub(super) fn measured(name: &str, value: f64) -> String {
    let name = name.trim();
    match () {
        () if name.ends_with("_bytes") && value >= 0.0 => amount::size(value as u64),
        () if name.ends_with("_percent") => format!("{} %", amount::float(value, 3)),
        () => amount::float(value, 4),
    }
}

/// A checkpoint in two parts: what it is, and why it is there.
fn checkpoint(kept: &KeptLine, counter: &str) -> (String, String) {
    let age = kept.age.map_or(String::new(), |age| format!("  {} ago", moment::span(age)));
    let head = format!("{counter} {}{age}  {}", kept.number, amount::size(kept.bytes));
    let fate = if kept.keep { "" } else { "goes: " };
    (head, format!("{fate}{}", shown(&kept.reason)))
}

/// The newest checkpoint in a line.
pub(super) fn newest(dashboard: &Dashboard) -> Option<String> {
    let facts = &dashboard.facts;
    let newest = facts.kept.first()?;
    let (head, reason) = checkpoint(newest, facts.counter);
    Some(format!("checkpoint {head}: {reason}"))
}

/// All checkpoints, the newest save first.
pub(super) fn checkpoints(dashboard: &Dashboard, area: Rect, buffer: &mut Buffer) {
    let facts = &dashboard.facts;
    let mut lines = Lines::new(area, buffer);
    let kept = facts.kept.iter().filter(|kept| kept.keep).count();
    if facts.kept.is_empty() {
        lines.line(&[("no checkpoints yet", Style::new().fg(FAINT))]);
        problems(dashboard, &mut lines);
        return;
    }
    let bytes = facts.kept.iter().map(|kept| kept.bytes).fold(0, u64::saturating_add);
    let all = facts.kept.len();
    let head = format!("{all} checkpoints, {} in all, {kept} are kept", amount::size(bytes));
    lines.head(&head);
    problems(dashboard, &mut lines);
    let first = first_line(dashboard.chosen(), lines.left());
    for (at, kept) in facts.kept.iter().enumerate().skip(first) {
        let (head, reason) = checkpoint(kept, facts.counter);
        let style = of_choice(at == dashboard.chosen());
        let color = if kept.keep { FAINT } else { WARNING };
        lines.line(&[(&format!("{head:<34}"), style), ("  ", style), (&reason, style.fg(color))]);
    }
}

/// The runs to choose from.
pub(super) fn runs(dashboard: &Dashboard, area: Rect, buffer: &mut Buffer) {
    let names = dashboard.runs.iter().map(|run| shown(&run.name).width());
    let width = names.max().unwrap_or(0).clamp(4, usize::from(area.width / 3));
    let mut lines = Lines::new(area, buffer);
    lines.head(&format!("{} runs; enter opens one", dashboard.runs.len()));
    let first = first_line(dashboard.chosen(), lines.left());
    for (at, run) in dashboard.runs.iter().enumerate().skip(first) {
        let style = of_choice(at == dashboard.chosen());
        let is_shown = dashboard.shown_run == Some(at);
        let (state, color) = of_state(run.state);
        let state = if run.state.is_none() { "" } else { state };
        lines.line(&[
            (if is_shown { "▸ " } else { "  " }, style),
            (&fitted(&shown(&run.name), width), style),
            (&format!("  {state:<9}"), style.fg(color)),
            (&told(run), style),
        ]);
    }
}

/// The lines of the runs view that are on the screen: which are worth reading.
pub(super) fn runs_on_screen(chosen: usize, height: u16) -> (usize, usize) {
    let room = usize::from(height).saturating_sub(1);
    (first_line(chosen, room), room)
}

fn told(run: &RunLine) -> String {
    if let Some(problem) = &run.problem {
        return shown(problem).into_owned();
    }
    if run.state.is_none() {
        return String::new();
    }
    let step = run.step.map_or(String::new(), |step| format!("  step {}", amount::integer(step)));
    let best = run.best.as_ref().map_or(String::new(), |(name, value)| {
        format!("  best {} {}", shown(name), amount::float(*value, 4))
    });
    format!("{:>12} rows{step}{best}", amount::count(run.rows))
}

fn fitted(text: &str, width: usize) -> String {
    let mut fitted = String::new();
    for char in text.chars() {
        if fitted.width() + unicode_width::UnicodeWidthChar::width(char).unwrap_or(0) > width {
            break;
        }
        fitted.push(char);
    }
    let missing = width.saturating_sub(fitted.width());
    fitted + &" ".repeat(missing)
}

/// The first line of a list that is on the screen, so that what is chosen is.
fn first_line(chosen: usize, room: usize) -> usize {
    chosen.checked_div(room).map_or(0, |page| page * room)
}

fn of_choice(is_chosen: bool) -> Style {
    if is_chosen { Style::new().add_modifier(Modifier::REVERSED) } else { Style::new() }
}

/// What the keys do, in the middle of the screen.
pub(super) fn help(area: Rect, buffer: &mut Buffer) {
    let (width, height) = (72.min(area.width), (KEYS.len() as u16 + 2).min(area.height));
    let left = area.x + (area.width - width) / 2;
    let top = area.y + (area.height - height) / 2;
    let place = Rect::new(left, top, width, height);
    for y in place.top()..place.bottom() {
        buffer.set_string(place.x, y, " ".repeat(place.width.into()), Style::reset());
    }
    let inner = Rect::new(place.x + 2, place.y, place.width.saturating_sub(3), place.height);
    let mut lines = Lines::new(inner, buffer);
    lines.head("Keys; any key closes this");
    lines.skip();
    for (key, what) in KEYS {
        let key = format!("{key:<20}");
        lines.line(&[(&key, Style::new().add_modifier(Modifier::BOLD)), (what, Style::new())]);
    }
}
