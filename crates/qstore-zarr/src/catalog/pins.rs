//! Pins: `epoch_0042.pin` beside a checkpoint keeps it. It is an empty document, so that one can be
//! created or removed by hand as well.

use crate::catalog::Catalog;
use qstore_checkpoint::LoadError;

pub(crate) fn pin(catalog: &Catalog, number: u64) -> Result<(), LoadError> {
    let name = catalog.counter()?.pin_of(number);
    let _exclusion = catalog.repository.exclude()?; // not in the middle of a retention
    catalog.repository.create(&name, b"")?;
    Ok(())
}

pub(crate) fn unpin(catalog: &Catalog, number: u64) -> Result<(), LoadError> {
    let name = catalog.counter()?.pin_of(number);
    let _exclusion = catalog.repository.exclude()?;
    drop(catalog.repository.remove(&[name])?);
    Ok(())
}
