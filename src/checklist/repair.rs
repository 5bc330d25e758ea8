//! Bytes become text, and text that was read in the wrong encoding once becomes what it was.
//!
//! A page that was saved as UTF-8, opened as windows-1252 or windows-1254 and saved again says `âœ…` for ✅. Such a
//! place is put right where the bytes it stands for are UTF-8 again; everything else stays as it is, and is said.

use super::{Remark, annotated};
use crate::domain::Clean;

/// Broken places that are named one by one; a page with more has one trouble and not many.
const NAMED_MAX: usize = 20;
/// So many places of any kind, with nothing left over, are no accident.
const PLACES_CONVINCING: usize = 4;

/// The text of a page, and what was done to it.
pub(super) fn repair(bytes: &[u8]) -> (String, Vec<Remark>) {
    let mut remarks = Vec::new();
    let text = decode(bytes, &mut remarks);
    // A page of ours has been through this, and a second time must change nothing.
    if text.is_ascii() || annotated::is_ours(&text) {
        return (text, remarks);
    }
    let all = mend(&text, true);
    let convincing = all.familiar > 0 || all.places >= PLACES_CONVINCING;
    let mended = if all.left == 0 && convincing {
        all
    } else {
        mend(&text, false)
    };
    if let Some((line, encoding)) = mended.first {
        remarks.push(remark(
            line,
            &format!(
                "{} of UTF-8 that had been read as {encoding}, here first, are repaired",
                match mended.places {
                    1 => "1 letter".to_owned(),
                    n => format!("{n} letters"),
                }
            ),
        ));
    }
    for (line, rest) in mended.broken.iter().take(NAMED_MAX) {
        remarks.push(remark(
            *line,
            &format!("`{rest}` was broken by a wrong encoding, and a byte of it is lost: it is left as it is"),
        ));
    }
    (mended.text, remarks)
}

fn remark(line: usize, text: &str) -> Remark {
    Remark {
        line,
        text: Clean::line(text),
    }
}

fn decode(bytes: &[u8], remarks: &mut Vec<Remark>) -> String {
    let wide = |rest: &[u8], order: fn([u8; 2]) -> u16| {
        let units = rest.chunks(2).map(|pair| match pair {
            [a, b] => order([*a, *b]),
            _ => 0xFFFD,
        });
        char::decode_utf16(units)
            .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
            .collect()
    };
    match bytes {
        [0xFF, 0xFE, rest @ ..] => {
            remarks.push(remark(1, "the page was UTF-16 and is UTF-8 now"));
            wide(rest, u16::from_le_bytes)
        }
        [0xFE, 0xFF, rest @ ..] => {
            remarks.push(remark(1, "the page was UTF-16 and is UTF-8 now"));
            wide(rest, u16::from_be_bytes)
        }
        [0xEF, 0xBB, 0xBF, rest @ ..] => {
            remarks.push(remark(1, "the byte order mark is taken away"));
            narrow(rest, remarks)
        }
        rest => narrow(rest, remarks),
    }
}

/// UTF-8; a byte that is none is taken as windows-1252, in which each byte is a character.
fn narrow(bytes: &[u8], remarks: &mut Vec<Remark>) -> String {
    let mut text = String::with_capacity(bytes.len());
    let (mut strays, mut line) = (0_usize, 0);
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for &byte in chunk.invalid() {
            if strays == 0 {
                line = 1 + text.matches('\n').count();
            }
            strays += 1;
            text.push(Encoding::Western.character(byte));
        }
    }
    if strays > 0 {
        remarks.push(remark(
            line,
            &format!("bytes that are no UTF-8 ({strays}, here first) are read as windows-1252"),
        ));
    }
    text
}

/// What a pass over the text found.
struct Mended {
    text: String,
    places: usize,
    /// Places that begin as European letters, punctuation and emoji do.
    familiar: usize,
    /// Characters beyond ASCII that are what they say.
    left: usize,
    first: Option<(usize, &'static str)>,
    broken: Vec<(usize, String)>,
}

/// Puts right what round-trips: everything, or only what no language writes so.
fn mend(text: &str, everything: bool) -> Mended {
    let mut mended = Mended {
        text: String::with_capacity(text.len()),
        places: 0,
        familiar: 0,
        left: 0,
        first: None,
        broken: Vec::new(),
    };
    let mut line = 1;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if c == '\n' {
            line += 1;
        }
        let found = [Encoding::Western, Encoding::Turkish]
            .into_iter()
            .find_map(|encoding| sequence(rest, encoding).map(|found| (encoding, found)));
        match found {
            Some((encoding, place)) if everything || place.unmistakable() => {
                mended.text.push(place.character);
                mended.places += 1;
                mended.familiar += usize::from(place.familiar());
                // Nothing but an icelandic or turkish letter tells the two apart.
                if mended.first.is_none() || encoding == Encoding::Turkish {
                    let line = mended.first.map_or(line, |(line, _)| line);
                    mended.first = Some((line, encoding.word()));
                }
                rest = &rest[place.bytes..];
            }
            _ => {
                if c.is_ascii() {
                    mended.text.push(c);
                    rest = &rest[1..];
                    continue;
                }
                mended.left += 1;
                if let Some(stump) = stump(rest) {
                    mended.broken.push((line, stump));
                }
                mended.text.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    mended
}

/// A character as it was meant.
struct Sequence {
    character: char,
    lead: u8,
    /// How much of the text stands for it.
    bytes: usize,
}

impl Sequence {
    /// Punctuation, signs and emoji: three or four letters that no language puts side by side.
    fn unmistakable(&self) -> bool {
        matches!(self.lead, 0xE2 | 0xEF | 0xF0)
    }

    fn familiar(&self) -> bool {
        self.unmistakable() || matches!(self.lead, 0xC2 | 0xC3)
    }
}

fn sequence(text: &str, encoding: Encoding) -> Option<Sequence> {
    let lead = encoding.byte(text.chars().next()?)?;
    let length = match lead {
        0xC2..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF4 => 4,
        _ => return None,
    };
    let mut raw = [0; 4];
    let mut bytes = 0;
    let mut letters = text.chars();
    for slot in &mut raw[..length] {
        let c = letters.next()?;
        *slot = encoding.byte(c)?;
        bytes += c.len_utf8();
    }
    let character = std::str::from_utf8(&raw[..length]).ok()?.chars().next()?;
    Some(Sequence {
        character,
        lead,
        bytes,
    })
}

/// The beginning of an emoji (`F0 9F`) whose end is lost.
fn stump(text: &str) -> Option<String> {
    let mut letters = text.chars();
    let lead = letters.next()?;
    if !matches!(lead, 'ğ' | 'ð') || letters.next() != Some('Ÿ') {
        return None;
    }
    Some(
        text.chars()
            .take_while(|c| !c.is_ascii())
            .take(4)
            .collect::<String>(),
    )
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    /// windows-1252
    Western,
    /// windows-1254
    Turkish,
}

/// 0x80 to 0x9F of both; where nothing is assigned, the control character of that number.
const HIGH: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8D}', 'Ž', '\u{8F}',
    '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9D}', 'ž', 'Ÿ',
];
/// Where windows-1254 has another letter.
const TURKISH: [(u8, char); 6] = [
    (0xD0, 'Ğ'),
    (0xDD, 'İ'),
    (0xDE, 'Ş'),
    (0xF0, 'ğ'),
    (0xFD, 'ı'),
    (0xFE, 'ş'),
];

impl Encoding {
    fn word(self) -> &'static str {
        match self {
            Self::Western => "windows-1252",
            Self::Turkish => "windows-1254",
        }
    }

    fn character(self, byte: u8) -> char {
        match byte {
            0x80..=0x9F => HIGH[usize::from(byte - 0x80)],
            _ => match self {
                Self::Turkish => TURKISH
                    .iter()
                    .find(|(b, _)| *b == byte)
                    .map_or(char::from(byte), |(_, c)| *c),
                Self::Western => char::from(byte),
            },
        }
    }

    fn byte(self, c: char) -> Option<u8> {
        if let Some(at) = HIGH.iter().position(|high| *high == c) {
            return u8::try_from(0x80 + at).ok();
        }
        if self == Self::Turkish
            && let Some((byte, _)) = TURKISH.iter().find(|(_, t)| *t == c)
        {
            return Some(*byte);
        }
        let byte = u8::try_from(u32::from(c)).ok()?;
        (byte >= 0xA0 && self.character(byte) == c).then_some(byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(broken: &str, whole: &str) {
        let (text, remarks) = repair(broken.as_bytes());
        assert_eq!(text, whole);
        assert_eq!(remarks.is_empty(), broken == whole, "{remarks:?}");
    }

    #[test]
    fn emoji_and_dashes_read_in_another_encoding_are_put_right() {
        check("## ğŸ“… Timeline", "## 📅 Timeline");
        check("## ðŸ“… Timeline", "## 📅 Timeline");
        check("### âœ… Deliverables", "### ✅ Deliverables");
        check("Methodology â€” Refactored", "Methodology — Refactored");
        check("CafÃ© au lait", "Café au lait");
    }

    #[test]
    fn what_is_written_as_it_was_meant_stays() {
        for text in [
            "Straße – „schön“…",
            "CAFÉ… MENÜ“",
            "perché…”, così",
            "değişiklik",
            "✅ 🚀 日本",
            "مرحبا",
        ] {
            check(text, text);
        }
    }

    #[test]
    fn a_sign_with_a_lost_byte_is_left_and_said() {
        let (text, remarks) = repair("x\n### ğŸ† Success\n### âœ… Done".as_bytes());
        assert_eq!(text, "x\n### ğŸ† Success\n### ✅ Done");
        assert_eq!(remarks.len(), 2, "{remarks:?}");
        assert_eq!(remarks[1].line, 2);
        assert!(remarks[1].text.contains("lost"), "{remarks:?}");
    }

    #[test]
    fn bytes_that_are_no_utf8_become_letters_and_are_said() {
        let (text, remarks) = repair(b"caf\xe9 \x93ready\x94");
        assert_eq!(text, "café “ready”");
        assert!(remarks[0].text.contains("windows-1252"), "{remarks:?}");
        let (text, _) = repair(b"\xff\xfe-\0 \0a\0");
        assert_eq!(text, "- a");
        let (text, _) = repair(b"\xef\xbb\xbf# A");
        assert_eq!(text, "# A");
    }

    #[test]
    fn both_encodings_go_there_and_back() {
        for encoding in [Encoding::Western, Encoding::Turkish] {
            for byte in 0x80..=0xFF {
                assert_eq!(encoding.byte(encoding.character(byte)), Some(byte));
            }
        }
    }
}
