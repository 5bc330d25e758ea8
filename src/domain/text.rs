//! One sanitiser for all text that comes from outside.
//!
//! A [`Clean`] can be printed anywhere: a terminal, a report, a JSON document. It holds no control character, no
//! escape sequence, no character that is invisible or that turns the direction of writing, and at most
//! [`MARKS_MAX`] combining marks on one letter. What was there is shown, not dropped (`^[` for ESC, `<U+202E>` for a
//! direction override), so that a hostile sender is seen rather than hidden.
//!
//! **Invariant:** the only ways to make one are the constructors below, and `Deserialize`, which calls them.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Deserializer, Serialize};
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Longest piece of foreign text kept in one value. A log line may be a megabyte; a person reads none of it.
pub const BYTES_MAX: usize = 4096;

/// What was cleaned, written down and read again stays as it was: showing what is hidden makes it up to four times as long,
/// and what was cut says so.
const WRITTEN_BYTES_MAX: usize = 4 * BYTES_MAX + 64;

/// More marks than this on one letter are an attack on the column, not a language.
pub const MARKS_MAX: usize = 4;

const TAB: &str = "    ";

/// Text that is safe to show.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
#[serde(transparent)]
pub struct Clean(Box<str>);

impl Clean {
    /// Cleans one line. Newlines inside it are shown as `^J`; what is over [`BYTES_MAX`] is cut and says so.
    pub fn line(raw: &str) -> Self {
        Self::up_to(raw, BYTES_MAX)
    }

    fn up_to(raw: &str, most: usize) -> Self {
        let (kept, cut) = cap(raw, most);
        // Nearly all text is plain ASCII: look before copying.
        let mut out = if kept.bytes().all(|b| (0x20..0x7f).contains(&b)) {
            kept.to_owned()
        } else {
            let mut out = String::with_capacity(kept.len() + 16);
            write_clean(&mut out, kept);
            out
        };
        if cut > 0 {
            use fmt::Write;
            let _ = write!(out, " [cut: {cut} bytes more]");
        }
        Self(out.into_boxed_str())
    }

    /// Cleans bytes that should be UTF-8; those that are not are shown as `\xNN`.
    pub fn bytes(raw: &[u8]) -> Self {
        match std::str::from_utf8(raw) {
            Ok(text) => Self::line(text),
            Err(_) => {
                let mut text = String::with_capacity(raw.len().min(BYTES_MAX) + 16);
                for chunk in raw.utf8_chunks() {
                    text.push_str(chunk.valid());
                    for byte in chunk.invalid() {
                        use fmt::Write;
                        let _ = write!(text, "\\x{byte:02X}");
                    }
                    if text.len() > BYTES_MAX * 2 {
                        break;
                    }
                }
                Self::line(&text)
            }
        }
    }

    /// Cleans a text of many lines, at most `most` of them.
    pub fn lines(raw: &str, most: usize) -> Vec<Self> {
        raw.lines().take(most).map(Self::line).collect()
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Columns this takes on a terminal.
    pub fn width(&self) -> usize {
        self.0.width()
    }
}

/// The longest beginning of `text` that fits into `columns`; never cuts a letter from its marks.
pub fn fit(text: &str, columns: usize) -> &str {
    // ASCII is one column a byte.
    if text.is_ascii() {
        return &text[..text.len().min(columns)];
    }
    let mut used = 0;
    for (at, grapheme) in text.grapheme_indices(true) {
        used += grapheme.width();
        if used > columns {
            return &text[..at];
        }
    }
    text
}

fn cap(raw: &str, most: usize) -> (&str, usize) {
    if raw.len() <= most {
        return (raw, 0);
    }
    let end = (0..=most)
        .rev()
        .find(|&i| raw.is_char_boundary(i))
        .unwrap_or(0);
    (&raw[..end], raw.len() - end)
}

fn write_clean(out: &mut String, raw: &str) {
    use fmt::Write;
    let mut marks = 0;
    for c in raw.chars() {
        match c {
            '\t' => out.push_str(TAB),
            '\u{0}'..='\u{1f}' => {
                out.push('^');
                out.push(char::from(c as u8 + b'@'));
            }
            '\u{7f}' => out.push_str("^?"),
            '\u{80}'..='\u{9f}' => {
                let _ = write!(out, "<{:02X}>", u32::from(c));
            }
            _ if is_hidden(c) => {
                let _ = write!(out, "<U+{:04X}>", u32::from(c));
            }
            _ if c.width() == Some(0) => {
                marks += 1;
                if marks <= MARKS_MAX {
                    // A mark with nothing to stand on would join our own text.
                    if out.is_empty() {
                        out.push('\u{25cc}');
                    }
                    out.push(c);
                }
                continue;
            }
            _ => out.push(c),
        }
        marks = 0;
    }
}

/// Format characters, direction controls, fillers, separators, private use and non-characters (Unicode 16, categories
/// Cf, Zl, Zp, Co and the default-ignorable letters).
fn is_hidden(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}' | '\u{8e2}'
        | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{e000}'..='\u{f8ff}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1345f}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{10ffff}')
        || (u32::from(c) & 0xfffe) == 0xfffe
}

impl Deref for Clean {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Clean {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Clean {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Clean {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl From<&str> for Clean {
    fn from(raw: &str) -> Self {
        Self::line(raw)
    }
}

impl From<String> for Clean {
    fn from(raw: String) -> Self {
        Self::line(&raw)
    }
}

impl PartialEq<str> for Clean {
    fn eq(&self, other: &str) -> bool {
        &*self.0 == other
    }
}

impl PartialEq<&str> for Clean {
    fn eq(&self, other: &&str) -> bool {
        &*self.0 == *other
    }
}

impl<'de> Deserialize<'de> for Clean {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Clean;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_str<E>(self, raw: &str) -> Result<Clean, E> {
                Ok(Clean::up_to(raw, WRITTEN_BYTES_MAX))
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(raw: &str, shown: &str) {
        assert_eq!(Clean::line(raw).as_str(), shown);
    }

    #[test]
    fn plain_text_stays_as_it_is() {
        check("server-1 healthy, 3 of 3", "server-1 healthy, 3 of 3");
        check("日本語 größe", "日本語 größe");
    }

    #[test]
    fn controls_are_shown_not_sent() {
        check("\x1b]52;c;aGk=\x07", "^[]52;c;aGk=^G");
        check("a\r\nb\x08\x7f", "a^M^Jb^H^?");
        check("\u{9b}31m", "<9B>31m");
        check("a\tb", "a    b");
    }

    #[test]
    fn hidden_and_direction_characters_are_named() {
        check("\u{202e}gpj.exe", "<U+202E>gpj.exe");
        check("a\u{200b}b\u{feff}", "a<U+200B>b<U+FEFF>");
        check("\u{e0041}", "<U+E0041>");
    }

    #[test]
    fn a_letter_carries_at_most_four_marks() {
        let tower = format!("a{}b", "\u{301}".repeat(200));
        assert_eq!(Clean::line(&tower).chars().count(), 1 + MARKS_MAX + 1);
        check("\u{301}x", "\u{25cc}\u{301}x");
    }

    #[test]
    fn long_text_is_cut_and_says_so() {
        let long = "é".repeat(BYTES_MAX);
        let clean = Clean::line(&long);
        assert!(
            clean.ends_with("[cut: 4096 bytes more]"),
            "{}",
            &clean[clean.len() - 40..]
        );
    }

    #[test]
    fn bytes_that_are_no_text_are_shown_in_hex() {
        assert_eq!(Clean::bytes(b"ab\xff\xfec\0").as_str(), "ab\\xFF\\xFEc^@");
    }

    #[test]
    fn fitting_never_parts_a_letter_from_its_marks() {
        assert_eq!(fit("abc", 2), "ab");
        assert_eq!(fit("日本", 3), "日");
        assert_eq!(fit("e\u{301}x", 1), "e\u{301}");
    }

    proptest! {
        #[test]
        fn whatever_comes_in_nothing_dangerous_comes_out(raw in any::<String>()) {
            let clean = Clean::line(&raw);
            prop_assert!(clean.chars().all(|c| !c.is_control() && !is_hidden(c)));
            prop_assert_eq!(Clean::line(&clean), clean.clone(), "cleaning twice changes nothing");
        }

        #[test]
        fn any_bytes_are_text_afterwards(raw in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(Clean::bytes(&raw).chars().all(|c| !c.is_control()));
        }
    }
}
