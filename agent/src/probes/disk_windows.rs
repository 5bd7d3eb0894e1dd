//! Fixed volumes with a letter, from `GetLogicalDrives`, `GetDiskFreeSpaceEx` and
//! `GetVolumeInformation`.
//!
//! Holds: a drive that does not answer (locked by BitLocker, being dismounted) is left out.
//!
//! Does not: look at removable media and network drives, whose absence hangs whoever asks; give
//! inodes, which NTFS makes as it needs them.

use super::{ReadError, disk::Mounted, win32};

/// The volumes, as `C:/`: no identifier holds a backslash.
pub fn mounts() -> Result<Vec<Mounted>, ReadError> {
    let drives =
        win32::fixed_drives().map_err(|source| ReadError::Call { call: "GetLogicalDrives", source })?;
    let mounted = drives.into_iter().filter_map(|letter| {
        let volume = win32::volume(letter).ok()?;
        Some(Mounted {
            path: format!("{letter}:/"),
            total_bytes: volume.total,
            free_bytes: volume.free,
            available_bytes: volume.available,
            inodes: None,
            read_only: volume.read_only,
        })
    });
    Ok(mounted.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_own_volume_is_there() {
        let mounts = mounts().unwrap();
        let c = mounts.iter().find(|m| m.path == "C:/").unwrap();
        assert!(c.total_bytes >= c.free_bytes && c.free_bytes >= c.available_bytes, "{c:?}");
    }
}
