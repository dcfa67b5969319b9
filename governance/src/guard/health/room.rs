//! Whether there is room on the disk of the home directory, and whether it can be written to.

use std::io::Write;
use std::path::Path;

use super::{Finding, HealthState};

/// With less than this nothing more is begun that might not be finished.
const LITTLE: u64 = 64 << 20;
/// With less than this somebody should look after it.
const ENOUGH: u64 = 1 << 30;
/// And with less than so many of a hundred parts.
const PERCENT: u64 = 5;

/// Looks at the disk; writes a small file, and removes it. Blocks.
#[must_use]
pub fn disk(home: &Path) -> Finding {
    let advice = "make room, or name another --home: nothing is governed that cannot be recorded";
    let probe = home.join(format!(".health-{}", std::process::id()));
    let written = std::fs::File::create(&probe).and_then(|mut file| {
        file.write_all(&[b'.'; 4096])?;
        file.sync_data()
    });
    let removed = std::fs::remove_file(&probe);
    if let Err(error) = written.and(removed) {
        return Finding::of(HealthState::Unhealthy, format!("`{}` cannot be written to: {error}", home.display()), advice);
    }
    let Ok(found) = rustix::fs::statvfs(home) else {
        return Finding::healthy("it can be written to; how much room there is is not known");
    };
    let (free, all) = (found.f_bavail.saturating_mul(found.f_frsize), found.f_blocks.saturating_mul(found.f_frsize));
    let reason = format!("{} MiB of {} MiB free", free >> 20, all >> 20);
    if free < LITTLE {
        Finding::of(HealthState::Unhealthy, reason, advice)
    } else if free < ENOUGH && free.saturating_mul(100) < all.saturating_mul(PERCENT) {
        Finding::of(HealthState::Degraded, reason, advice)
    } else {
        Finding::healthy(reason)
    }
}
