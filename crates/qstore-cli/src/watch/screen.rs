//! A screen of a terminal as the escape sequences that draw it: those that every terminal of the last thirty years knows.

use ratatui_core::backend::{Backend, ClearType, WindowSize};
use ratatui_core::buffer::Cell;
use ratatui_core::layout::{Position, Size};
use ratatui_core::style::{Color, Modifier};
use std::convert::Infallible;
use std::fmt::Write as _;
use std::mem;

/// Takes the other screen, so that what was there comes back, and hides the cursor.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[2J";
/// The reverse; it may be printed without the first.
pub(super) const LEAVE: &str = "\x1b[0m\x1b[?25h\x1b[?1049l";

/// Draws what has changed on a screen, as bytes for the output.
#[derive(Debug)]
pub struct AnsiScreen {
    size: Size,
    has_color: bool,
    text: String,
}

impl AnsiScreen {
    /// A screen of that many columns and lines. Without color, what is bold or reversed still is.
    #[must_use]
    pub fn new((columns, lines): (u16, u16), has_color: bool) -> Self {
        Self { size: Size::new(columns, lines), has_color, text: String::new() }
    }

    /// The size is another one.
    pub fn resize(&mut self, (columns, lines): (u16, u16)) {
        self.size = Size::new(columns, lines);
    }

    /// Takes over the screen.
    pub fn enter(&mut self) {
        self.text.push_str(ENTER);
    }

    /// Gives the screen back.
    pub fn leave(&mut self) {
        self.text.push_str(LEAVE);
    }

    /// What is to be printed since the last call.
    pub fn take(&mut self) -> String {
        mem::take(&mut self.text)
    }

    fn style(&mut self, cell: &Cell) {
        self.text.push_str("\x1b[0");
        for (modifier, code) in [
            (Modifier::BOLD, 1),
            (Modifier::DIM, 2),
            (Modifier::UNDERLINED, 4),
            (Modifier::REVERSED, 7),
        ] {
            if cell.modifier.contains(modifier) {
                let _ = write!(self.text, ";{code}");
            }
        }
        for (color, code) in [(cell.fg, 38), (cell.bg, 48)] {
            match color {
                Color::Indexed(number) if self.has_color => {
                    let _ = write!(self.text, ";{code};5;{number}");
                }
                _ => {}
            }
        }
        self.text.push('m');
    }
}

impl Backend for AnsiScreen {
    type Error = Infallible;

    fn draw<'a, I>(&mut self, content: I) -> Result<(), Infallible>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        let mut next = None;
        let mut last: Option<&Cell> = None;
        for (x, y, cell) in content {
            if next != Some((x, y)) {
                let _ = write!(self.text, "\x1b[{};{}H", y + 1, x + 1);
            }
            let is_same = last.is_some_and(|last| {
                (last.fg, last.bg, last.modifier) == (cell.fg, cell.bg, cell.modifier)
            });
            if !is_same {
                self.style(cell);
            }
            self.text.push_str(cell.symbol());
            // Where the cursor is after a wide character is left to no guess.
            next = (cell.symbol().chars().count() == 1 && cell.symbol().len() < 4)
                .then_some((x + 1, y))
                .filter(|_| unicode_width::UnicodeWidthStr::width(cell.symbol()) == 1);
            last = Some(cell);
        }
        if last.is_some() {
            self.text.push_str("\x1b[0m");
        }
        Ok(())
    }

    fn hide_cursor(&mut self) -> Result<(), Infallible> {
        self.text.push_str("\x1b[?25l");
        Ok(())
    }

    fn show_cursor(&mut self) -> Result<(), Infallible> {
        self.text.push_str("\x1b[?25h");
        Ok(())
    }

    fn get_cursor_position(&mut self) -> Result<Position, Infallible> {
        Ok(Position::ORIGIN)
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> Result<(), Infallible> {
        let Position { x, y } = position.into();
        let _ = write!(self.text, "\x1b[{};{}H", y + 1, x + 1);
        Ok(())
    }

    fn clear(&mut self) -> Result<(), Infallible> {
        self.text.push_str("\x1b[0m\x1b[2J");
        Ok(())
    }

    fn clear_region(&mut self, region: ClearType) -> Result<(), Infallible> {
        self.text.push_str("\x1b[0m");
        self.text.push_str(match region {
            ClearType::All => "\x1b[2J",
            ClearType::AfterCursor => "\x1b[0J",
            ClearType::BeforeCursor => "\x1b[1J",
            ClearType::CurrentLine => "\x1b[2K",
            ClearType::UntilNewLine => "\x1b[0K",
        });
        Ok(())
    }

    fn size(&self) -> Result<Size, Infallible> {
        Ok(self.size)
    }

    fn window_size(&mut self) -> Result<WindowSize, Infallible> {
        Ok(WindowSize { columns_rows: self.size, pixels: Size::ZERO })
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui_core::style::Style;
    use ratatui_core::terminal::Terminal;

    fn drawn(has_color: bool) -> String {
        let mut terminal = Terminal::new(AnsiScreen::new((6, 2), has_color)).unwrap();
        terminal.backend_mut().take();
        let red = Style::new().fg(Color::Indexed(9)).add_modifier(Modifier::BOLD);
        terminal.draw(|frame| frame.buffer_mut().set_string(1, 1, "量ab", red)).unwrap();
        terminal.backend_mut().take()
    }

    #[test]
    fn only_what_is_new_is_drawn_and_colors_only_where_they_are_wanted() {
        assert!(
            drawn(true).starts_with("\x1b[2;2H\x1b[0;1;38;5;9m量\x1b[2;4Hab\x1b[0m"),
            "{:?}",
            drawn(true)
        );
        assert!(drawn(false).starts_with("\x1b[2;2H\x1b[0;1m量"), "{:?}", drawn(false));
        let mut screen = AnsiScreen::new((9, 9), true);
        screen.enter();
        screen.leave();
        assert_eq!(screen.take(), format!("{ENTER}{LEAVE}"));
    }
}
