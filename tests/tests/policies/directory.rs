//! A directory of profiles, with whatever somebody puts there.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use governance::guard::policies::Wish;
use governance::vocabulary::AgentId;
use governance::{Config, Governance};
use serde_json::Value;

use super::story::profile;

const PATIENCE: Duration = Duration::from_secs(20);

struct Place {
    _folder: tempfile::TempDir,
    policies: PathBuf,
    governance: Governance,
}

async fn place() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let policies = folder.path().join("policies");
    std::fs::create_dir(&policies).unwrap();
    let governance = open(folder.path(), &policies).await;
    Place { _folder: folder, policies, governance }
}

async fn open(folder: &Path, policies: &Path) -> Governance {
    let refresh = Duration::from_secs(1);
    let config = Config { home: folder.join("home"), policies: Some(policies.to_owned()), policy_refresh: refresh, ..Config::default() };
    Governance::open(config).await.unwrap()
}

async fn until<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < end, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

impl Place {
    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.policies.join(name), text).unwrap();
    }

    async fn version(&self) -> u64 {
        self.governance.policies().version(&alpha(), None).await.unwrap().map_or(0, |held| held.version)
    }

    async fn is_at(&self, version: u64) {
        until(&format!("version {version}"), async || (self.version().await == version).then_some(())).await;
    }

    async fn alerts(&self) -> Vec<Value> {
        let store = self.governance.store();
        let alerts = store.list(store.keys().alerts_queue(), 1_000).await.unwrap();
        let alerts = alerts.iter().map(|alert| serde_json::from_slice::<Value>(alert).unwrap());
        alerts.filter(|alert| alert["type"] == "policy_refused").collect()
    }

    /// Waits for so many alerts; the last one's words.
    async fn is_told(&self, count: usize) -> String {
        let told = until(&format!("{count} alerts"), async || Some(self.alerts().await).filter(|alerts| alerts.len() >= count)).await;
        assert_eq!(told.len(), count, "{told:?}");
        format!("{} {}", told[count - 1]["data"]["file"].as_str().unwrap(), told[count - 1]["data"]["why"].as_str().unwrap())
    }
}

fn alpha() -> AgentId {
    AgentId::new("alpha").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_good_comes_into_force_and_what_is_not_is_told_once() {
    let place = place().await;
    place.write("alpha.yaml", &profile("1", "a-*"));
    place.is_at(1).await;
    // An editor writes beside it and renames; what it keeps beside is none of ours.
    place.write(".alpha.yaml.swp", "nothing");
    place.write("alpha.yaml~", "nothing");
    place.write("notes.txt", "nothing");
    place.write(".new.yaml", &profile("2", "b-*"));
    std::fs::rename(place.policies.join(".new.yaml"), place.policies.join("alpha.yaml")).unwrap();
    place.is_at(2).await;
    place.write("alpha.yaml", "agent_id: alpha\nagent_version: '3'\ntier: T9\n");
    let told = place.is_told(1).await;
    assert!(told.starts_with("alpha.yaml") && told.contains("line 3"), "{told}");
    // Looked at again and again, told once; another mistake is another alert.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert_eq!(place.alerts().await.len(), 1);
    place.write("alpha.yaml", "");
    assert!(place.is_told(2).await.contains("alpha.yaml"));
    assert_eq!(place.version().await, 2);
    place.write("alpha.yaml", &profile("4", "c-*"));
    place.is_at(3).await;
    // The same mistake as before, made again after it was mended, is told again.
    place.write("alpha.yaml", "");
    place.is_told(3).await;
    assert_eq!(place.version().await, 3);
    let history = place.governance.policies().history(&alpha()).await.unwrap();
    assert!(history.iter().all(|kept| kept.note.as_ref().unwrap().starts_with("alpha.yaml, in ")));
    place.governance.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_rolled_back_is_not_overruled_by_a_file_that_stayed_as_it_was() {
    let place = place().await;
    place.write("alpha.yaml", &profile("1", "a-*"));
    place.is_at(1).await;
    place.write("alpha.yaml", &profile("2", "b-*"));
    place.is_at(2).await;
    place.governance.policies().rollback(&alpha(), None, &Wish::of("ann")).await.unwrap();
    // Neither by the process that watches nor by one that begins to.
    let second = open(place._folder.path(), &place.policies).await;
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert_eq!(place.version().await, 3);
    // What is written anew counts, also if it was in force before.
    place.write("alpha.yaml", &profile("3", "c-*"));
    place.is_at(4).await;
    place.write("alpha.yaml", &profile("2", "b-*"));
    place.is_at(5).await;
    assert!(place.governance.policies().version(&alpha(), None).await.unwrap().unwrap().text.unwrap().profile.contains("b-*"));
    assert!(place.alerts().await.is_empty());
    second.close().await.unwrap();
    place.governance.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_changed_while_nobody_watched_counts_and_what_was_not_does_not() {
    let place = place().await;
    place.write("alpha.yaml", &profile("1", "a-*"));
    place.is_at(1).await;
    place.write("alpha.yaml", &profile("2", "b-*"));
    place.is_at(2).await;
    place.governance.close().await.unwrap();
    // It is what it was before, and meant to be.
    place.write("alpha.yaml", &profile("1", "a-*"));
    let second = open(place._folder.path(), &place.policies).await;
    let version = async || second.policies().version(&alpha(), None).await.unwrap().unwrap();
    until("the revert is in force", async || (version().await.version == 3).then_some(())).await;
    assert!(version().await.text.unwrap().profile.contains("a-*"));
    second.close().await.unwrap();
    // Nobody touched the file since; somebody rolled back.
    let visitor = Governance::visit(Config { home: place._folder.path().join("home"), ..Config::default() }).await.unwrap();
    let by_hand = visitor.policies().rollback(&alpha(), Some(2), &Wish::of("ann")).await.unwrap();
    assert_eq!(by_hand.version.version, 4);
    visitor.close().await.unwrap();
    let third = open(place._folder.path(), &place.policies).await;
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert_eq!(third.policies().version(&alpha(), None).await.unwrap().unwrap().version, 4);
    // A new directory says what it holds, whatever was in force once.
    let other = place._folder.path().join("other");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("mine.yaml"), profile("1", "a-*")).unwrap();
    let fourth = open(place._folder.path(), &other).await;
    until("it is in force", async || (third.policies().version(&alpha(), None).await.unwrap().unwrap().version == 5).then_some(())).await;
    fourth.close().await.unwrap();
    third.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn pipes_devices_links_and_what_is_too_large_are_told_and_hold_nothing_up() {
    let place = place().await;
    let at = |name: &str| place.policies.join(name);
    std::fs::write(place.policies.join("huge.yaml"), vec![b' '; 5 << 20]).unwrap();
    let told = place.is_told(1).await;
    assert!(told.starts_with("huge.yaml") && told.contains("most"), "{told}");
    std::process::Command::new("mkfifo").arg(at("pipe.yaml")).status().unwrap();
    let told = place.is_told(2).await;
    assert!(told.starts_with("pipe.yaml") && told.contains("not a file"), "{told}");
    symlink("/dev/zero", at("zero.yaml")).unwrap();
    assert!(place.is_told(3).await.contains("not a file"));
    symlink("nowhere", at("dangling.yaml")).unwrap();
    assert!(place.is_told(4).await.contains("cannot be read"));
    std::fs::create_dir(at("folder.yaml")).unwrap();
    assert!(place.is_told(5).await.contains("not a file"));
    std::fs::write(at("bytes.json"), [0xff, 0xfe, 0x00]).unwrap();
    assert!(place.is_told(6).await.contains("UTF-8"));
    std::fs::write(at("\u{1b}[31m.json"), "{").unwrap();
    let told = place.is_told(7).await;
    assert!(!told.split_once(' ').unwrap().1.contains('\u{1b}'), "{told:?}");
    // A link to a profile is one, as where a whole directory is put in place by a link.
    std::fs::write(place._folder.path().join("real.yaml"), profile("1", "a-*")).unwrap();
    symlink(place._folder.path().join("real.yaml"), at("alpha.yaml")).unwrap();
    place.is_at(1).await;
    // Two files for one profile: neither is meant, and what is in force stays.
    place.write("also.yaml", &profile("2", "b-*"));
    place.is_told(8).await;
    assert_eq!(place.version().await, 1);
    std::fs::remove_file(at("alpha.yaml")).unwrap();
    place.is_at(2).await;
    place.governance.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_vanishes_takes_nothing_with_it_and_is_watched_when_it_is_back() {
    let place = place().await;
    place.write("alpha.yaml", &profile("1", "a-*"));
    place.is_at(1).await;
    std::fs::remove_dir_all(&place.policies).unwrap();
    let told = place.is_told(1).await;
    assert!(told.starts_with('.') && told.contains("cannot be read"), "{told}");
    assert_eq!(place.version().await, 1, "what is in force stays so");
    std::fs::create_dir(&place.policies).unwrap();
    place.write("alpha.yaml", &profile("2", "b-*"));
    place.is_at(2).await;
    std::fs::remove_file(place.policies.join("alpha.yaml")).unwrap();
    let told =
        until("it is told", async || place.alerts().await.into_iter().find(|alert| alert["data"]["code"] == "policy_file_gone")).await;
    assert!(told["data"]["why"].as_str().unwrap().contains("withdrawn"), "{told}");
    assert_eq!(place.version().await, 2);
    place.governance.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_still_being_written_is_waited_for() {
    let text = profile("1", "a-*").replace("[a-*]", "[a-*]\n  forbidden_targets: [a-secret]");
    let (first, rest) = text.split_at(text.find("  forbidden").unwrap());
    let tries = async || {
        let place = place().await;
        let path = place.policies.join("alpha.yaml");
        // Good in itself, and wider than what is meant.
        std::fs::write(&path, first).unwrap();
        let mut file = std::fs::File::options().append(true).open(&path).unwrap();
        let (mut before, mut longest) = (Instant::now(), Duration::ZERO);
        for byte in rest.as_bytes().chunks(4) {
            std::thread::sleep(Duration::from_millis(20));
            std::io::Write::write_all(&mut file, byte).unwrap();
            longest = longest.max(before.elapsed());
            before = Instant::now();
        }
        until("it is in force as a whole", async || {
            let held = place.governance.policies().version(&alpha(), None).await.unwrap()?;
            (held.text.unwrap().profile == text).then_some(())
        })
        .await;
        let version = place.version().await;
        place.governance.close().await.unwrap();
        (longest, version)
    };
    for _ in 0..20 {
        let (longest, version) = tries().await;
        // A machine that is too busy to write lets a file hold still: such a try says nothing.
        if longest < Duration::from_millis(80) {
            assert_eq!(version, 1, "nothing of what was written on the way was ever in force");
            return;
        }
    }
    panic!("this machine is too busy to write 4 bytes each 80 ms");
}
