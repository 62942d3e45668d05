//! Event files as TensorBoard reads them: records with masked checksums, each a protobuf message.
//!
//! A record is its length (8 bytes), a checksum of these, the message, and a checksum of that. Of the messages
//! only what carries scalars is known here: an event has a time (1), a step (2) and a summary (5), or the version
//! of the file (3); a summary has values (1); a value has a tag (1), and a number (2) or a tensor (8). This is the
//! format of `tensorflow/core/util/event.proto` and `framework/summary.proto`.

use qstore_schema::SmolStr;

/// What the first event of every file says.
pub(crate) const VERSION: &str = "brain.Event:2";
/// A longer record is not taken for one.
const RECORD_MAX: u64 = 1 << 30;

/// One event that carries scalars.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Event {
    /// Seconds since 1970.
    pub(crate) wall_time: f64,
    /// The step.
    pub(crate) step: i64,
    /// Names and numbers.
    pub(crate) scalars: Vec<(SmolStr, f64)>,
    /// The version of the file, in its first event.
    pub(crate) version: Option<SmolStr>,
    /// Values that are not scalars: images, histograms.
    pub(crate) others: usize,
}

/// What is wrong with a file of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    /// The file ends within a record, as after a kill.
    CutOff,
    /// The bytes are not those that were written.
    Checksum,
    /// A message cannot be parsed.
    Message,
}

impl Event {
    /// The event as a record.
    pub(crate) fn record(&self) -> Vec<u8> {
        let message = self.message();
        let length = (message.len() as u64).to_le_bytes();
        let mut record = Vec::new();
        record.extend(length);
        record.extend(masked(&length).to_le_bytes());
        record.extend(&message);
        record.extend(masked(&message).to_le_bytes());
        record
    }

    fn message(&self) -> Vec<u8> {
        let mut event = Vec::new();
        event.push(1 << 3 | 1);
        event.extend(self.wall_time.to_le_bytes());
        if self.step != 0 {
            event.push(2 << 3);
            push_varint(&mut event, self.step as u64);
        }
        if let Some(version) = &self.version {
            push_bytes(&mut event, 3, version.as_bytes());
        }
        if !self.scalars.is_empty() {
            let mut summary = Vec::new();
            for (tag, value) in &self.scalars {
                let mut scalar = Vec::new();
                push_bytes(&mut scalar, 1, tag.as_bytes());
                scalar.push(2 << 3 | 5);
                scalar.extend((*value as f32).to_le_bytes());
                push_bytes(&mut summary, 1, &scalar);
            }
            push_bytes(&mut event, 5, &summary);
        }
        event
    }

    fn parse(message: &[u8]) -> Option<Self> {
        let mut event = Self::default();
        for field in Fields(message) {
            match field? {
                (1, Wire::Fixed64(bits)) => event.wall_time = f64::from_bits(bits),
                (2, Wire::Varint(step)) => event.step = step as i64,
                (3, Wire::Bytes(version)) => {
                    event.version = Some(str::from_utf8(version).ok()?.into());
                }
                (5, Wire::Bytes(summary)) => event.read_summary(summary)?,
                _ => {}
            }
        }
        Some(event)
    }

    fn read_summary(&mut self, summary: &[u8]) -> Option<()> {
        for field in Fields(summary) {
            let (1, Wire::Bytes(value)) = field? else { continue };
            let (mut tag, mut number) = (None, None);
            for field in Fields(value) {
                match field? {
                    (1, Wire::Bytes(name)) => tag = Some(str::from_utf8(name).ok()?),
                    (2, Wire::Fixed32(bits)) => number = Some(f32::from_bits(bits).into()),
                    (8, Wire::Bytes(tensor)) => number = scalar_of(tensor),
                    _ => {}
                }
            }
            match (tag, number) {
                (Some(tag), Some(number)) => self.scalars.push((tag.into(), number)),
                _ => self.others += 1,
            }
        }
        Some(())
    }
}

/// The events of a file, in order. The first that is broken is the last.
pub(crate) struct Events<'a> {
    bytes: &'a [u8],
    is_over: bool,
}

impl<'a> Events<'a> {
    pub(crate) fn of(bytes: &'a [u8]) -> Self {
        Self { bytes, is_over: false }
    }

    fn read(&mut self) -> Result<Event, Broken> {
        let (length, rest) = self.bytes.split_first_chunk::<8>().ok_or(Broken::CutOff)?;
        let (check, rest) = rest.split_first_chunk::<4>().ok_or(Broken::CutOff)?;
        if u32::from_le_bytes(*check) != masked(length) {
            return Err(Broken::Checksum);
        }
        let length = u64::from_le_bytes(*length);
        if length > RECORD_MAX {
            return Err(Broken::Message);
        }
        let (message, rest) = rest.split_at_checked(length as usize).ok_or(Broken::CutOff)?;
        let (check, rest) = rest.split_first_chunk::<4>().ok_or(Broken::CutOff)?;
        if u32::from_le_bytes(*check) != masked(message) {
            return Err(Broken::Checksum);
        }
        self.bytes = rest;
        Event::parse(message).ok_or(Broken::Message)
    }
}

impl Iterator for Events<'_> {
    type Item = Result<Event, Broken>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.bytes.is_empty() || self.is_over {
            return None;
        }
        let event = self.read();
        self.is_over = event.is_err();
        Some(event)
    }
}

/// The checksum of a record: CRC-32C, rotated, so that a checksum of bytes with checksums in them is none of them.
fn masked(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

fn push_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn push_bytes(bytes: &mut Vec<u8>, field: u8, value: &[u8]) {
    bytes.push(field << 3 | 2);
    push_varint(bytes, value.len() as u64);
    bytes.extend(value);
}

/// A field of a message.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Wire<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32(u32),
}

/// The fields of a message, with their numbers; `None` where it cannot be parsed.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn field(&mut self) -> Option<(u64, Wire<'a>)> {
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Wire::Varint(self.varint()?),
            1 => {
                let (bytes, rest) = self.0.split_first_chunk::<8>()?;
                self.0 = rest;
                Wire::Fixed64(u64::from_le_bytes(*bytes))
            }
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                let (bytes, rest) = self.0.split_at_checked(length)?;
                self.0 = rest;
                Wire::Bytes(bytes)
            }
            5 => {
                let (bytes, rest) = self.0.split_first_chunk::<4>()?;
                self.0 = rest;
                Wire::Fixed32(u32::from_le_bytes(*bytes))
            }
            _ => return None,
        };
        Some((key >> 3, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Option<(u64, Wire<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field)
    }
}

/// The number in a tensor with one element: of type float (1), double (2), int32 (3) or int64 (9), either as raw bytes
/// (4) or in the list for its type (5, 6, 7, 10), which may be packed.
fn scalar_of(tensor: &[u8]) -> Option<f64> {
    let (mut dtype, mut raw, mut listed) = (0, None, None);
    for field in Fields(tensor) {
        match field? {
            (1, Wire::Varint(found)) => dtype = found,
            // A shape with dimensions is that of an image or a histogram.
            (2, Wire::Bytes(shape)) if !shape.is_empty() => return None,
            (4, Wire::Bytes(bytes)) if !bytes.is_empty() => raw = Some(bytes),
            (5, Wire::Fixed32(bits)) => listed = Some(f64::from(f32::from_bits(bits))),
            (6, Wire::Fixed64(bits)) => listed = Some(f64::from_bits(bits)),
            (7 | 10, Wire::Varint(value)) => listed = Some(value as i64 as f64),
            (5 | 6, Wire::Bytes(bytes)) => raw = Some(bytes),
            (7 | 10, Wire::Bytes(bytes)) => {
                listed = Fields(bytes).varint().map(|value| value as i64 as f64);
            }
            _ => {}
        }
    }
    let Some(raw) = raw else { return listed };
    match dtype {
        1 => Some(f32::from_le_bytes(raw.try_into().ok()?).into()),
        2 => Some(f64::from_le_bytes(raw.try_into().ok()?)),
        3 => Some(i32::from_le_bytes(raw.try_into().ok()?).into()),
        9 => Some(i64::from_le_bytes(raw.try_into().ok()?) as f64),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
    }

    /// Two records that TensorBoard's own writer made of the same events.
    #[test]
    fn records_are_those_of_tensorboard() {
        let first = Event { wall_time: 1.5, version: Some(VERSION.into()), ..Event::default() };
        assert_eq!(
            hex(&first.record()),
            "1800000000000000a37f4b2209000000000000f83f1a0d627261696e2e4576656e743a322a28646c"
        );
        let scalars = vec![("loss".into(), 0.25)];
        let scalar = Event { wall_time: 2.5, step: 7, scalars, ..Event::default() };
        assert_eq!(
            hex(&scalar.record()),
            "1a00000000000000129bd82d09000000000000044010072a0d0a0b0a046c6f7373150000803ea884b989"
        );
        let both = [first.record(), scalar.record()].concat();
        assert_eq!(Events::of(&both).collect::<Vec<_>>(), [Ok(first), Ok(scalar)]);
    }

    #[test]
    fn a_scalar_may_be_a_tensor() {
        let float = [&[8, 1, 0x12, 0, 0x2d][..], &1.5_f32.to_le_bytes()].concat();
        assert_eq!(scalar_of(&float), Some(1.5));
        let raw = [&[8, 2, 0x22, 8][..], &0.1_f64.to_le_bytes()].concat();
        assert_eq!(scalar_of(&raw), Some(0.1));
        let packed = [&[8, 1, 0x2a, 4][..], &2.5_f32.to_le_bytes()].concat();
        assert_eq!(scalar_of(&packed), Some(2.5));
        assert_eq!(scalar_of(&[8, 9, 0x52, 1, 7]), Some(7.0));
        // One dimension of three elements.
        assert_eq!(scalar_of(&[8, 1, 0x12, 4, 0x12, 2, 8, 3]), None);
    }

    #[test]
    fn damage_ends_the_file() {
        let event = |step| Event { step, scalars: vec![("a".into(), 0.5)], ..Event::default() };
        let records = [event(1).record(), event(2).record()].concat();
        let read = |bytes: &[u8]| Events::of(bytes).collect::<Vec<_>>();
        assert_eq!(read(&records), [Ok(event(1)), Ok(event(2))]);
        for cut in records.len() / 2 + 1..records.len() {
            assert_eq!(read(&records[..cut]), [Ok(event(1)), Err(Broken::CutOff)], "{cut}");
        }
        let mut flipped = records;
        flipped[16] ^= 1;
        assert_eq!(read(&flipped), [Err(Broken::Checksum)]);
    }

    proptest! {
        #[test]
        fn events_are_read_back(
            wall_time in any::<f64>(), step in any::<i64>(),
            scalars in prop::collection::vec((".{0,20}", any::<f32>()), 0..4),
        ) {
            let scalars = scalars.into_iter().map(|(tag, value)| (tag.into(), value.into()));
            let event = Event { wall_time, step, scalars: scalars.collect(), ..Event::default() };
            let record = event.record();
            let read = Events::of(&record).next().unwrap().unwrap();
            prop_assert_eq!(format!("{:?}", read), format!("{event:?}"));
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            prop_assert!(Events::of(&bytes).count() <= 80);
            let _ = (Event::parse(&bytes), scalar_of(&bytes));
        }
    }
}
