//! Text for the clipboard of the person's own machine. Pure.

use super::CLIPBOARD_BYTES_MAX;

/// OSC 52 for the clipboard, in the form that mosh forwards. `None`: longer than [`CLIPBOARD_BYTES_MAX`].
pub(super) fn clipboard(text: &str) -> Option<Vec<u8>> {
    let content = base64(text.as_bytes());
    (content.len() <= CLIPBOARD_BYTES_MAX)
        .then(|| [b"\x1b]52;c;", content.as_slice(), b"\x07"].concat())
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn base64(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk
            .iter()
            .chain([0, 0].iter())
            .take(3)
            .fold(0u32, |word, &byte| word << 8 | u32::from(byte));
        for i in 0..4 {
            out.push(if i <= chunk.len() {
                ALPHABET[(word >> (18 - 6 * i) & 63) as usize]
            } else {
                b'='
            });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clipboard_gets_base64_up_to_its_limit() {
        for (text, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
            ("ÿ>?", "w78+Pw=="),
        ] {
            let sent = format!("\x1b]52;c;{coded}\x07");
            assert_eq!(clipboard(text), Some(sent.into_bytes()));
        }
        let longest = CLIPBOARD_BYTES_MAX / 4 * 3;
        assert!(clipboard(&"x".repeat(longest)).is_some());
        assert!(clipboard(&"x".repeat(longest + 3)).is_none());
    }
}
