//! What threads that work in the background need of the operating system: hints, and knowing of a fork.
//!
//! | to | use |
//! |---|---|
//! | keep a background thread from interrupting the threads that train | [`Priority`] |
//! | fill a large, fresh block of memory with fewer page faults | [`prefer_large_pages`] |
//! | refuse what would not fit into memory | [`memory_limit`] |
//! | notice, without a system call, that this process was forked from the one that started the thread | [`ForkCheck`] |
//! | give a forked child a lock of its own instead of one that nobody will release | [`PerProcess`] |
//! | draw a whole screen and get keys one by one | [`take_terminal`], [`read_terminal`], [`give_back_terminal`] |
//! | find out whether the process that wrote something is still there | [`ProcessMark`], [`boot_id`], [`host_name`] |
//!
//! The first three are hints: they change no result. Where the system has no such thing, or refuses, nothing
//! happens and nothing is reported. They do something on Linux only. The others work on every Unix; what a system does not tell is `None`.
//!
//! What it is **not**: it starts no thread and changes no file. Depend on it alone
//! when you write a sink or a store of your own whose threads should stay out of the way.
//!
//! ```
//! use qstore_os::{Priority, prefer_large_pages};
//!
//! std::thread::spawn(|| {
//!     Priority::Idle.apply(); // this thread, and those it starts
//!     let mut memory = vec![0_u8; 64 << 20];
//!     prefer_large_pages(&mut memory);
//!     memory.fill(1); // 32 page faults where large pages can be had, 16 384 otherwise
//! })
//! .join()
//! .unwrap();
//! ```

//!
//! # Features
//! `testing`: the module `testing`, which runs a closure in a forked child, and has a terminal to type at. Off by default; turn it on in
//! dev-dependencies.

#![deny(unsafe_code)]

/// The example of the README compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

mod fork;
mod large_pages;
mod machine;
mod memory_limit;
mod priority;
mod process;
mod terminal;
#[cfg(all(unix, any(test, feature = "testing")))]
pub mod testing;

pub use fork::{ForkCheck, PerProcess};
pub use large_pages::prefer_large_pages;
pub use machine::{boot_id, host_name};
pub use memory_limit::memory_limit;
pub use priority::Priority;
pub use process::ProcessMark;
pub use terminal::{give_back_terminal, read_terminal, suspend_process, take_terminal};
