//! The sets of measurements, in the order in which they run.

use crate::run::Set;
use crate::{
    buffer, checkpoint, command, end_to_end, instructions, ledger, live, logger, parquet, python,
    scaling, view,
};

pub(crate) const SETS: [Set; 12] = [
    Set { name: buffer::NAME, question: buffer::QUESTION, run: buffer::run },
    Set { name: logger::NAME, question: logger::QUESTION, run: logger::run },
    Set { name: parquet::NAME, question: parquet::QUESTION, run: parquet::run },
    Set { name: checkpoint::NAME, question: checkpoint::QUESTION, run: checkpoint::run },
    Set { name: ledger::NAME, question: ledger::QUESTION, run: ledger::run },
    Set { name: end_to_end::NAME, question: end_to_end::QUESTION, run: end_to_end::run },
    Set { name: python::NAME, question: python::QUESTION, run: python::run },
    Set { name: view::NAME, question: view::QUESTION, run: view::run },
    Set { name: live::NAME, question: live::QUESTION, run: live::run },
    Set { name: command::NAME, question: command::QUESTION, run: command::run },
    Set { name: scaling::NAME, question: scaling::QUESTION, run: scaling::run },
    Set { name: instructions::NAME, question: instructions::QUESTION, run: instructions::run },
];
