//! How often policies are looked at where nothing tells of a change.

use std::time::Duration;

use super::{File, bad_value};
use crate::error::Result;
use crate::guard::policies::REFRESH;

/// The name of the variable.
const NAME: &str = "GUVNOR_POLICY_REFRESH_INTERVAL";
/// What it takes.
const WANTED: &str = "a number of seconds, 1 to 3600";

/// By the environment, then by the file.
pub(super) fn refresh(set: &impl Fn(&str) -> Option<String>, file: &File) -> Result<Duration> {
    let (name, seconds) = match set(NAME) {
        Some(value) => (NAME, Some(value.parse().map_err(|_| bad_value(NAME, &value, WANTED))?)),
        None => ("policy_refresh_seconds", file.policy_refresh_seconds),
    };
    match seconds {
        None => Ok(REFRESH),
        Some(seconds) if (1..=3600).contains(&seconds) => Ok(Duration::from_secs(seconds)),
        Some(seconds) => Err(bad_value(name, &seconds.to_string(), WANTED)),
    }
}
