//! One seat for many consumers who want to wait: who sits may be woken, the others stand in line.
//!
//! The seat is handed on, never just freed: whoever leaves it names the next and wakes him, so that a
//! consumer who is woken, finds an item and goes does not leave the others asleep beside the rest.

use crate::sync::{Mutex, MutexGuard};
use std::collections::VecDeque;
use std::sync::PoisonError;
use std::task::Waker;

#[derive(Debug)]
pub(crate) struct Seat(Mutex<Line>);

/// A consumer's place, until he leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket(u64);

#[derive(Debug, Default)]
struct Line {
    seated: Option<Ticket>,
    standing: VecDeque<(Ticket, Waker)>,
    tickets: u64,
}

impl Seat {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Line::default()))
    }

    /// Sits down, or stands in line behind the others.
    pub(crate) fn join(&self, waker: &Waker) -> Ticket {
        let mut line = self.lock();
        line.tickets += 1;
        let ticket = Ticket(line.tickets);
        if line.seated.is_none() {
            line.seated = Some(ticket);
        } else {
            line.standing.push_back((ticket, waker.clone()));
        }
        ticket
    }

    /// Whether it is this one's turn; if not, `waker` is woken when it is.
    pub(crate) fn is_mine(&self, ticket: Ticket, waker: &Waker) -> bool {
        let mut line = self.lock();
        if let Some((_, known)) = line.standing.iter_mut().find(|(other, _)| *other == ticket) {
            known.clone_from(waker);
        }
        line.seated == Some(ticket)
    }

    /// Gets up, or out of the line. The seated one does `before` while nobody else can sit.
    pub(crate) fn leave(&self, ticket: Ticket, before: impl FnOnce()) {
        let mut line = self.lock();
        if line.seated != Some(ticket) {
            line.standing.retain(|(other, _)| *other != ticket);
            return;
        }
        before();
        let next = line.standing.pop_front();
        line.seated = next.as_ref().map(|(ticket, _)| *ticket);
        drop(line);
        // Outside the lock: a waker may do anything.
        if let Some((_, waker)) = next {
            waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
