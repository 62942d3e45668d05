//! How do the costs grow: with the rows of the file, the tensors and bytes of a checkpoint, the
//! threads that push, the columns of a row?
//!
//! Curves, not points. Each point is measured in turns with the same point of the others; with `--long`
//! the curves go on to 10 million rows, 10 000 tensors and 4 GB.

mod bytes;
mod columns;
mod producers;
mod rows;
mod tensors;

use crate::harness::row::Row;
use crate::{Result, Run};

pub(crate) const NAME: &str = "scaling";
pub(crate) const QUESTION: &str =
    "how the costs grow with rows, tensors, bytes, producers and columns";

pub(crate) fn run(run: &Run<'_>) -> Result<Vec<Row>> {
    let mut all = producers::run()?;
    all.extend(rows::run(run)?);
    all.extend(columns::run(run)?);
    all.extend(tensors::run(run)?);
    all.extend(bytes::run(run)?);
    Ok(all)
}

/// A number as names have it: 1000 is 1e3, 32 is 32.
fn exponent(number: usize) -> String {
    let digits = number.to_string();
    let zeros = digits.len() - digits.trim_end_matches('0').len();
    if zeros >= 3 { format!("{}e{zeros}", &digits[..digits.len() - zeros]) } else { digits }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_are_short_in_names() {
        for (number, name) in [(2, "2"), (256, "256"), (1_000, "1e3"), (25_000, "25e3")] {
            assert_eq!(exponent(number), name);
        }
    }
}
