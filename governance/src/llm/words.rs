//! The significant words of a text.

/// Words that say nothing about what a text is about.
const EMPTY: &[&str] = &[
    "a",
    "an",
    "and",
    "are",
    "as",
    "at",
    "be",
    "by",
    "can",
    "could",
    "do",
    "for",
    "from",
    "has",
    "have",
    "how",
    "i",
    "in",
    "into",
    "is",
    "it",
    "its",
    "may",
    "me",
    "must",
    "my",
    "of",
    "on",
    "or",
    "our",
    "should",
    "so",
    "some",
    "that",
    "the",
    "their",
    "them",
    "then",
    "there",
    "these",
    "this",
    "to",
    "us",
    "we",
    "what",
    "when",
    "where",
    "which",
    "who",
    "why",
    "will",
    "with",
    "would",
    "you",
    "your",
    "design",
    "build",
    "create",
    "make",
    "write",
    "implement",
    "propose",
    "plan",
    "need",
    "want",
    "please",
    "strategy",
    "system",
    "solution",
    "new",
    "good",
    "best",
    "better",
];

/// How much of a text is read: longer ones are judged by their beginning.
const READ: usize = 64 * 1024;

/// The significant words, each once, in the order in which they come; lower case, without a plural's `s`.
pub(super) fn significant(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let end = (0..=READ.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    for word in text[..end].split(|c: char| !c.is_alphanumeric()) {
        let word = stem(&word.to_lowercase());
        if word.chars().count() > 1 && !EMPTY.contains(&word.as_str()) && !words.contains(&word) && words.len() < 64 {
            words.push(word);
        }
    }
    words
}

/// A word without the endings that do not change what it is about.
pub(super) fn stem(word: &str) -> String {
    let ends = |end: &str, keep: usize| word.strip_suffix(end).filter(|rest| rest.chars().count() >= keep);
    if word.ends_with("ss") {
        return word.to_owned();
    }
    if let Some(rest) = ends("ies", 2) {
        return format!("{rest}y");
    }
    ends("ing", 4).or_else(|| ends("s", 3)).unwrap_or(word).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_text_is_about_is_left() {
        assert_eq!(significant("Design a caching strategy for the API's policies"), ["cach", "api", "policy"]);
        assert_eq!(significant("the of and"), Vec::<String>::new());
        assert_eq!(significant(&"x".repeat(10 << 20)).len(), 1);
    }
}
