//! Pins: `epoch_0042.pin` next to a checkpoint keeps it. A pin is an empty document, so that it can also
//! be created or removed by hand.

use crate::catalog::Catalog;
use qstore_checkpoint::LoadError;

pub(crate) fn pin(catalog: &Catalog, number: u64) -> Result<(), LoadError> {
    let name = catalog.counter()?.pin_of(number);
    let _exclusion = catalog.repository.exclude()?; // not during retention
    catalog.repository.create(&name, b"")?;
    Ok(())
}

pub(crate) fn unpin(catalog: &Catalog, number: u64) -> Result<(), LoadError> {
    let name = catalog.counter()?.pin_of(number);
    let _exclusion = catalog.repository.exclude()?;
    drop(catalog.repository.remove(&[name])?);
    Ok(())
}
