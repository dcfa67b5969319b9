//! `named!`: an enum whose spelling is written once and serves display, parsing and serde alike.

/// Declares an enum with its names. Gives `ALL`, `as_str`, `Display`, `FromStr`, `Serialize` and `Deserialize`.
macro_rules! named {
    ($(#[$meta:meta])* pub enum $name:ident { $($(#[$item:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name { $($(#[$item])* #[serde(rename = $text)] $variant,)+ }

        impl $name {
            /// Every value, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The exact spelling.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::error::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err($crate::vocabulary::unknown_name(text, &[$($text),+])),
                }
            }
        }
    };
}

pub(crate) use named;

pub(crate) fn unknown_name(text: &str, names: &[&str]) -> crate::error::Error {
    let shown: String = text.chars().take(60).collect();
    crate::error::Error::invalid("unknown_name", format!("unknown name `{}`: one of {}", shown.escape_default(), names.join(", ")))
}
