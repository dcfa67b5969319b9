//! A room of the house uses only the floors below it, or its own room.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms by floor, from the ground up. Rooms on one floor do not use each other, except as named in `NEIGHBOURS`.
const FLOORS: &[&[&str]] = &[
    &["vocabulary", "error"],
    &["disk", "store", "ledger", "llm"],
    &["coordination"],
    &["guard"],
    &["agent"],
    &["orchestrator"],
    &["config", "governance", "cli", "testing"],
];

/// `error` is named by the ground's own macro; a ledger is what a store asks about its generation, and both ask where a file lies.
const NEIGHBOURS: &[(&str, &str)] = &[
    ("vocabulary", "error"),
    ("error", "vocabulary"),
    ("ledger", "store"),
    ("ledger", "disk"),
    ("store", "disk"),
    ("governance", "config"),
    ("cli", "config"),
    ("cli", "governance"),
];

#[test]
fn no_room_reaches_up() {
    let house = Path::new(env!("CARGO_MANIFEST_DIR")).join("../governance/src");
    let floor: BTreeMap<&str, usize> =
        FLOORS.iter().enumerate().flat_map(|(height, rooms)| rooms.iter().map(move |room| (*room, height))).collect();
    let (mut reaches, mut seen) = (Vec::new(), 0);
    for file in sources(&house) {
        let place = file.strip_prefix(&house).unwrap();
        let room = place.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs");
        if matches!(room, "lib" | "bin") {
            continue;
        }
        let height = floor.get(room).unwrap_or_else(|| panic!("`{room}` is on no floor: give it one here and in docs/architecture.md"));
        for used in rooms_used(&fs::read_to_string(&file).unwrap()) {
            seen += 1;
            let allowed =
                used == room || floor.get(used.as_str()).is_some_and(|f| f < height) || NEIGHBOURS.contains(&(room, used.as_str()));
            if !allowed {
                reaches.push(format!("{} uses crate::{used}", place.display()));
            }
        }
    }
    assert!(seen > 100, "only {seen} uses were found: the walk is broken");
    assert!(reaches.is_empty(), "rooms that reach up:\n  {}", reaches.join("\n  "));
}

/// Every room that a source names, in a `use` or in a path, comments and tests aside.
fn rooms_used(source: &str) -> Vec<String> {
    let code =
        source.lines().map(str::trim_start).filter(|line| !line.starts_with("//")).take_while(|line| !line.starts_with("#[cfg(test)]"));
    let text = code.collect::<Vec<_>>().join("\n");
    let mut rooms = Vec::new();
    for rest in text.split("crate::").skip(1) {
        let named: Vec<&str> = match rest.strip_prefix('{') {
            // use crate::{store::Store, error::Result};
            Some(list) => list.split('}').next().unwrap_or("").split(',').collect(),
            None => vec![rest],
        };
        for name in named {
            let room: String = name.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if room.starts_with(|c: char| c.is_lowercase()) {
                rooms.push(room);
            }
        }
    }
    rooms
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|end| end == "rs") && !path.to_str().unwrap().ends_with("_tests.rs") {
            files.push(path);
        }
    }
    files
}
