//! Two writers want one name; one of them gets it, and both know which.

use qstore_objects::{Limits, MemoryObjects, Store, StoreError, Token, Written};
use std::sync::Arc;

fn main() -> Result<(), StoreError> {
    let store = Store::open(Arc::new(MemoryObjects::new()), Limits::default())?;
    for writer in ["first", "second"] {
        match store.create("claims/0001", writer.as_bytes(), &Token::random())? {
            Written::Committed { .. } => println!("the {writer} has it"),
            Written::Taken { .. } => println!("the {writer} does not"),
        }
    }
    Ok(())
}
