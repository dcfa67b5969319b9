//! Which process this is. A fork has its parent's memory and is another process: what the parent holds is not its to use.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// This process's id.
///
/// Asked for with each entry of the ledger, so it is kept in a page of memory that the kernel empties for a fork; where there is no such page, each
/// question is a system call, which costs as much as reading a clock five times.
#[must_use]
pub fn id() -> u32 {
    static KEPT: OnceLock<Option<&'static AtomicU32>> = OnceLock::new();
    let Some(kept) = KEPT.get_or_init(page) else { return std::process::id() };
    match kept.load(Ordering::Relaxed) {
        0 => {
            let id = std::process::id();
            kept.store(id, Ordering::Relaxed);
            id
        }
        id => id,
    }
}

/// A number that is 0 again in a fork.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "memory that a fork does not inherit can be had from the kernel alone")]
fn page() -> Option<&'static AtomicU32> {
    use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous};
    const SIZE: usize = size_of::<AtomicU32>();
    // SAFETY: a mapping of its own, zeroed, aligned to a page and never unmapped, so that the number lives as long as the process.
    unsafe {
        let page = mmap_anonymous(std::ptr::null_mut(), SIZE, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE).ok()?;
        madvise(page, SIZE, Advice::LinuxWipeOnFork).ok()?;
        Some(AtomicU32::from_ptr(page.cast()))
    }
}

#[cfg(not(target_os = "linux"))]
fn page() -> Option<&'static AtomicU32> {
    None
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_is_the_systems_own() {
        assert_eq!((super::id(), super::id()), (std::process::id(), std::process::id()));
    }
}
