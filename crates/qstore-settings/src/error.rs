//! The one error for a setting that cannot be used.

use std::fmt::Display;
use std::ops::RangeInclusive;

/// A setting has a value that cannot be used. Nothing was opened or started.
///
/// ```
/// use qstore_settings::SettingError;
///
/// let error = SettingError::check("flush_interval", 0, 1..=1_000_000, 100).unwrap_err();
/// let text = "flush_interval is 0; choose a value from 1 to 1000000 (default 100)";
/// assert_eq!(error.to_string(), text);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{setting} is {value}; choose {choices} (default {default})")]
#[non_exhaustive]
pub struct SettingError {
    /// The setting's own name, as it is written in code: `buffer_size`.
    pub setting: &'static str,
    /// The value it was set to.
    pub value: String,
    /// What can be chosen instead: a range or a list, in words.
    pub choices: String,
    /// The value it has when nobody sets it.
    pub default: String,
}

impl SettingError {
    /// An error about `setting`, which was set to `value`. `choices` completes the sentence
    /// "choose …".
    #[must_use]
    pub fn new(
        setting: &'static str,
        value: impl Display,
        choices: impl Into<String>,
        default: impl Display,
    ) -> Self {
        let (value, default) = (value.to_string(), default.to_string());
        Self { setting, value, choices: choices.into(), default }
    }

    /// Checks a number against its range.
    ///
    /// # Errors
    /// When `value` is outside `range`.
    pub fn check<N: PartialOrd + Display>(
        setting: &'static str,
        value: N,
        range: RangeInclusive<N>,
        default: impl Display,
    ) -> Result<(), Self> {
        if range.contains(&value) {
            return Ok(());
        }
        let choices = format!("a value from {} to {}", range.start(), range.end());
        Err(Self::new(setting, value, choices, default))
    }

    /// Checks a number that has a lower limit only.
    ///
    /// # Errors
    /// When `value` is less than `min`.
    pub fn check_min<N: PartialOrd + Display + Copy>(
        setting: &'static str,
        value: N,
        min: N,
        default: impl Display,
    ) -> Result<(), Self> {
        if value >= min {
            return Ok(());
        }
        Err(Self::new(setting, value, format!("{min} or more"), default))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_in_range_is_accepted_and_others_are_named_with_the_range_and_the_default() {
        assert!(SettingError::check("level", 1, 1..=9, 3).is_ok());
        assert!(SettingError::check("level", 9, 1..=9, 3).is_ok());
        let error = SettingError::check("level", 10, 1..=9, 3).unwrap_err();
        assert_eq!(error.to_string(), "level is 10; choose a value from 1 to 9 (default 3)");
        assert!(SettingError::check_min("rows", 1, 1, 100).is_ok());
        let error = SettingError::check_min("rows", 0, 1, 100).unwrap_err();
        assert_eq!(error.to_string(), "rows is 0; choose 1 or more (default 100)");
    }
}
