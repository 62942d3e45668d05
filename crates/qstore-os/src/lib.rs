//! Best-effort hints to the operating system for threads that work in the background.
//!
//! | to | use |
//! |---|---|
//! | keep a background thread from interrupting the threads that train | [`Priority`] |
//! | fill a large, fresh block of memory with fewer page faults | [`prefer_large_pages`] |
//! | refuse what would not fit into memory | [`memory_limit`] |
//!
//! A hint changes no result. Where the system has no such thing, or refuses, nothing happens and
//! nothing is reported. All of them do something on Linux only.
//!
//! What it is **not**: it starts no thread, allocates nothing and changes no file. Depend on it alone
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

#![deny(unsafe_code)]

mod large_pages;
mod memory_limit;
mod priority;

pub use large_pages::prefer_large_pages;
pub use memory_limit::memory_limit;
pub use priority::Priority;
