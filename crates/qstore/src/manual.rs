//! The manual: why things are as they are, question by question.
//!
//! The pages of the types say what each call does. This manual says why the defaults are what they are,
//! what each promise costs, and where it ends. Every block of code in it runs as a test.
//!
//! | question | chapter |
//! |---|---|
//! | Why do rows wait in a ring, and for how long? | [`ring`] |
//! | Which rows may be dropped, and how do I find out? | [`losses`] |
//! | Why is gzip the default, and when is another codec better? | [`compression`] |
//! | Why does the metrics file exist twice during a run? | [`two_inodes`] |
//! | What does a power cut take? And a kill? | [`power_cut`] |
//! | Why does `keep_last` count saves, not epochs? | [`retention`] |
//! | How do I end a run, and how do I resume one? | [`ending`] |
//! | How do I read a run, during it and afterwards? | [`reading`] |
//! | How is this different from TensorBoard files, CSV, SQLite, `torch.save`? | [`alternatives`] |

#[doc = include_str!("manual/ring.md")]
pub mod ring {}

#[doc = include_str!("manual/losses.md")]
pub mod losses {}

#[doc = include_str!("manual/compression.md")]
pub mod compression {}

#[doc = include_str!("manual/two_inodes.md")]
pub mod two_inodes {}

#[doc = include_str!("manual/power_cut.md")]
pub mod power_cut {}

#[doc = include_str!("manual/retention.md")]
pub mod retention {}

#[doc = include_str!("manual/ending.md")]
pub mod ending {}

#[doc = include_str!("manual/reading.md")]
pub mod reading {}

#[doc = include_str!("manual/alternatives.md")]
pub mod alternatives {}
