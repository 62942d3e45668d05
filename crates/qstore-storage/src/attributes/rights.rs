//! Who may do what with a file: the three classes of its mode, or a POSIX access list.

/// Read 4, write 2, execute 1.
type Bits = u16;
const ALL: Bits = 7;

/// The version of the form in which the system stores access lists.
const VERSION: u32 = 2;

/// The rights to a file. Without a mask there are no named entries, and they are just a mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rights {
    pub(super) owner: Bits,
    pub(super) group: Bits,
    pub(super) other: Bits,
    /// The most that anyone but the owner and the others may do, if there is an access list.
    pub(super) mask: Option<Bits>,
    pub(super) named: Vec<Named>,
}

/// An entry for one user or group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) is_group: bool,
    pub(super) bits: Bits,
    pub(super) id: u32,
}

impl Rights {
    /// Of a file with that mode, and that access list, as the system stores it, if it has one.
    pub(super) fn of(mode: u32, list: Option<Vec<u8>>) -> Self {
        list.and_then(|list| Self::parse(&list)).unwrap_or_else(|| Self::of_mode(mode))
    }

    pub(super) fn of_mode(mode: u32) -> Self {
        let class = |shift: u32| (mode >> shift) as Bits & ALL;
        let (owner, group, other) = (class(6), class(3), class(0));
        Self { owner, group, other, mask: None, named: Vec::new() }
    }

    pub(super) fn parse(list: &[u8]) -> Option<Self> {
        let mut rights = Self::of_mode(0);
        let entries = list.strip_prefix(&VERSION.to_le_bytes())?.chunks_exact(8);
        for entry in entries {
            let tag = u16::from_le_bytes([entry[0], entry[1]]);
            let bits = u16::from_le_bytes([entry[2], entry[3]]) & ALL;
            let id = u32::from_le_bytes([entry[4], entry[5], entry[6], entry[7]]);
            match tag {
                0x01 => rights.owner = bits,
                0x02 | 0x08 => rights.named.push(Named { is_group: tag == 0x08, bits, id }),
                0x04 => rights.group = bits,
                0x10 => rights.mask = Some(bits),
                0x20 => rights.other = bits,
                _ => return None,
            }
        }
        Some(rights)
    }

    /// The access list as the system stores it; `None` for a mode.
    pub(super) fn list(&self) -> Option<Vec<u8>> {
        const NOBODY: u32 = u32::MAX;
        let mask = self.mask?;
        let mut list = VERSION.to_le_bytes().to_vec();
        let mut push = |tag: u16, bits: Bits, id: u32| {
            list.extend_from_slice(&tag.to_le_bytes());
            list.extend_from_slice(&bits.to_le_bytes());
            list.extend_from_slice(&id.to_le_bytes());
        };
        let of = |is_group| self.named.iter().filter(move |one| one.is_group == is_group);
        push(0x01, self.owner, NOBODY);
        of(false).for_each(|one| push(0x02, one.bits, one.id));
        push(0x04, self.group, NOBODY);
        of(true).for_each(|one| push(0x08, one.bits, one.id));
        push(0x10, mask, NOBODY);
        push(0x20, self.other, NOBODY);
        Some(list)
    }

    /// The nine bits of the mode. With an access list those in the middle are its mask.
    pub(super) fn mode(&self) -> u32 {
        let middle = self.mask.unwrap_or(self.group);
        u32::from(self.owner) << 6 | u32::from(middle) << 3 | u32::from(self.other)
    }

    /// The same for a file whose owner or group is another one, such that nobody but the new owner can do
    /// more than before.
    ///
    /// Members of the former group become others, who so get no more than the group had; members of the
    /// new group were others, and get no more than those had, or nothing where entries by name may have
    /// kept them out. The former owner may be in any class now.
    pub(super) fn narrowed(mut self, is_same_owner: bool, is_same_group: bool) -> Self {
        let group = self.group & self.mask.unwrap_or(ALL);
        if !is_same_group {
            self.group = if self.mask.is_some() { 0 } else { group & self.other };
            self.other &= group;
        }
        if !is_same_owner {
            match &mut self.mask {
                Some(mask) => *mask &= self.owner,
                None => self.group &= self.owner,
            }
            self.other &= self.owner;
        }
        self
    }

    /// The rights after `write` has written the access list, `None` to remove it. Where that fails, the list
    /// is done without: what it gave by name is gone, and what it kept from anyone is kept from all.
    pub(super) fn written(self, write: impl Fn(Option<&[u8]>) -> bool) -> Self {
        let list = self.list();
        if write(list.as_deref()) {
            return self;
        }
        let mask = self.mask.unwrap_or(ALL);
        let by_name = self.named.iter().fold(ALL, |all, one| all & one.bits & mask);
        let _ = write(None);
        // A list that could not be removed is without effect as long as the middle bits are unset.
        let other = self.other & self.group & mask & by_name;
        Self { owner: self.owner, group: 0, other, mask: None, named: Vec::new() }
    }
}
