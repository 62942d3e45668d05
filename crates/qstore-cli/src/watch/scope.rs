//! How curves are read.

use qstore_view::XAxis;

/// How curves are read; a chart that was read otherwise is out of date.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scope {
    pub(super) x: XAxis,
    pub(super) is_log_x: bool,
    /// The last part of x is shown: half of it, a quarter, an eighth.
    pub(super) halvings: u8,
    pub(super) dots: u32,
}
