//! Which disks shared files may lie on: file locks and shared memory must hold between processes.

use std::path::Path;

use crate::error::{Error, Result};

/// Refuses a directory on a network file system: locks and shared memory do not hold there, and the record would be damaged.
pub(crate) fn refuse_network_file_system(directory: &Path) -> Result<()> {
    #[cfg(target_os = "linux")]
    if let Ok(found) = rustix::fs::statfs(directory)
        && let Some(name) = network_name(magic(i128::from(found.f_type)))
    {
        let shown = directory.display();
        let message = format!(
            "`{shown}` lies on a network file system ({name}), where file locks do not hold: use a directory on a local disk, or a server for what is shared"
        );
        return Err(Error::invalid("network_file_system", message).with("file_system", name));
    }
    Ok(())
}

/// The low 32 bits of a file system's magic number, whatever width and sign the machine gives it.
fn magic(word: i128) -> u32 {
    u32::try_from(word & 0xffff_ffff).unwrap_or(0)
}

/// The name of a network file system, by the magic numbers of `statfs(2)`.
fn network_name(magic: u32) -> Option<&'static str> {
    Some(match magic {
        0x6969 => "nfs",
        0x517b => "smb",
        0xff53_4d42 | 0xfe53_4d42 => "cifs",
        // sshfs, s3fs, gluster: all show the same number.
        0x6573_5546 => "fuse",
        0x0102_1997 => "9p",
        0x5346_414f | 0x6b41_4653 => "afs",
        0x00c3_6400 => "ceph",
        0x7375_7245 => "coda",
        0x564c => "ncp",
        0x0bd0_0bd0 => "lustre",
        0x4750_4653 => "gpfs",
        0x7461_636f => "ocfs2",
        0x0116_1970 => "gfs2",
        0x1983_0326 => "beegfs",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_are_known_by_their_numbers_and_local_ones_pass() {
        assert_eq!(network_name(magic(0x6969)), Some("nfs"));
        assert_eq!(network_name(magic(i128::from(0xff53_4d42_u32.cast_signed()))), Some("cifs"));
        for local in [0xef53, 0x9123_683e, 0x5846_5342, 0x0102_1994, 0x794c_7630, 0x2fc1_2fc1] {
            assert_eq!(network_name(local), None, "{local:x}");
        }
        assert!(refuse_network_file_system(Path::new("/")).is_ok());
    }
}
