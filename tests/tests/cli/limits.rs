//! `budget` for runs and the tenant, and `[limits]` of config.toml.

use governance_tests::program::User;
use serde_json::{Value, json};

use super::{CACHE, settled};

fn spend(object: &Value, unit: &str) -> Value {
    object["spend"].as_array().unwrap().iter().find(|usage| usage["unit"] == unit).cloned().unwrap_or_default()
}

#[test]
fn limits_of_a_run_and_of_the_tenant_are_set_shown_and_taken_away() {
    let (user, id) = settled(CACHE);
    assert!(user.does(&["budget", "list"]).err.contains("no limit was set"));
    let set = user.object(&["budget", "set", "--tenant", "calls_per_minute", "600"]);
    assert_eq!((&set["scope"], &set["usage"]["limit"], &set["usage"]["used"]), (&json!("tenant"), &json!(600), &json!(0)));
    user.object(&["budget", "set", "--pipeline", &id, "tokens", "5000"]);
    assert_eq!(spend(&user.object(&["budget", "show", "--pipeline", &id]), "tokens")["limit"], 5_000);
    let shown = user.objects(&["budget", "show", &id]);
    assert_eq!((&shown[0]["scope"], &shown[1]["of"]), (&json!("tenant"), &json!(id)), "{shown:?}");
    assert!(user.does(&["budget", "list"]).out.contains("600 left"));
    // Who set it is in the record.
    let record = user.does(&["ledger", "list", "--json"]).out;
    assert!(record.contains("calls_per_minute"), "{record}");
    assert_eq!(user.object(&["budget", "set", "--tenant", "calls_per_minute", "none"])["usage"], Value::Null);
    assert!(user.does(&["budget", "show", "--tenant"]).err.contains("nothing limits the tenant"));

    user.does(&["budget", "set", "--tenant", "alpha-1", "calls", "1"]).explains("whose limit it is once");
    user.does(&["budget", "set", "calls", "1"]).explains("whose limit it is once");
    user.does(&["budget", "set", "--tenant", "--pipeline", &id, "calls", "1"]).explains("cannot be used with");
    user.does(&["budget", "set", "--tenant", "calls", "many"]).explains("neither a whole number nor `none`");
    user.does(&["budget", "set", "--tenant", "calls", "99999999999999999"]).explains("at most");
    user.does(&["budget", "set", "--pipeline", "pipeline-none", "calls", "1"]).explains("there is no run");
}

#[test]
fn a_run_is_held_to_the_limits_of_config_toml() {
    let user = User::default();
    std::fs::create_dir_all(user.home()).unwrap();
    let config = |text: &str| std::fs::write(user.home().join("config.toml"), text).unwrap();
    config("[limits.run]\ncalls = 1\n[limits.agent]\nconcurrency = 1\n");
    let answer = user.does(&["run", CACHE, "--json"]);
    assert_ne!(answer.code, Some(0), "one call of a model is not enough: {answer:?}");
    answer.calm();
    let shown = user.objects(&["budget", "show"]);
    assert_eq!((&spend(&shown[0], "calls")["limit"], &spend(&shown[0], "calls")["used"]), (&json!(1), &json!(1)), "{shown:?}");
    assert_eq!(spend(&shown[1], "concurrency")["limit"], 1, "{shown:?}");
    let record = user.does(&["ledger", "list", "--json"]).out;
    assert!(record.contains("budget_exhausted"), "the record tells why");

    config("[limits.run]\ncalls = 1000\nwall_time = 600\n");
    assert_eq!(user.does(&["run", CACHE]).code, Some(0));
    let told = user.does(&["config", "show"]).out;
    assert!(told.contains("wall_time"), "{told}");
    config("[limits.run]\nhours = 1\n");
    user.does(&["run", CACHE]).explains("hours");
    config("[limits.run]\ncalls = -1\n");
    user.does(&["run", CACHE]).explains("line 2");
}
