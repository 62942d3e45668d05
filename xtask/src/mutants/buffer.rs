//! Mutants of the ring, its wake-up, and the drain.

use super::edit::Edit::{Delete, Replace, Rewrite};
use super::mutant::{Mutant, Tests};

/// The models, which try every order of steps.
const MODELS: &[Tests] = &[Tests::loom("models::")];
const OF_THE_DRAIN: &[Tests] = &[Tests::lib("qstore-buffer", "drain::")];

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "ring_stamp_without_release",
        edits: &[Replace("Release", "Relaxed")],
        danger: "a consumer takes an item out before it was written",
        tests: MODELS,
    },
    Mutant {
        name: "ring_claim_without_acquire",
        edits: &[Replace("Acquire", "Relaxed")],
        danger: "a consumer takes an item out before it was written",
        tests: MODELS,
    },
    Mutant {
        name: "ring_take_without_release",
        edits: &[Replace("Release", "Relaxed")],
        danger: "a push writes into a slot whose item is still being taken out",
        tests: MODELS,
    },
    Mutant {
        name: "ring_push_without_acquire",
        edits: &[Replace("Acquire", "Relaxed")],
        danger: "a push writes into a slot whose item is still being taken out",
        tests: MODELS,
    },
    Mutant {
        name: "ring_close_in_two_steps",
        edits: &[Replace(
            "self.tail.fetch_or(self.closed, SeqCst)",
            "self.tail.store(self.tail.load(SeqCst) | self.closed, SeqCst)",
        )],
        danger: "an item that was accepted while the ring closed is lost, or another one twice",
        tests: MODELS,
    },
    Mutant {
        name: "wake_push_without_its_order",
        edits: &[Replace("fence_for_loom(Place::Push)", "let _ = Place::Push")],
        danger: "a wake-up is lost, and rows wait although there is work",
        tests: MODELS,
    },
    Mutant {
        name: "wake_wait_without_its_order",
        edits: &[Replace("fence_for_loom(Place::Wait)", "let _ = Place::Wait")],
        danger: "a wake-up is lost, and rows wait although there is work",
        tests: MODELS,
    },
    Mutant {
        name: "wake_change_in_two_steps",
        edits: &[Rewrite(
            "let before = self.wake_at.load(SeqCst); self.wake_at.store(wake_at, SeqCst); before",
        )],
        danger: "a close wakes nobody",
        tests: MODELS,
    },
    Mutant {
        name: "room_made_without_its_fence",
        edits: &[Replace("full_fence(Place::MadeRoom)", "let _ = Place::MadeRoom")],
        danger: "a push that may wait for room waits forever",
        tests: MODELS,
    },
    Mutant {
        name: "room_wanted_without_its_fence",
        edits: &[Replace("full_fence(Place::WantRoom)", "let _ = Place::WantRoom")],
        danger: "a push that may wait for room waits forever",
        tests: MODELS,
    },
    Mutant {
        name: "lost_item_not_counted",
        edits: &[Rewrite("let _ = (counter, Release);")],
        danger: "rows are dropped and nothing reports it",
        tests: &[Tests::lib("qstore-buffer", "buffer::")],
    },
    Mutant {
        name: "lost_label_not_noted",
        edits: &[Delete],
        danger: "the file does not say which rows are missing",
        tests: &[Tests::lib("qstore-buffer", "")],
    },
    Mutant {
        name: "first_error_not_kept",
        edits: &[Delete],
        danger: "health() says that all is well",
        tests: OF_THE_DRAIN,
    },
    Mutant {
        name: "error_is_no_news",
        edits: &[Rewrite("let _ = Release;")],
        danger: "a training loop goes on logging and never hears that nothing is written",
        tests: &[Tests::lib("qstore-buffer", "drain::"), Tests::lib("qstore-logger", "")],
    },
    Mutant {
        name: "error_of_the_companion_ignored",
        edits: &[Rewrite("Some(Outcome::Failed(_)) => Ok(None),")],
        danger: "a flush that failed is acknowledged",
        tests: OF_THE_DRAIN,
    },
    Mutant {
        name: "panic_of_the_companion_ignored",
        edits: &[Rewrite("Some(Outcome::Panicked(_)) => Ok(None),")],
        danger: "a flush whose thread died is acknowledged",
        tests: OF_THE_DRAIN,
    },
    Mutant {
        name: "error_of_receiving_ignored",
        edits: &[Rewrite("drop(error);")],
        danger: "a sink that could not take rows says so to nobody",
        tests: OF_THE_DRAIN,
    },
    Mutant {
        name: "flush_before_the_rows",
        edits: &[Replace("self.buffer.taken() >= upto", "true")],
        danger: "a flush is acknowledged although rows pushed before it are still in the ring",
        tests: OF_THE_DRAIN,
    },
];
