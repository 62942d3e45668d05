//! Mutants of the ring, its wake-up, and the drain.

use super::mutant::{Mutant, Tests};

const RING: &str = "crates/qstore-buffer/src/ring.rs";
const WAKE: &str = "crates/qstore-buffer/src/wait/wake.rs";
const ROOM: &str = "crates/qstore-buffer/src/wait/room.rs";
const CONTROL: &str = "crates/qstore-buffer/src/drain/control.rs";
const WORKER: &str = "crates/qstore-buffer/src/drain/worker.rs";
const COUNTERS: &str = "crates/qstore-buffer/src/buffer/counters.rs";

/// The models, which try every order of steps.
const MODELS: &[Tests] = &[Tests::loom("models::")];
const OF_THE_DRAIN: &[Tests] = &[Tests::lib("qstore-buffer", "drain::")];

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "ring_stamp_without_release",
        file: RING,
        edits: &[(
            "if is_weak { Relaxed } else { Release }",
            "if is_weak { Relaxed } else { Relaxed }",
        )],
        danger: "a consumer takes an item out before it was written",
        tests: MODELS,
    },
    Mutant {
        name: "ring_claim_without_acquire",
        file: RING,
        edits: &[("self.slot(end).stamp.load(Acquire)", "self.slot(end).stamp.load(Relaxed)")],
        danger: "a consumer takes an item out before it was written",
        tests: MODELS,
    },
    Mutant {
        name: "ring_take_without_release",
        file: RING,
        edits: &[(
            "slot.stamp.store(head + self.lap(), Release)",
            "slot.stamp.store(head + self.lap(), Relaxed)",
        )],
        danger: "a push writes into a slot whose item is still being taken out",
        tests: MODELS,
    },
    Mutant {
        name: "ring_push_without_acquire",
        file: RING,
        edits: &[(
            "if slot.stamp.load(Acquire) == tail {",
            "if slot.stamp.load(Relaxed) == tail {",
        )],
        danger: "a push writes into a slot whose item is still being taken out",
        tests: MODELS,
    },
    Mutant {
        name: "ring_close_in_two_steps",
        file: RING,
        edits: &[(
            "self.tail.fetch_or(self.closed, SeqCst);",
            "self.tail.store(self.tail.load(SeqCst) | self.closed, SeqCst);",
        )],
        danger: "an item that was accepted while the ring closed is lost, or another one twice",
        tests: MODELS,
    },
    Mutant {
        name: "wake_push_without_its_order",
        file: WAKE,
        edits: &[("        fence_for_loom(Place::Push);\n", "        let _ = Place::Push;\n")],
        danger: "a wake-up is lost, and rows wait although there is work",
        tests: MODELS,
    },
    Mutant {
        name: "wake_wait_without_its_order",
        file: WAKE,
        edits: &[("        fence_for_loom(Place::Wait);\n", "        let _ = Place::Wait;\n")],
        danger: "a wake-up is lost, and rows wait although there is work",
        tests: MODELS,
    },
    Mutant {
        name: "wake_change_in_two_steps",
        file: WAKE,
        edits: &[(
            "        self.wake_at.swap(wake_at, SeqCst)\n",
            "        let before = self.wake_at.load(SeqCst);\n        \
             self.wake_at.store(wake_at, SeqCst);\n        before\n",
        )],
        danger: "a close wakes nobody",
        tests: MODELS,
    },
    Mutant {
        name: "room_made_without_its_fence",
        file: ROOM,
        edits: &[("        full_fence(Place::MadeRoom);\n", "        let _ = Place::MadeRoom;\n")],
        danger: "a push that may wait for room waits for ever",
        tests: MODELS,
    },
    Mutant {
        name: "room_wanted_without_its_fence",
        file: ROOM,
        edits: &[("        full_fence(Place::WantRoom);\n", "        let _ = Place::WantRoom;\n")],
        danger: "a push that may wait for room waits for ever",
        tests: MODELS,
    },
    Mutant {
        name: "lost_item_not_counted",
        file: COUNTERS,
        edits: &[(
            "        counter.fetch_add(1, Release);\n",
            "        let _ = (counter, Release);\n",
        )],
        danger: "rows are dropped and nobody is told",
        tests: &[Tests::lib("qstore-buffer", "buffer::")],
    },
    Mutant {
        name: "lost_label_not_noted",
        file: COUNTERS,
        edits: &[("            self.last_lost.store(label, Relaxed);\n", "")],
        danger: "the file does not say which rows are missing",
        tests: &[Tests::lib("qstore-buffer", "")],
    },
    Mutant {
        name: "first_error_not_kept",
        file: CONTROL,
        edits: &[("            state.first_error = Some(error.clone());\n", "")],
        danger: "health() says that all is well",
        tests: OF_THE_DRAIN,
    },
    Mutant {
        name: "error_is_no_news",
        file: CONTROL,
        edits: &[(
            "            self.has_new_error.store(true, Release);\n",
            "            let _ = Release;\n",
        )],
        danger: "a program that asks for new errors never hears that nothing is written",
        tests: OF_THE_DRAIN,
    },
    Mutant {
        name: "error_of_the_companion_ignored",
        file: WORKER,
        edits: &[(
            "Some(Outcome::Failed(error)) => Ok(Some(self.fail(error))),",
            "Some(Outcome::Failed(_)) => Ok(None),",
        )],
        danger: "a flush that failed is acknowledged",
        tests: OF_THE_DRAIN,
    },
    Mutant {
        name: "panic_of_the_companion_ignored",
        file: WORKER,
        edits: &[(
            "Some(Outcome::Panicked(panic)) => Err(panicked(&*panic)),",
            "Some(Outcome::Panicked(_)) => Ok(None),",
        )],
        danger: "a flush whose thread died is acknowledged",
        tests: OF_THE_DRAIN,
    },
    Mutant {
        name: "error_of_receiving_ignored",
        file: WORKER,
        edits: &[("                self.latch(error);\n", "                drop(error);\n")],
        danger: "a sink that could not take rows says so to nobody",
        tests: OF_THE_DRAIN,
    },
    Mutant {
        name: "flush_before_the_rows",
        file: WORKER,
        edits: &[("let is_covered = self.buffer.taken() >= upto;", "let is_covered = true;")],
        danger: "a flush is acknowledged although rows pushed before it are still in the ring",
        tests: OF_THE_DRAIN,
    },
];
