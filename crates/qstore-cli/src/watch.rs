//! What `qstore watch` shows, apart from the terminal that it is shown on.
//!
//! ```text
//! keys ─► Dashboard ─► draw ─► a screen of characters ─► AnsiScreen ─► the output
//!             ▲
//! files ─► Eyes
//! ```
//!
//! A [`Dashboard`] is all that is shown and chosen; [`draw`] makes a screen of it and does nothing else; [`Eyes`] look at
//! the runs and change it. So a test draws a screen without a terminal, and a picture of it is made the same way.
//!
//! * A look costs little: chunks that were read are not read again, and the
//!   pause after a look is fifty times what it took. Only charts that are on the screen are read.
//! * Every name of a file passes through [`shown`](crate::output::escape::shown) before it is drawn.
//! * The reader of a run is dropped after each look, so its writer never has to copy a file for it.

mod chart;
mod curves;
mod dashboard;
mod draw;
mod eyes;
mod facts;
mod key;
mod pace;
mod paint;
mod panels;
mod plan;
mod reading;
mod scope;
mod screen;
mod system;

pub use chart::Chart;
pub use dashboard::{Action, Dashboard, View};
pub use draw::draw;
pub use eyes::{Eyes, Seen};
pub use facts::{Facts, KeptLine, RunLine};
pub use key::{Key, keys};
pub use screen::AnsiScreen;
pub use system::SystemTerminal;

#[cfg(test)]
mod tests;
