use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::symlink;

use rustix::fs::FileType;

use super::*;

/// A root with files in it, beside what must not be reached.
fn world() -> (tempfile::TempDir, Root) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("house");
    fs::create_dir_all(root.join("docs/deep")).unwrap();
    fs::create_dir_all(root.join("tasks")).unwrap();
    fs::create_dir_all(folder.path().join("house-beside")).unwrap();
    fs::write(root.join("docs/a.md"), "inside").unwrap();
    fs::write(folder.path().join("secret"), "outside").unwrap();
    fs::write(folder.path().join("house-beside/secret"), "outside").unwrap();
    let root = Root::open(&root).unwrap();
    (folder, root)
}

fn place(root: &Root, asked: &str) -> Place {
    root.resolve(asked).unwrap().unwrap_or_else(|refused| panic!("`{asked}`: {}", refused.why))
}

fn refused(root: &Root, asked: &str) -> PathRefused {
    root.resolve(asked).unwrap().err().unwrap_or_else(|| panic!("`{asked}` was resolved"))
}

fn content(place: &Place) -> String {
    let mut text = String::new();
    place.read().unwrap().read_to_string(&mut text).unwrap();
    text
}

#[test]
fn a_plain_path_is_what_it_says() {
    let (_folder, root) = world();
    let found = place(&root, "docs/a.md");
    assert_eq!((found.relative(), found.is_as_asked(), found.exists(), found.is_folder()), ("docs/a.md", true, true, false));
    assert_eq!((content(&found), found.path()), ("inside".to_owned(), root.path().join("docs/a.md")));
    assert!(place(&root, "docs/deep").is_folder());
    assert_eq!((place(&root, ".").relative(), place(&root, ".").is_folder()), ("", true));
}

#[test]
fn detours_lead_to_one_path() {
    let (_folder, root) = world();
    let absolute = root.path().join("docs/a.md");
    for asked in ["./docs/a.md", "docs//a.md", "docs/./a.md", "docs/deep/../a.md", "tasks/../docs/a.md", absolute.to_str().unwrap()] {
        let found = place(&root, asked);
        assert_eq!((found.relative(), found.is_as_asked(), content(&found)), ("docs/a.md", false, "inside".to_owned()), "{asked}");
    }
    assert_eq!(place(&root, "docs/deep/").relative(), "docs/deep");
    assert_eq!(root.resolve("docs/a.md/").unwrap_err().code(), "file_missing");
    assert_eq!(root.resolve("docs/a.md/b").unwrap_err().code(), "file_missing");
}

#[test]
fn nothing_leads_above_the_root() {
    let (folder, root) = world();
    let beside = folder.path().join("house-beside/secret");
    let outside = ["..", "../secret", "docs/../../secret", "/etc/passwd", "/", beside.to_str().unwrap(), "../house/docs/a.md"];
    for asked in outside {
        assert_eq!(refused(&root, asked).violation, ViolationType::PathOutOfScope, "{asked}");
    }
    let around = format!("{}/../secret", root.path().display());
    assert_eq!(refused(&root, &around).violation, ViolationType::PathOutOfScope);
}

#[test]
fn a_link_is_followed_inside_and_nowhere_else() {
    let (folder, root) = world();
    let at = |name: &str| root.path().join(name);
    symlink("../docs", at("tasks/relative")).unwrap();
    symlink(at("docs"), at("tasks/absolute")).unwrap();
    symlink("a.md", at("docs/file")).unwrap();
    for asked in ["tasks/relative/a.md", "tasks/absolute/a.md", "tasks/relative/file", "docs/file"] {
        let found = place(&root, asked);
        assert_eq!((found.relative(), content(&found)), ("docs/a.md", "inside".to_owned()), "{asked}");
    }
    // After a link to a folder, `..` is the parent of where it leads.
    symlink("../docs/deep", at("tasks/deep")).unwrap();
    assert_eq!(place(&root, "tasks/deep/../a.md").relative(), "docs/a.md");
    symlink("../../secret", at("tasks/up")).unwrap();
    symlink(folder.path().join("secret"), at("tasks/out")).unwrap();
    symlink("/proc/self/root", at("tasks/proc")).unwrap();
    symlink("../tasks/out", at("docs/chain")).unwrap();
    symlink(folder.path(), at("tasks/folder")).unwrap();
    for asked in ["tasks/up", "tasks/out", "docs/chain", "tasks/folder/secret", "tasks/proc/etc/passwd"] {
        assert_eq!(refused(&root, asked).violation, ViolationType::PathOutOfScope, "{asked}");
    }
    symlink("b", at("tasks/a")).unwrap();
    symlink("a", at("tasks/b")).unwrap();
    assert!(refused(&root, "tasks/a").why.contains("circle"));
    // What a link leads to need not be there, but where it leads is what counts.
    symlink("../docs/new.md", at("tasks/dangling")).unwrap();
    let found = place(&root, "tasks/dangling");
    assert_eq!((found.relative(), found.exists()), ("docs/new.md", false));
    symlink("%2e%2e", at("tasks/odd")).unwrap();
    assert!(refused(&root, "tasks/odd").why.contains("percent"));
}

#[test]
fn what_is_spelled_so_that_it_could_be_read_otherwise_is_refused() {
    let (_folder, root) = world();
    let tricks = [
        ("docs/%2e%2e/secret", "percent"),
        ("docs%2fa.md", "percent"),
        ("docs/a.md\0.png", "NUL"),
        ("docs/a.md.", "dot"),
        ("docs/a.md ", "space"),
        ("docs\\..\\a.md", "backslash"),
        ("docs/e\u{301}.md", "NFC"),
        ("docs/gpj.\u{202e}dm.a", "direction"),
        ("docs/\u{200b}a.md", "not seen"),
        ("docs/.../a.md", "dot"),
        ("", "bytes"),
    ];
    for (asked, why) in tricks {
        let refused = refused(&root, asked);
        assert!(refused.why.contains(why) && refused.violation == ViolationType::ProcedureViolation, "{asked:?}: {refused:?}");
    }
    assert!(refused(&root, &"a/".repeat(3_000)).why.contains("4096"));
}

#[test]
fn another_case_is_another_file_or_the_same_and_is_told_as_it_is_asked() {
    let (_folder, root) = world();
    let found = place(&root, "docs/A.md");
    let same = fs::read(root.path().join("docs/A.md")).is_ok();
    assert_eq!((found.relative(), found.exists()), ("docs/A.md", same));
}

#[test]
fn the_last_part_may_be_missing_and_no_other() {
    let (_folder, root) = world();
    let new = place(&root, "tasks/new.md");
    assert!(!new.exists());
    assert_eq!(new.read().unwrap_err().code(), "file_missing");
    new.create().unwrap().write_all(b"new, and longer").unwrap();
    assert_eq!(new.create().unwrap_err().code(), "taken");
    place(&root, "tasks/new.md").write().unwrap().write_all(b"again").unwrap();
    assert_eq!(content(&new), "again");
    assert_eq!(root.resolve("nowhere/new.md").unwrap_err().code(), "file_missing");
    assert_eq!(root.resolve("nowhere/../docs/a.md").unwrap_err().code(), "file_missing", "as the system itself has it");
}

#[test]
fn who_replaces_what_was_resolved_leads_nobody_astray() {
    let (folder, root) = world();
    let (file, inside) = (place(&root, "docs/a.md"), place(&root, "docs/deep/new.md"));
    fs::remove_file(root.path().join("docs/a.md")).unwrap();
    symlink(folder.path().join("secret"), root.path().join("docs/a.md")).unwrap();
    assert_eq!(file.read().unwrap_err().code(), "not_a_file");
    assert_eq!(file.write().unwrap_err().code(), "not_a_file");
    // The folder on the way, too: the handle stays where it was.
    fs::rename(root.path().join("docs/deep"), root.path().join("docs/moved")).unwrap();
    symlink(folder.path(), root.path().join("docs/deep")).unwrap();
    inside.create().unwrap().write_all(b"x").unwrap();
    assert!(root.path().join("docs/moved/new.md").exists() && !folder.path().join("new.md").exists());
    assert_eq!(fs::read_to_string(folder.path().join("secret")).unwrap(), "outside");
}

#[test]
fn only_files_are_opened() {
    let (_folder, root) = world();
    rustix::fs::mknodat(rustix::fs::CWD, root.path().join("pipe"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    // Nobody is at the other end: this would wait for ever.
    assert_eq!(place(&root, "pipe").read().unwrap_err().code(), "not_a_file");
    assert_eq!(place(&root, "pipe").write().unwrap_err().code(), "not_a_file");
    assert_eq!(place(&root, "docs").read().unwrap_err().code(), "not_a_file");
    assert_eq!(Root::open(root.path().join("docs/a.md")).unwrap_err().code(), "no_root");
    assert_eq!(Root::open(root.path().join("none")).unwrap_err().code(), "no_root");
}
