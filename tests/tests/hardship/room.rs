//! A disk that fills up under a run.

use std::io::Write;
use std::process::Command;

use governance_tests::program::User;

use super::slow;

/// Takes all the room that is left.
fn fill(user: &User) {
    let mut ballast = std::fs::File::create(user.path("ballast")).unwrap();
    for piece in [1 << 16, 1 << 12, 1] {
        while ballast.write_all(&vec![0; piece]).is_ok() {}
    }
}

#[test]
#[ignore = "run by `a_disk_that_fills_up_under_a_run_…` inside a small file system"]
fn in_a_small_file_system() {
    for more in [[].as_slice(), &["--agents", "process"]] {
        let user = User::default();
        let run = slow(&user, more);
        fill(&user);
        let answer = run.end();
        answer.calm();
        assert_eq!(answer.code, Some(1), "{answer:?}");
        let error = answer.last_object()["error"].clone();
        let (code, message) = (error["code"].as_str().unwrap(), error["message"].as_str().unwrap());
        assert!(["disk_full", "store_full", "ledger_io", "store_io"].contains(&code), "{error}");
        assert!(message.contains("free") && message.contains("space"), "{message}");
        // Also who comes now is told, and nothing is begun.
        user.does(&["run", "Design a caching strategy"]).explains("free");
        user.verified();

        std::fs::remove_file(user.path("ballast")).unwrap();
        user.verified();
        assert_eq!(user.objects(&["pipeline", "list"]).len(), 1);
        let outcome = user.object(&["pipeline", "continue"]);
        assert_eq!(outcome["status"], "COMPLETED", "{outcome}");
        user.verified();
        assert_eq!(user.object(&["store", "check"])["housekeeping"]["overdue"], serde_json::json!([]));
    }
    println!("lost nothing");
}

#[test]
fn a_disk_that_fills_up_under_a_run_ends_it_with_an_error_and_it_goes_on_once_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs -o size=24m none \"$1\" && exec \"$2\" --exact room::in_a_small_file_system --ignored --nocapture";
    let ran = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", script, "sh"])
        .args([folder.path(), &std::env::current_exe().unwrap()])
        .env("TMPDIR", folder.path())
        .output()
        .expect("`unshare` is missing: apt-get install util-linux");
    let told = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success() && told.contains("lost nothing"), "{told}{}", String::from_utf8_lossy(&ran.stderr));
}
