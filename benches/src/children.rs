//! What this program does when it is started as a child: one thing, whose result it prints.

use crate::{Result, checkpoint, command, end_to_end, instructions, live, parquet, view};

/// Given the arguments behind the word; what it returns is printed.
type Child = fn(&[String]) -> Result<String>;

const CHILDREN: [(&str, Child); 10] = [
    (command::watching::CHILD, command::watching::child),
    (checkpoint::load::CHILD, checkpoint::load::child),
    (parquet::long_runs::CHILD, parquet::long_runs::child),
    (parquet::processor_share::CHILD, parquet::processor_share::child),
    (parquet::wide::GROW, parquet::wide::grow_child),
    (parquet::wide::TRICKLE, parquet::wide::trickle_child),
    (end_to_end::CHILD, end_to_end::child),
    (instructions::CHILD, instructions::child),
    (view::CHILD, view::child),
    (live::CHILD, live::child),
];

/// Does what the first word says.
pub(crate) fn run(words: &[String]) -> Result {
    let [word, arguments @ ..] = words else { return Err("which child?".into()) };
    let child = CHILDREN.iter().find(|(name, _)| name == word);
    let (_, child) = child.ok_or_else(|| format!("there is no child `{word}`"))?;
    println!("{}", child(arguments)?);
    Ok(())
}
