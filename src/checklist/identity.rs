//! Names that survive edits: an item is called after its phase and its words, and signed for with every word of it.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use super::Item;

/// Digits of an id: short enough to type, and 32 bits keep the items of one page apart.
const ID_DIGITS: usize = 8;
/// Digits of the hash a signature names.
const HASH_DIGITS: usize = 16;

/// The words of a text, without case, punctuation and ornaments. What compares and counts stays: `< 100` is not `> 100`.
pub(super) fn normal(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_alphanumeric() || "<>=%+≤≥".contains(c) {
            out.extend(c.to_lowercase());
        } else if !out.is_empty() && !out.ends_with(' ') {
            out.push(' ');
        }
    }
    out.truncate(out.trim_end().len());
    out
}

/// The id of an item by its words alone; two of the same phase with the same words are numbered by the caller.
pub(super) fn id(path: &[&str], title: &str) -> String {
    let mut said = String::new();
    for phase in path {
        said.push_str(&normal(phase));
        said.push('\n');
    }
    said.push_str(&normal(title));
    hex(said.as_bytes(), ID_DIGITS)
}

pub(super) fn text_hash(item: &Item) -> String {
    let mut said = item.title.to_string();
    for line in &item.detail {
        said.push('\n');
        said.push_str(line);
    }
    for field in &item.fields {
        let _ = write!(said, "\n{}\t{}", field.name, field.value);
    }
    hex(said.as_bytes(), HASH_DIGITS)
}

pub(super) fn hex(bytes: &[u8], digits: usize) -> String {
    let mut out = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        let _ = write!(out, "{byte:02x}");
    }
    out.truncate(digits);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_goes_by_the_words_and_not_by_how_they_are_dressed() {
        let plain = id(&["Phase 1: Setup"], "Install nginx on port 80");
        assert_eq!(
            plain,
            id(&["✅ Phase 1 – Setup"], "install nginx, on port 80.")
        );
        assert_ne!(plain, id(&["Phase 2: Setup"], "Install nginx on port 80"));
        assert_ne!(id(&[], "TTFB < 100"), id(&[], "TTFB > 100"));
        assert_eq!(plain.len(), ID_DIGITS);
    }
}
