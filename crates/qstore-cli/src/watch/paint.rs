//! The colors, and what they mean.

use qstore_run::RunState;
use ratatui_core::style::Color;

pub(super) const FAINT: Color = Color::Indexed(244);
pub(super) const GOOD: Color = Color::Indexed(35);
pub(super) const WARNING: Color = Color::Indexed(208);
pub(super) const BAD: Color = Color::Indexed(166);
pub(super) const CALM: Color = Color::Indexed(74);

/// A state, and its color.
pub(super) fn of_state(state: Option<RunState>) -> (&'static str, Color) {
    match state {
        Some(state @ RunState::Running) => (state.name(), GOOD),
        Some(state @ RunState::Finished) => (state.name(), CALM),
        Some(state @ (RunState::Failed | RunState::Crashed)) => (state.name(), BAD),
        Some(state) => (state.name(), WARNING),
        None => ("file", FAINT),
    }
}
