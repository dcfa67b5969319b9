//! The stories of tests/scenarios, told in Rust; and whether Rust has everything that tests/surface.json lists.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "surface/calls.rs"]
mod calls;
#[path = "surface/story.rs"]
mod story;
#[path = "surface/with.rs"]
mod with;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use story::Story;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn parsed(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// `Blackboard.post` and so on.
fn members() -> BTreeSet<String> {
    let surface = parsed(&root().join("tests/surface.json"));
    let names = |part: &Value| match part {
        Value::Object(methods) => methods.keys().cloned().collect(),
        Value::Array(properties) => properties.iter().map(|name| name.as_str().unwrap().to_owned()).collect(),
        _ => Vec::new(),
    };
    let classes = surface.as_object().unwrap();
    let members = classes
        .iter()
        .flat_map(|(class, parts)| parts.as_object().unwrap().values().flat_map(names).map(move |member| format!("{class}.{member}")));
    members.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_story_ends_as_it_says() {
    let mut told = BTreeSet::new();
    let mut files: Vec<_> = fs::read_dir(root().join("tests/scenarios")).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|end| end == "json") && !path.ends_with("elsewhere.json"));
    files.sort();
    for path in &files {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let story: Story = serde_json::from_value(parsed(path)).unwrap_or_else(|error| panic!("{name}: {error}"));
        story.tell(&name, &mut told).await;
    }
    assert!(!files.is_empty());
    let elsewhere = parsed(&root().join("tests/scenarios/elsewhere.json"));
    let missing: Vec<_> = members().into_iter().filter(|member| !told.contains(member) && elsewhere.get(member).is_none()).collect();
    assert!(missing.is_empty(), "neither in a story nor in elsewhere.json: {missing:?}");
}

#[test]
fn rust_has_the_whole_surface() {
    let known: BTreeSet<String> = calls::known().collect();
    assert_eq!(members().difference(&known).collect::<Vec<_>>(), Vec::<&String>::new(), "in surface.json, but not known here");
    assert_eq!(known.difference(&members()).collect::<Vec<_>>(), Vec::<&String>::new(), "known here, but not in surface.json");
}

#[test]
fn what_is_tested_elsewhere_is_tested_there() {
    for (member, place) in parsed(&root().join("tests/scenarios/elsewhere.json")).as_object().unwrap() {
        assert!(members().contains(member), "`{member}` is not in surface.json");
        let (file, test) = place.as_str().unwrap().split_once("::").expect("FILE::TEST");
        let text = fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(text.contains(&format!("fn {test}(")), "`{member}`: there is no `{test}` in {file}");
    }
}
