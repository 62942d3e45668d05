//! One seat for many consumers who want to wait: who sits may be woken, the others stand in line.
//!
//! The seat is handed on, never just freed: whoever leaves it names the next and wakes him, so that a
//! consumer who is woken, finds an item and goes does not leave the others asleep beside the rest. And
//! whoever was woken in the seat may lose it to another: a task that is not polled any more cannot keep
//! the others asleep. Who loses the seat is woken once more, because the one waker of the seat may by
//! then be the other's; he looks again, and stands in line if there is nothing.

use crate::sync::{AtomicUsize, Mutex, MutexGuard};
use std::collections::VecDeque;
use std::sync::PoisonError;
use std::sync::atomic::Ordering::SeqCst;
use std::task::Waker;

#[derive(Debug)]
pub(crate) struct Seat {
    line: Mutex<Line>,
    /// How many stand: a push that wakes somebody takes the lock only if there are any.
    standing: AtomicUsize,
}

/// A consumer's place, until he leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket(u64);

#[derive(Debug, Default)]
struct Line {
    seated: Option<Waiting>,
    standing: VecDeque<Waiting>,
    tickets: u64,
}

#[derive(Debug)]
struct Waiting {
    ticket: Ticket,
    waker: Waker,
}

impl Seat {
    pub(crate) fn new() -> Self {
        Self { line: Mutex::new(Line::default()), standing: AtomicUsize::new(0) }
    }

    /// Sits down and does something there, while nobody else can sit; `false` if this one has to stand
    /// in line, and then `waker` is woken when that changes. Whoever sits and does not wait any more,
    /// because he was woken, loses the seat.
    pub(crate) fn act(
        &self,
        ticket: &mut Option<Ticket>,
        waker: &Waker,
        is_waiting: impl Fn() -> bool,
        act: impl FnOnce(),
    ) -> bool {
        let waker = waker.clone();
        let mut line = self.lock();
        let ticket = *ticket.get_or_insert_with(|| line.ticket());
        let stood = line.step_out(ticket);
        // Before the look at who waits: a push that wakes him looks at this afterwards.
        self.standing.store(line.standing.len() + 1, SeqCst);
        let is_taken = line.seated.as_ref().is_some_and(|seated| seated.ticket != ticket);
        let must_stand = is_taken && is_waiting();
        let lost = if must_stand {
            line.stand(Waiting { ticket, waker }, stood.as_ref().map(|(place, _)| *place));
            None
        } else {
            let before = line.seated.replace(Waiting { ticket, waker });
            act();
            before
        };
        self.standing.store(line.standing.len(), SeqCst);
        drop(line);
        // Wakers are called and dropped outside the lock: they may be the last of their tasks, which
        // then go, and others with them.
        drop(stood);
        if let Some(lost) = lost.filter(|_| is_taken) {
            lost.waker.wake();
        }
        !must_stand
    }

    /// Gets up, or out of the line. The seated one does `before` while nobody else can sit.
    pub(crate) fn leave(&self, ticket: Ticket, before: impl FnOnce()) {
        let mut line = self.lock();
        if line.seated.as_ref().is_some_and(|seated| seated.ticket == ticket) {
            before();
            drop(self.hand_on(line));
            return;
        }
        let stood = line.step_out(ticket);
        self.standing.store(line.standing.len(), SeqCst);
        drop(line);
        drop(stood);
    }

    /// To be called when the seated one was woken: the next in line sits down, and is woken, unless
    /// there is a new one in the seat already who waits to be.
    pub(crate) fn pass_on(&self, is_waiting: impl FnOnce() -> bool) {
        if self.standing.load(SeqCst) == 0 {
            return;
        }
        let line = self.lock();
        if line.standing.is_empty() || is_waiting() {
            return;
        }
        if let Some(lost) = self.hand_on(line) {
            lost.waker.wake();
        }
    }

    /// Seats the next in line and wakes him; returns who had the seat.
    fn hand_on(&self, mut line: MutexGuard<'_, Line>) -> Option<Waiting> {
        let next = line.standing.pop_front();
        let waker = next.as_ref().map(|next| next.waker.clone());
        let before = std::mem::replace(&mut line.seated, next);
        self.standing.store(line.standing.len(), SeqCst);
        drop(line);
        if let Some(waker) = waker {
            waker.wake();
        }
        before
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    /// Takes this one out of the line, and says where he stood.
    fn step_out(&mut self, ticket: Ticket) -> Option<(usize, Waiting)> {
        let place = self.standing.iter().position(|other| other.ticket == ticket)?;
        self.standing.remove(place).map(|waiting| (place, waiting))
    }

    /// Puts this one back where he stood, or behind the others.
    fn stand(&mut self, waiting: Waiting, place: Option<usize>) {
        self.standing.insert(place.unwrap_or(self.standing.len()), waiting);
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::task::Wake;

    #[derive(Default)]
    struct Bell(AtomicUsize);

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    /// A consumer: his ticket and how often he was woken.
    #[derive(Default)]
    struct Consumer {
        ticket: Option<Ticket>,
        bell: Arc<Bell>,
    }

    impl Consumer {
        /// Tries to sit while the seated one waits, or does not any more.
        fn sits(&mut self, seat: &Seat, is_waiting: bool) -> bool {
            let waker = Waker::from(Arc::clone(&self.bell));
            seat.act(&mut self.ticket, &waker, || is_waiting, || {})
        }

        fn woken(&self) -> usize {
            self.bell.0.load(SeqCst)
        }
    }

    #[test]
    fn the_seat_is_handed_on_in_order() {
        let seat = Seat::new();
        let mut consumers: [Consumer; 3] = Default::default();
        let sits = consumers.each_mut().map(|consumer| consumer.sits(&seat, true));
        assert_eq!(sits, [true, false, false]);
        seat.leave(consumers[0].ticket.unwrap(), || {});
        assert_eq!(consumers.each_ref().map(Consumer::woken), [0, 1, 0]);
        assert!(consumers[1].sits(&seat, true) && !consumers[2].sits(&seat, true));
        seat.leave(consumers[2].ticket.unwrap(), || panic!("stands"));
        seat.leave(consumers[1].ticket.unwrap(), || {});
        assert_eq!(consumers.each_ref().map(Consumer::woken), [0, 1, 0]);
    }

    /// The one waker of the seat may be the other's by then: without this it was nobody's duty.
    #[test]
    fn who_loses_the_seat_is_woken() {
        let seat = Seat::new();
        let [mut first, mut second, mut third]: [Consumer; 3] = Default::default();
        assert!(first.sits(&seat, true));
        assert!(second.sits(&seat, false), "the first was woken, and waits no longer");
        assert_eq!((first.woken(), second.woken()), (1, 0));
        assert!(!first.sits(&seat, true), "and stands in line when it comes back");

        assert!(!third.sits(&seat, true));
        seat.pass_on(|| true);
        assert_eq!([&first, &second, &third].map(Consumer::woken), [1, 0, 0]);
        seat.pass_on(|| false);
        assert_eq!([&first, &second, &third].map(Consumer::woken), [2, 1, 0]);
    }
}
