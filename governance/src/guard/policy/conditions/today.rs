//! A time as people and Cedar write it.

use crate::vocabulary::Millis;

/// A time, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Today {
    pub hour: i64,
    pub minute: i64,
    /// 1 Monday to 7 Sunday.
    pub weekday: i64,
    at: Millis,
}

impl Today {
    pub fn at(at: Millis) -> Self {
        let (minutes, days) = (at.0 / 60_000, at.0 / 86_400_000);
        let number = |value: u64| i64::try_from(value).unwrap_or(0);
        // 1970 began on a Thursday.
        Self { hour: number(minutes / 60 % 24), minute: number(minutes % 60), weekday: number((days + 3) % 7 + 1), at }
    }

    /// As Cedar's `datetime` reads it: `2026-11-21T13:27:01.500Z`.
    pub fn text(&self) -> String {
        let (millis, second) = (self.at.0 % 1000, self.at.0 / 1000 % 60);
        // Days since 1970 as a date: years begin in March, so that the leap day is the last one.
        let days = self.at.0 / 86_400_000 + 719_468;
        let (era, of_era) = (days / 146_097, days % 146_097);
        let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let march = (5 * of_year + 2) / 153;
        let (day, month) = (of_year - (153 * march + 2) / 5 + 1, if march < 10 { march + 3 } else { march - 9 });
        let year = year + era * 400 + u64::from(month <= 2);
        format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{second:02}.{millis:03}Z", self.hour, self.minute)
    }
}
