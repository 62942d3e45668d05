//! What is shown and what was chosen: a run, its charts, a view, a filter, the axes. Keys change it, and so do the eyes.
//!
//! Invariant: nothing here reads a file, a clock or a terminal. The same keys on the same facts give the same screen.

use super::chart::Chart;
use super::facts::{Facts, RunLine};
use super::key::Key;
use super::plan::{Cells, Plan};
use super::scope::Scope;
use qstore_view::XAxis;
use std::collections::HashMap;

/// What fills the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum View {
    /// The curves of the metrics.
    #[default]
    Charts,
    /// The checkpoints, each with what retention does with it.
    Checkpoints,
    /// The curves of what the process used.
    System,
    /// The runs to choose from.
    Runs,
}

/// What is to be done after a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Nothing: the screen is as it was.
    Nothing,
    /// Draw.
    Draw,
    /// Look at the files, and draw.
    Look,
    /// Look at another run: its place in the list.
    Open(usize),
    /// End.
    Quit,
    /// Stop until the shell says to go on.
    Suspend,
}

/// The curves that fit the screen.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wanted {
    pub(super) is_system: bool,
    pub(super) columns: Vec<String>,
    pub(super) scope: Scope,
}

/// The state of the screen.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own that a key turns")]
pub struct Dashboard {
    pub(super) facts: Facts,
    pub(super) runs: Vec<RunLine>,
    /// Which of the runs is shown.
    pub(super) shown_run: Option<usize>,
    /// The curves that were read, by system or not, and column.
    pub(super) charts: HashMap<(bool, String), Chart>,
    pub(super) size: (u16, u16),
    pub(super) view: View,
    /// The chosen chart, checkpoint and run: their places in their lists.
    chosen: [usize; 4],
    pub(super) is_large: bool,
    pub(super) filter: String,
    pub(super) is_typing: bool,
    pub(super) x: XAxis,
    pub(super) is_log_x: bool,
    pub(super) is_log_y: bool,
    pub(super) halvings: u8,
    /// The weight of the smoother line, in tenths; 0 has none.
    pub(super) tenths: u8,
    pub(super) is_paused: bool,
    pub(super) is_helping: bool,
}

/// Half, a quarter … of x: no more than this.
const HALVINGS_MAX: u8 = 20;
const X: [XAxis; 5] = [XAxis::Step, XAxis::Epoch, XAxis::Relative, XAxis::Time, XAxis::Row];

impl Dashboard {
    /// Nothing is known and nothing chosen yet, on a screen of that many columns and lines.
    #[must_use]
    pub fn new(size: (u16, u16)) -> Self {
        Self {
            facts: Facts::default(),
            runs: Vec::new(),
            shown_run: None,
            charts: HashMap::new(),
            size,
            view: View::Charts,
            chosen: [0; 4],
            is_large: false,
            filter: String::new(),
            is_typing: false,
            x: XAxis::Step,
            is_log_x: false,
            is_log_y: false,
            halvings: 0,
            tenths: 0,
            is_paused: false,
            is_helping: false,
        }
    }

    /// What is known of the run.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// What fills the screen.
    #[must_use]
    pub fn view(&self) -> View {
        self.view
    }

    /// Whether the files are not looked at.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.is_paused
    }

    /// Whether a wide panel, or whole views, of checkpoints and the system are seen.
    pub(super) fn views(&self) -> Vec<View> {
        let mut views = vec![View::Charts, View::Checkpoints, View::System];
        views.extend((self.runs.len() > 1).then_some(View::Runs));
        views
    }

    /// The screen has this size now. Returns whether it had another one.
    pub fn resize(&mut self, size: (u16, u16)) -> bool {
        let has_changed = self.size != size;
        self.size = size;
        has_changed
    }

    /// Another run: nothing is known of it yet.
    pub(super) fn begin(&mut self, run: usize) {
        self.shown_run = Some(run);
        self.charts.clear();
        self.facts = Facts::default();
        (self.view, self.is_large, self.halvings) = (View::Charts, false, 0);
        self.chosen = [0, 0, 0, run];
    }

    /// The columns of the view that the filter lets through.
    pub(super) fn columns(&self) -> Vec<&String> {
        let all = match self.view {
            View::System => &self.facts.system_columns,
            _ => &self.facts.columns,
        };
        let filter = self.filter.to_lowercase();
        all.iter().filter(|name| name.to_lowercase().contains(&filter)).collect()
    }

    /// Where the charts are, and which is the first of them; none in another view, or on too small a screen.
    pub(super) fn page(&self) -> Option<(Cells, usize)> {
        if !matches!(self.view, View::Charts | View::System) {
            return None;
        }
        let plan = Plan::of(self.size, true)?;
        let cells = Cells::of(plan.body, self.columns().len(), self.is_large);
        Some((cells, self.chosen() / cells.count() * cells.count()))
    }

    /// The place of what is chosen in its list.
    pub(super) fn chosen(&self) -> usize {
        self.chosen[self.view as usize].min(self.len().saturating_sub(1))
    }

    fn len(&self) -> usize {
        match self.view {
            View::Charts | View::System => self.columns().len(),
            View::Checkpoints => self.facts.kept.len(),
            View::Runs => self.runs.len(),
        }
    }

    /// The curves that are on the screen.
    pub(super) fn wanted(&self) -> Option<Wanted> {
        let (cells, first) = self.page()?;
        let columns = self.columns().into_iter().skip(first).take(cells.count()).cloned();
        let columns = columns.collect();
        let (x, is_log_x, halvings, dots) = (self.x, self.is_log_x, self.halvings, cells.dots());
        let scope = Scope { x, is_log_x, halvings, dots };
        Some(Wanted { is_system: self.view == View::System, columns, scope })
    }

    /// What a key does.
    pub fn press(&mut self, key: Key) -> Action {
        if key == Key::Char('\x03') {
            return Action::Quit;
        }
        if key == Key::Char('\x1a') {
            return Action::Suspend;
        }
        if self.is_typing {
            return self.type_filter(key);
        }
        if self.is_helping {
            self.is_helping = false;
            return if key == Key::Char('q') { Action::Quit } else { Action::Draw };
        }
        match key {
            Key::Char('q') => Action::Quit,
            Key::Char('?') => {
                self.is_helping = true;
                Action::Draw
            }
            Key::Char('/') => {
                self.is_typing = true;
                if !matches!(self.view, View::Charts | View::System) {
                    self.view = View::Charts;
                }
                Action::Look
            }
            Key::Char(' ') => {
                self.is_paused = !self.is_paused;
                if self.is_paused { Action::Draw } else { Action::Look }
            }
            Key::Tab => self.turn(1),
            Key::BackTab => self.turn(self.views().len() - 1),
            Key::Char(digit @ '1'..='4') => {
                let views = self.views();
                match views.get(digit as usize - '1' as usize) {
                    Some(view) => self.open_view(*view),
                    None => Action::Nothing,
                }
            }
            Key::Escape => self.go_back(),
            Key::Enter => self.enter(),
            Key::Char('h') | Key::Left => self.go(-1, false),
            Key::Char('l') | Key::Right => self.go(1, false),
            Key::Char('k') | Key::Up => self.go(-1, true),
            Key::Char('j') | Key::Down => self.go(1, true),
            Key::PageUp => self.go_page(false),
            Key::PageDown => self.go_page(true),
            Key::Home | Key::Char('g') => self.go_to(0),
            Key::End | Key::Char('G') => self.go_to(usize::MAX),
            _ => self.change_axes(key),
        }
    }

    fn change_axes(&mut self, key: Key) -> Action {
        match key {
            Key::Char('y') => self.is_log_y = !self.is_log_y,
            Key::Char('L') => self.is_log_x = !self.is_log_x,
            Key::Char('x') => {
                let at = X.iter().position(|x| *x == self.x).unwrap_or(0);
                self.x = X[(at + 1) % X.len()];
            }
            Key::Char('+' | '=') => self.halvings = (self.halvings + 1).min(HALVINGS_MAX),
            Key::Char('-') => self.halvings = self.halvings.saturating_sub(1),
            Key::Char('0') => self.halvings = 0,
            Key::Char('s') => self.tenths = (self.tenths + 1).min(9),
            Key::Char('S') => self.tenths = self.tenths.saturating_sub(1),
            _ => return Action::Nothing,
        }
        match key {
            Key::Char('y' | 's' | 'S') => Action::Draw,
            _ => Action::Look,
        }
    }

    fn type_filter(&mut self, key: Key) -> Action {
        match key {
            Key::Enter => self.is_typing = false,
            Key::Escape => {
                self.is_typing = false;
                self.filter.clear();
            }
            Key::Backspace => {
                self.filter.pop();
            }
            Key::Char(char) if !char.is_control() => self.filter.push(char),
            _ => return Action::Nothing,
        }
        self.chosen[self.view as usize] = 0;
        Action::Look
    }

    fn turn(&mut self, by: usize) -> Action {
        let views = self.views();
        let at = views.iter().position(|view| *view == self.view).unwrap_or(0);
        self.open_view(views[(at + by) % views.len()])
    }

    fn open_view(&mut self, view: View) -> Action {
        self.view = view;
        Action::Look
    }

    /// Leaves what was entered last: a chart, a zoom, a filter, a view.
    fn go_back(&mut self) -> Action {
        match () {
            () if self.is_large => self.is_large = false,
            () if self.halvings > 0 => self.halvings = 0,
            () if !self.filter.is_empty() => self.filter.clear(),
            () if self.view != View::Charts => self.view = View::Charts,
            () => return Action::Nothing,
        }
        Action::Look
    }

    fn enter(&mut self) -> Action {
        match self.view {
            View::Charts | View::System => {
                self.is_large = !self.is_large;
                Action::Look
            }
            View::Runs if self.chosen() < self.runs.len() => Action::Open(self.chosen()),
            View::Runs | View::Checkpoints => Action::Nothing,
        }
    }

    fn go(&mut self, by: isize, is_down: bool) -> Action {
        let width = match self.page() {
            Some((cells, _)) if is_down => cells.across(),
            Some(_) => 1,
            None if is_down => 1,
            None => return Action::Nothing,
        };
        let to = self.chosen().checked_add_signed(by * width as isize);
        match to.filter(|to| *to < self.len()) {
            Some(to) => self.go_to(to),
            None => Action::Nothing,
        }
    }

    fn go_page(&mut self, is_on: bool) -> Action {
        let page = match self.page() {
            Some((cells, _)) => cells.count(),
            None => Plan::of(self.size, false).map_or(1, |plan| plan.body.height.into()),
        };
        let chosen = self.chosen();
        self.go_to(if is_on { chosen.saturating_add(page) } else { chosen.saturating_sub(page) })
    }

    fn go_to(&mut self, place: usize) -> Action {
        let before = (self.chosen(), self.wanted());
        self.chosen[self.view as usize] = place.min(self.len().saturating_sub(1));
        match () {
            () if self.wanted() != before.1 || self.view == View::Runs => Action::Look,
            () if self.chosen() != before.0 => Action::Draw,
            () => Action::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(columns: &[&str]) -> Dashboard {
        let mut dashboard = Dashboard::new((80, 24));
        dashboard.facts.columns = columns.iter().map(ToString::to_string).collect();
        dashboard
    }

    fn press(dashboard: &mut Dashboard, text: &str) -> Vec<Action> {
        text.chars().map(|char| dashboard.press(Key::Char(char))).collect()
    }

    #[test]
    fn a_filter_is_typed_and_taken_back() {
        let mut dashboard = with(&["train_loss", "val_loss", "lr"]);
        press(&mut dashboard, "/LOq");
        assert!(dashboard.columns().is_empty(), "q is a letter while one types");
        dashboard.press(Key::Backspace);
        assert_eq!(dashboard.wanted().unwrap().columns, ["train_loss", "val_loss"]);
        assert_eq!(dashboard.press(Key::Enter), Action::Look);
        assert_eq!(dashboard.press(Key::Escape), Action::Look);
        assert_eq!(dashboard.columns().len(), 3);
        assert_eq!(dashboard.press(Key::Char('q')), Action::Quit);
    }

    #[test]
    fn only_the_charts_of_the_page_are_wanted() {
        let names: Vec<_> = (0..1_000).map(|number| format!("m{number:03}")).collect();
        let mut dashboard = with(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let first = |dashboard: &Dashboard| dashboard.wanted().unwrap().columns[0].clone();
        assert_eq!(dashboard.wanted().unwrap().columns.len(), 4);
        assert_eq!(press(&mut dashboard, "lj"), [Action::Draw, Action::Draw]);
        assert_eq!(dashboard.press(Key::Char('j')), Action::Look, "the next page");
        assert_eq!((first(&dashboard), dashboard.chosen()), ("m004".into(), 5));
        dashboard.press(Key::End);
        assert_eq!(first(&dashboard), "m996");
        assert_eq!(dashboard.press(Key::Right), Action::Nothing, "there is no more");
        dashboard.press(Key::Enter);
        assert_eq!(dashboard.wanted().unwrap().columns, ["m999"]);
        assert_eq!(dashboard.press(Key::Escape), Action::Look);
        dashboard.press(Key::PageUp);
        assert_eq!(first(&dashboard), "m992");
    }

    #[test]
    fn axes_change_what_is_read_and_the_rest_does_not() {
        let mut dashboard = with(&["loss"]);
        assert_eq!(press(&mut dashboard, "ysS"), [Action::Draw; 3]);
        assert_eq!(press(&mut dashboard, "xL+-"), [Action::Look; 4]);
        let scope = dashboard.wanted().unwrap().scope;
        assert_eq!((scope.x, scope.is_log_x, scope.halvings), (XAxis::Epoch, true, 0));
        assert_eq!(press(&mut dashboard, "é~"), [Action::Nothing; 2]);
    }

    #[test]
    fn the_runs_are_a_view_if_there_are_several() {
        let mut dashboard = with(&["loss"]);
        assert_eq!(press(&mut dashboard, "4"), [Action::Nothing]);
        let line = |name: &str| RunLine {
            name: name.into(),
            state: None,
            rows: 0,
            step: None,
            best: None,
            problem: None,
        };
        dashboard.runs = vec![line("a"), line("b")];
        assert_eq!(dashboard.press(Key::BackTab), Action::Look);
        assert_eq!((dashboard.view(), dashboard.press(Key::Down)), (View::Runs, Action::Look));
        assert_eq!(dashboard.press(Key::Enter), Action::Open(1));
        assert_eq!(press(&mut dashboard, "??q"), [Action::Draw, Action::Draw, Action::Quit]);
        assert_eq!(press(&mut dashboard, "\x1a"), [Action::Suspend]);
    }
}
