//! Settings of your own in the style of the workspace: plain data, checked once.

use qstore_settings::{Codec, Compression, SettingError};

#[derive(Debug, Clone)]
struct ExportSettings {
    workers: usize,
    compression: Compression,
}

impl Default for ExportSettings {
    fn default() -> Self {
        Self { workers: 2, compression: Compression::ZSTD }
    }
}

impl ExportSettings {
    fn validate(&self) -> Result<(), SettingError> {
        SettingError::check("workers", self.workers, 1..=64, 2)?;
        if self.compression.codec == Codec::Snappy {
            return Err(SettingError::new("compression", self.compression, "zstd or none", "zstd"));
        }
        Ok(())
    }
}

fn main() {
    println!("{:?}", ExportSettings::default().validate());
    let wrong = ExportSettings { workers: 0, ..ExportSettings::default() };
    println!("{}", wrong.validate().expect_err("no worker at all"));
}
