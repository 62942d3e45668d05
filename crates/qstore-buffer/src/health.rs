//! What a background thread reports about itself: its first error, and what was lost, by kind.

use std::borrow::Cow;
use std::fmt;

/// How an item was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Loss {
    /// The buffer was full, and the new item was handed back.
    Dropped,
    /// The item was in the buffer, and was discarded to make room for a newer one.
    Evicted,
    /// The sink could not store the item.
    Rejected,
    /// The sink stored the item without one of its values.
    Incomplete,
}

/// What was lost, by kind: one [`Lost`] for each.
///
/// ```
/// use qstore_buffer::{AsyncBuffer, Loss};
///
/// let buffer = AsyncBuffer::with_name(1, "rows")?;
/// for item in 0..3 {
///     let _ = buffer.push(item);
/// }
/// let losses = buffer.losses();
/// assert_eq!(losses.get(Loss::Dropped).unwrap().count, 2);
/// assert_eq!(losses.get(Loss::Evicted), None);
/// # Ok::<(), qstore_buffer::SettingError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Losses(Vec<Lost>);

/// The losses of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lost {
    /// How the items were lost.
    pub loss: Loss,
    /// How many were lost this way.
    pub count: u64,
    /// The label of the first of them, such as the step of a row, if it had one.
    pub first: Option<i64>,
    /// Why the first of them was lost, and what to do about it.
    pub reason: Cow<'static, str>,
}

/// The health of a background thread: the first error, and the losses of each kind.
///
/// An error and a loss are different things. After an error, what could not be written is kept and
/// retried. A loss is final, and it is the result of a policy or of the item itself, so it never ends a
/// run: [`check`](Self::check) returns the error only.
///
/// ```
/// use qstore_buffer::{AsyncBuffer, Drain, DrainSettings, Loss, Progress, Round, Sink};
/// use std::convert::Infallible;
/// use std::time::Duration;
///
/// /// Stores even numbers only.
/// struct Even;
///
/// impl Sink<u64> for Even {
///     type Error = Infallible;
///     type Stats = ();
///
///     fn receive(&mut self, batch: &mut Vec<u64>, round: &mut Round<'_>) -> Result<(), Infallible> {
///         for item in batch.drain(..).filter(|item| item % 2 == 1) {
///             round.lose(Loss::Rejected, Some(item as i64), &format_args!("{item} is odd"));
///         }
///         Ok(())
///     }
///
///     fn flush(&mut self) -> Result<Progress<Infallible>, Infallible> {
///         Ok(Progress::Idle)
///     }
/// }
///
/// let buffer = AsyncBuffer::new(100)?;
/// let drain = Drain::spawn(buffer.clone(), Even, DrainSettings::default())?;
/// for item in 0..10 {
///     buffer.push(item)?;
/// }
/// drain.flush(Duration::from_secs(10))?;
/// let health = drain.health();
/// assert_eq!(health.to_string(), "no errors; 5 items were rejected, the first was 1: 1 is odd");
/// health.check()?; // no error
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Health<E> {
    /// The first error since the start. It stays even when a later try succeeded.
    pub first_error: Option<E>,
    /// Number of errors since the start.
    pub errors: u64,
    /// What was lost, by kind.
    pub losses: Losses,
}

impl Loss {
    /// What happened to the items.
    pub(crate) const fn describe(self) -> &'static str {
        match self {
            Self::Dropped => "new items were dropped",
            Self::Evicted => "the oldest items were discarded",
            Self::Rejected => "items were rejected",
            Self::Incomplete => "items were stored without one of their values",
        }
    }
}

impl Losses {
    /// Counts one lost item. The first of its kind is described by its label and the reason, and is
    /// returned.
    pub fn add(
        &mut self,
        loss: Loss,
        label: Option<i64>,
        reason: &dyn fmt::Display,
    ) -> Option<&Lost> {
        if let Some(lost) = self.0.iter_mut().find(|lost| lost.loss == loss) {
            lost.count += 1;
            return None;
        }
        let reason = Cow::Owned(reason.to_string());
        self.0.push(Lost { loss, count: 1, first: label, reason });
        self.0.last()
    }

    /// Adds what a full ring lost.
    pub(crate) fn add_full(&mut self, loss: Loss, count: u64, first: Option<i64>) {
        if count > 0 {
            let reason = "the buffer was full; increase its size or push less often";
            self.0.push(Lost { loss, count, first, reason: Cow::Borrowed(reason) });
        }
    }

    /// Adds losses of other kinds.
    pub(crate) fn extend(&mut self, others: &Self) {
        self.0.extend_from_slice(&others.0);
    }

    /// The losses of one kind, if there were any.
    #[must_use]
    pub fn get(&self, loss: Loss) -> Option<&Lost> {
        self.iter().find(|lost| lost.loss == loss)
    }

    /// The losses of each kind, in the order in which the kinds first occurred, those of the ring first.
    pub fn iter(&self) -> std::slice::Iter<'_, Lost> {
        self.0.iter()
    }

    /// Whether nothing was lost.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> IntoIterator for &'a Losses {
    type Item = &'a Lost;
    type IntoIter = std::slice::Iter<'a, Lost>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<E> Health<E> {
    /// A report of a background thread that is not a [`Drain`](crate::Drain).
    #[must_use]
    pub fn new(first_error: Option<E>, errors: u64, losses: Losses) -> Self {
        Self { first_error, errors, losses }
    }

    /// Whether there was no error and nothing was lost.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.first_error.is_none() && self.losses.is_empty()
    }

    /// `Ok` if there was no error, whatever was lost.
    ///
    /// # Errors
    /// The first error since the start.
    pub fn check(self) -> Result<(), E> {
        self.first_error.map_or(Ok(()), Err)
    }

    /// The same with another type of error.
    #[must_use]
    pub fn map_err<F>(self, convert: impl FnOnce(E) -> F) -> Health<F> {
        let Self { first_error, errors, losses } = self;
        Health { first_error: first_error.map(convert), errors, losses }
    }
}

/// One line: the first error and the number of errors, then each kind of loss.
impl<E: fmt::Display> fmt::Display for Health<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.first_error {
            None => f.write_str("no errors")?,
            Some(error) => write!(f, "{} errors, the first was: {error}", self.errors)?,
        }
        self.losses.iter().try_for_each(|lost| write!(f, "; {lost}"))
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { loss, count, first, reason } = self;
        write!(f, "{count} {}", loss.describe())?;
        if let Some(first) = first {
            write!(f, ", the first was {first}")?;
        }
        write!(f, ": {reason}")
    }
}
