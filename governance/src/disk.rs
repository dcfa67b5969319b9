//! What a file lies on, how it is read, and which process has files open.

pub(crate) mod reading;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Result};

// How many SQLite files are open, and by which process: `pid << 32 | count`. An atomic, because a fork finds every lock as it is.
static OPENED: AtomicU64 = AtomicU64::new(0);

/// Shows that this process has an SQLite file open.
///
/// SQLite keeps its locks by process, and a forked child inherits what its parent's connections believed to hold without holding it: with
/// the same file opened again in the child, each could remove the log under the other. So a child opens nothing while it bears such ghosts.
#[derive(Debug)]
pub(crate) struct Opened(());

impl Opened {
    pub fn claim() -> Result<Self> {
        let pid = std::process::id();
        let count = |held: u64| (held >> 32 == u64::from(pid) || held & COUNT == 0).then(|| u64::from(pid) << 32 | ((held & COUNT) + 1));
        let claimed = OPENED.fetch_update(Ordering::Relaxed, Ordering::Relaxed, count);
        claimed.map(|_| Self(())).map_err(|held| {
            let message = "this process was forked from one that had governed files open, whose locks a fork does not carry over: close \
                           them before forking, open them only in the children, or start the children afresh (`spawn`)";
            Error::invalid("forked", message).with("parent", (held >> 32).to_string())
        })
    }
}

/// Waits until this process has closed every SQLite file, but no longer: whoever closes one last puts its log into it, and a process that ends before leaves
/// that to the next. Whether it has.
#[cfg(feature = "cli")]
pub(crate) fn all_closed(within: std::time::Duration) -> bool {
    const LOOK: std::time::Duration = std::time::Duration::from_millis(1);
    for _ in 0..within.as_millis() {
        if OPENED.load(Ordering::Relaxed) & COUNT == 0 {
            return true;
        }
        std::thread::sleep(LOOK);
    }
    false
}

const COUNT: u64 = u32::MAX as u64;

impl Drop for Opened {
    fn drop(&mut self) {
        let ours = |held: u64| (held >> 32 == u64::from(std::process::id())).then(|| held - 1);
        // Another process's count is not ours to lower.
        let _ = OPENED.fetch_update(Ordering::Relaxed, Ordering::Relaxed, ours);
    }
}

/// Refuses a path on a network file system, where file locks and shared memory do not hold between machines. The path need not exist yet.
pub(crate) fn refuse_network_file_system(path: &Path) -> Result<()> {
    let Some(system) = network_file_system(path) else { return Ok(()) };
    let message = format!(
        "`{}` is on a network file system ({system}), where file locks cannot be trusted: use a local disk, or a server that every host reaches",
        path.display()
    );
    Err(Error::invalid("network_file_system", message).with("file_system", system))
}

#[cfg(not(target_os = "linux"))]
fn network_file_system(_: &Path) -> Option<&'static str> {
    None
}

/// The name of the network file system that a path is on, or that its nearest existing ancestor is on.
#[cfg(target_os = "linux")]
fn network_file_system(path: &Path) -> Option<&'static str> {
    let ancestors = path.ancestors().map(|a| if a.as_os_str().is_empty() { Path::new(".") } else { a });
    let found = ancestors.into_iter().find_map(|ancestor| Some((ancestor, rustix::fs::statfs(ancestor).ok()?)));
    let (ancestor, found) = found?;
    // The constants are those of the kernel's `magic.h`; some are negative where the field is signed and narrow.
    match u32::try_from(u64::try_from(found.f_type).unwrap_or_default() & 0xffff_ffff).unwrap_or_default() {
        0x6969 => Some("nfs"),
        0x517b => Some("smb"),
        0xfe53_4d42 => Some("smb2"),
        0xff53_4d42 => Some("cifs"),
        0x0102_1997 => Some("9p"),
        0x00c3_6400 => Some("ceph"),
        0x7375_7245 => Some("coda"),
        0x564c => Some("ncp"),
        0x5346_414f => Some("afs"),
        0x0bd0_0bd0 => Some("lustre"),
        0x4750_4653 => Some("gpfs"),
        0x1983_0326 => Some("beegfs"),
        0x0116_1970 => Some("gfs2"),
        0x7461_636f => Some("ocfs2"),
        0x786f_4256 => Some("vboxsf"),
        0xbacb_acbc => Some("vmhgfs"),
        0x6573_5546 => fuse(ancestor),
        _ => None,
    }
}

/// FUSE says only in the mount table what it carries.
#[cfg(target_os = "linux")]
fn fuse(path: &Path) -> Option<&'static str> {
    use std::os::unix::fs::MetadataExt;

    const LOCAL: &[&str] = &["fuseblk", "virtiofs", "fuse.fuse-overlayfs", "fuse.gocryptfs", "fuse.encfs", "fuse.bindfs", "fuse.ntfs-3g"];
    let device = std::fs::metadata(path).ok()?.dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let carried = table.lines().filter(|line| line.split(' ').nth(2) == Some(&format!("{major}:{minor}"))).find_map(|line| {
        let (_, after) = line.split_once(" - ")?;
        after.split(' ').next()
    });
    (!carried.is_some_and(|name| LOCAL.contains(&name))).then_some("fuse")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_local_disk_is_accepted_also_for_a_path_that_does_not_exist_yet() {
        refuse_network_file_system(Path::new("/tmp/not/there/yet.db")).unwrap();
        refuse_network_file_system(Path::new("relative.db")).unwrap();
    }
}
