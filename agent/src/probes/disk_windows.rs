//! Local volumes where there is no `/proc`, through sysinfo.
//!
//! Does not: give inodes, or a quota of the user's own; what is free is available.

use super::{ReadError, disk::Mounted};
use sysinfo::{DiskRefreshKind, Disks};

/// The volumes, with `/` for the backslash that no identifier holds.
pub fn mounts() -> Result<Vec<Mounted>, ReadError> {
    let kind = DiskRefreshKind::nothing().with_storage();
    let disks =
        Disks::new_with_refreshed_list_specifics(kind).map_err(|_| ReadError::Form("the list of volumes"))?;
    let mounted = disks.iter().map(|disk| Mounted {
        path: disk.mount_point().to_string_lossy().replace('\\', "/"),
        total_bytes: disk.total_space(),
        free_bytes: disk.available_space(),
        available_bytes: disk.available_space(),
        inodes: None,
        read_only: disk.is_read_only(),
    });
    Ok(mounted.collect())
}
