//! The operations of a file system, by name: what an error says was tried.

use std::fmt;

/// A method of [`FileSystem`](crate::FileSystem) or [`FileHandle`](crate::FileHandle).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[allow(missing_docs)] // each is named after its method
pub enum Operation {
    Create,
    Open,
    Write,
    Read,
    Resize,
    Sync,
    SyncDir,
    CreateDir,
    List,
    Inspect,
    Link,
    Rename,
    RenameNew,
    Exchange,
    Remove,
    SetMode,
    Lock,
    Claim,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "create",
            Self::Open => "open",
            Self::Write => "write to",
            Self::Read => "read from",
            Self::Resize => "resize",
            Self::Sync => "sync",
            Self::SyncDir => "sync directory",
            Self::CreateDir => "create directory",
            Self::List => "list directory",
            Self::Inspect => "inspect",
            Self::Link => "link to",
            Self::Rename => "rename to",
            Self::RenameNew => "rename to the free name",
            Self::Exchange => "exchange",
            Self::Remove => "remove",
            Self::SetMode => "set the mode of",
            Self::Lock => "lock",
            Self::Claim => "claim",
        })
    }
}
