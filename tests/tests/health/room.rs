//! A disk that is full, and one that takes no writes.

use std::io::Write;
use std::process::Command;

use governance_tests::program::User;

use super::{at_work, health, ill};

#[test]
#[ignore = "run by `a_full_disk_…` inside a small file system"]
fn in_a_small_file_system() {
    let user = at_work(User::default());
    let mut ballast = std::fs::File::create(user.path("ballast")).unwrap();
    for piece in [1 << 16, 1 << 12, 1] {
        while ballast.write_all(&vec![0; piece]).is_ok() {}
    }
    ill(&user, "disk", "unhealthy", "cannot be written to");
    drop(ballast);
    std::fs::remove_file(user.path("ballast")).unwrap();
    assert_eq!(health(&user).0, Some(0));
    let remount = |how: &str| {
        let folder = std::env::var("TMPDIR").unwrap();
        assert!(Command::new("mount").args(["-o", how, "none", &folder]).status().unwrap().success());
    };
    remount("remount,ro");
    ill(&user, "disk", "unhealthy", "cannot be written to");
    remount("remount,rw");
    assert_eq!(health(&user).0, Some(0));
    println!("told all");
}

#[test]
fn a_full_disk_and_one_that_takes_no_writes_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs -o size=96m none \"$1\" && exec \"$2\" --exact room::in_a_small_file_system --ignored --nocapture";
    let ran = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", script, "sh"])
        .args([folder.path(), &std::env::current_exe().unwrap()])
        .env("TMPDIR", folder.path())
        .output()
        .expect("`unshare` is missing: apt-get install util-linux");
    let told = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success() && told.contains("told all"), "{told}{}", String::from_utf8_lossy(&ran.stderr));
}
