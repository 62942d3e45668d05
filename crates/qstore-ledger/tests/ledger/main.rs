//! The ledger from outside: what is recorded survives, and nothing is paid for twice without a word.

mod budget;
mod cuts;
mod everyday;
mod faults;
mod forks;
mod histories;
mod loops;
