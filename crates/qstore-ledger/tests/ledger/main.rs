//! The ledger from outside: what is recorded survives, and nothing is paid for twice without a word.

mod budget;
mod cuts;
mod everyday;
mod histories;
mod loops;
