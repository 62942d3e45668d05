//! What is printed, and how: text that no name in a file can take over, tables that fit the screen, and one
//! JSON document per call. Nothing here knows a verb.

pub mod amount;
pub mod escape;
pub mod json;
pub mod moment;
pub mod table;
