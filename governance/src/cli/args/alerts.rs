//! What a person should hear of.

use std::time::Duration;

use clap::Args as Arguments;

use crate::guard::ALERT_TYPES;

#[derive(Debug, Arguments)]
#[command(
    after_help = "Examples:\n  governance alerts\n  governance alerts --follow --type violation_detected\n  governance alerts --since 1h --json"
)]
pub struct Alerts {
    /// Go on until interrupted
    #[arg(long, short)]
    pub follow: bool,
    /// Only what is not older than this, as 90s, 15m, 2h or 7d
    #[arg(long, value_name = "AGE", value_parser = age)]
    pub since: Option<Duration>,
    /// Only this type, as violation_detected, agent_revoked, stop_all; may be given again
    #[arg(long = "type", value_name = "TYPE", value_parser = clap::builder::PossibleValuesParser::new(ALERT_TYPES))]
    pub kinds: Vec<String>,
    /// Only so many, the newest
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub last: u64,
}

fn age(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no age: say 90s, 15m, 2h or 7d");
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3_600,
        Some('d') => 86_400,
        _ => return Err(wrong()),
    };
    let count: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    count.checked_mul(unit).map(Duration::from_secs).ok_or_else(wrong)
}
