//! The house, floor by floor: a room uses only the floors below it, or itself. And each error that it can show is explained, each test that the
//! documentation names is there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Every room and its floor, the ground first.
const FLOORS: &[(&str, &[&str])] = &[
    ("ground", &["vocabulary", "error", "machine", "process"]),
    ("floor 0", &["disk", "store", "ledger", "vault", "llm"]),
    ("floor 1", &["coordination"]),
    ("floor 2", &["guard"]),
    ("floor 3", &["agent"]),
    ("floor 4", &["orchestrator", "pipeline"]),
    ("floor 5", &["ops"]),
    // Certifies what is below the roof, and nothing below the roof uses it.
    ("under the roof", &["testing"]),
    ("roof", &["governance", "config", "cli", "server", "bin", "lib"]),
];

/// Doors between rooms of one floor, each with what may pass.
const DOORS: &[(&str, &str)] = &[
    ("vocabulary", "error::"),
    ("error", "vocabulary::"),
    ("ledger", "store::Witness"),
    ("ledger", "disk::"),
    ("store", "disk::"),
    ("governance", ""),
    ("config", ""),
    ("cli", ""),
    ("server", ""),
    ("bin", ""),
    ("lib", ""),
];

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|(_, rooms)| rooms.contains(&room))
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    written_in("rs", folder, found);
}

fn written_in(language: &str, folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            written_in(language, &path, found);
        } else if path.extension().is_some_and(|end| end == language) {
            found.push(path);
        }
    }
}

/// The code of a file: no comments, no tests, no texts, on one line each.
fn code(text: &str) -> String {
    let without_tests = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = without_tests.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join(" ").split_whitespace().collect::<Vec<_>>().join(" ").replace(":: ", "::").replace("{ ", "{")
}

/// Every path that begins at the crate's root, with braces opened one level.
fn paths(code: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(list) = rest.strip_prefix('{') {
            let mut depth = 0;
            let whole = list.char_indices().find(|(_, c)| {
                depth += i32::from(*c == '{') - i32::from(*c == '}');
                depth < 0
            });
            paths.extend(split(&list[..whole.map_or(list.len(), |(end, _)| end)]));
        } else {
            paths.push(word(rest));
        }
    }
    paths
}

fn split(list: &str) -> Vec<String> {
    let mut depth = 0;
    let parts = list.split(move |c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && depth == 0
    });
    parts.map(|part| word(part.trim())).filter(|part| !part.is_empty()).collect()
}

/// A path until its end; of `a::{b, c}` only `a::`, with what follows kept for the doors.
fn word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || matches!(c, '_' | ':')).collect()
}

/// The room that `super::…` leads to from a file, where it leads out of its own.
fn above(inside: &Path, code: &str) -> Vec<String> {
    // `a/mod.rs` is the module `a`, `a/b.rs` the module `a::b`.
    let deep = inside.components().count() - usize::from(inside.ends_with("mod.rs"));
    let climb = "super::".repeat(deep);
    code.match_indices(&climb)
        .filter(|(at, _)| deep > 0 && !code[..*at].ends_with("::"))
        .map(|(at, _)| word(&code[at + climb.len()..]))
        .collect()
}

fn may(from: &str, path: &str) -> Result<(), String> {
    let to = path.split("::").next().unwrap_or_default();
    // What the crate's root names again belongs to the room it comes from; the library itself writes whole paths.
    let (Some(here), Some(there)) = (floor(from), floor(to)) else {
        return Err(format!("`{from}` uses `crate::{path}`, which is no room: name the room"));
    };
    let door = DOORS.iter().any(|(room, what)| *room == from && path.starts_with(what) && here == there);
    if from == to || there < here || door {
        return Ok(());
    }
    Err(format!("`{from}` ({}) reaches up to `crate::{path}` ({})", FLOORS[here].0, FLOORS[there].0))
}

#[test]
fn no_room_reaches_up_a_floor() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../governance/src");
    let mut files = Vec::new();
    sources(&source, &mut files);
    let (mut wrong, mut rooms, mut uses) = (BTreeSet::new(), BTreeSet::new(), 0);
    for file in files {
        let inside = file.strip_prefix(&source).unwrap().to_owned();
        // A module's tests may look at anything.
        if inside.to_string_lossy().ends_with("_tests.rs") {
            continue;
        }
        let room = inside.components().next().unwrap().as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned();
        let code = code(&std::fs::read_to_string(&file).unwrap());
        if floor(&room).is_none() {
            wrong.insert(format!("`{room}` has no floor: give it one here and in the design"));
            continue;
        }
        for path in paths(&code).into_iter().chain(above(&inside, &code)) {
            uses += 1;
            if let Err(why) = may(&room, &path) {
                wrong.insert(format!("{}: {why}", inside.display()));
            }
        }
        rooms.insert(room);
    }
    assert!(rooms.len() > 10 && uses > 200, "the walk saw {} rooms and {uses} uses: it is blind", rooms.len());
    assert!(wrong.is_empty(), "{}", wrong.into_iter().collect::<Vec<_>>().join("\n"));
}

/// The codes that errors are made with.
fn codes(code: &str) -> Vec<String> {
    let made = ["Error::invalid(", "Error::unavailable(", "Error::corrupt("].iter().flat_map(|made| code.split(made).skip(1));
    let kinds = code.split("ErrorKind::").skip(1).filter_map(|rest| rest.split_once(',')).filter(|(kind, _)| word(kind) == *kind);
    let named = kinds.map(|(_, rest)| rest).chain(made).filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next());
    named.map(str::to_owned).filter(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '_')).collect()
}

#[test]
fn operators_are_told_what_each_error_asks_of_them() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let told = std::fs::read_to_string(top.join("docs/operations.md")).unwrap();
    let (source, mut files) = (top.join("governance/src"), Vec::new());
    sources(&source, &mut files);
    files.retain(|file| !file.strip_prefix(&source).unwrap().to_string_lossy().contains("test"));
    let texts = files.iter().map(|file| code(&std::fs::read_to_string(file).unwrap()));
    let found: BTreeSet<String> = texts.flat_map(|text| codes(&text)).collect();
    assert!(found.len() > 100, "the walk saw {} codes: it is blind", found.len());
    let untold: Vec<_> = found.iter().filter(|code| !told.contains(&format!("`{code}`"))).collect();
    assert!(untold.is_empty(), "docs/operations.md does not say what these ask of an operator: {untold:?}");
    assert_eq!(codes("Error::new(ErrorKind::Denied, \"a\", x); Error::corrupt( \"b\", \"no code\")"), ["a", "b"]);
}

/// The tests that a text names as `file::test`.
fn tests_in(text: &str) -> Vec<(&str, &str)> {
    let named = text.split('`').skip(1).step_by(2).filter_map(|code| code.split_once("::"));
    named.filter(|(file, _)| file.ends_with(".rs") || file.ends_with(".py")).collect()
}

#[test]
fn every_test_that_the_page_on_security_names_is_there() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = std::fs::read_to_string(top.join("docs/security.md")).unwrap();
    let mut files = Vec::new();
    sources(&top.join("governance/src"), &mut files);
    sources(&top.join("tests/tests"), &mut files);
    written_in("py", &top.join("governance-py/tests"), &mut files);
    let texts: Vec<_> = files.iter().map(|file| (file, std::fs::read_to_string(file).unwrap())).collect();
    let is_there = |file: &str, test: &str| {
        let begins = ["fn ", "def "].map(|word| format!("{word}{test}("));
        texts.iter().any(|(path, text)| path.ends_with(file) && begins.iter().any(|begin| text.contains(begin)))
    };
    let named = tests_in(&page);
    assert!(named.len() > 30, "the walk saw {} names: it is blind", named.len());
    let missing: Vec<_> = named.iter().filter(|(file, test)| !is_there(file, test)).collect();
    assert!(missing.is_empty(), "docs/security.md names tests that are not there: {missing:?}");
    assert!(is_there("rooms.rs", "no_room_reaches_up_a_floor") && !is_there("run.rs", "no_room_reaches_up_a_floor"));
    assert_eq!(tests_in("a `b.rs::c`, `d::e`, `f`, `g.py::h`"), [("b.rs", "c"), ("g.py", "h")]);
}

#[test]
fn a_reach_up_is_seen_in_every_spelling() {
    let seen = |text: &str| paths(&code(text));
    assert_eq!(seen("use crate::guard::Recorder;"), ["guard::Recorder"]);
    assert_eq!(seen("use crate::{\n    guard::{Recorder, Spend},\n    store::Store,\n};"), ["guard::", "store::Store"]);
    assert_eq!(seen("let x = crate::cli::main(); // crate::ops::no"), ["cli::main"]);
    assert_eq!(above(Path::new("store/redis/mod.rs"), "use super::super::guard::X; use super::Backend;"), ["guard::X"]);
    assert_eq!(above(Path::new("store/handle.rs"), "use super::super::guard::X; use super::Backend;"), ["guard::X"]);
    assert!(may("store", "guard::X").is_err() && may("guard", "store::X").is_ok() && may("coordination", "guard::").is_err());
    assert!(may("ledger", "store::Store").is_err() && may("ledger", "store::Witness").is_ok());
    assert!(may("orchestrator", "governance::Governance").is_err() && may("agent", "Governance").is_err());
}
