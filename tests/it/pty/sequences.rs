//! What may leave the process, read as a terminal reads it.

/// Splits output into sequences and tells the first that is none of ours.
///
/// Text, line feeds, returns and backspaces are ours; so are moves, erasures, colours, our modes, our title and the
/// clipboard. A question, a graphic, a link or another title is not.
pub(super) fn foreign(output: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(output).into_owned();
    let mut rest = text.as_str();
    while let Some(c) = rest.chars().next() {
        let length = match c {
            '\x1b' => match ours(rest) {
                Some(length) => length,
                None => return Some(excerpt(rest)),
            },
            '\n' | '\r' | '\x08' => 1,
            c if c.is_control() => return Some(excerpt(rest)),
            c => c.len_utf8(),
        };
        rest = &rest[length..];
    }
    None
}

fn excerpt(rest: &str) -> String {
    format!("{:?}", rest.chars().take(24).collect::<String>())
}

/// The length of one of our own sequences.
fn ours(rest: &str) -> Option<usize> {
    const MODES: [&str; 6] = ["1049", "2004", "2026", "25", "1000", "1006"];
    if let Some(title) = rest.strip_prefix("\x1b]2;quarterdeck\x07") {
        return Some(rest.len() - title.len());
    }
    if let Some(copied) = rest.strip_prefix("\x1b]52;c;") {
        let end = copied.find('\x07')?;
        let base64 = copied[..end]
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "+/=".contains(c));
        return base64.then_some(rest.len() - copied.len() + end + 1);
    }
    let body = rest.strip_prefix("\x1b[")?;
    let end = body.find(|c: char| ('\x40'..='\x7e').contains(&c))?;
    let (parameters, last) = (&body[..end], &body[end..=end]);
    let plain = parameters.chars().all(|c| c.is_ascii_digit() || c == ';');
    let is_ours = match (last, parameters.strip_prefix('?')) {
        ("h" | "l", Some(mode)) => MODES.contains(&mode),
        ("m" | "H" | "G" | "C" | "D" | "d" | "K", None) => plain,
        ("J", None) => parameters == "2",
        _ => false,
    };
    is_ours.then_some(2 + end + 1)
}

#[test]
fn our_own_sequences_are_known_and_others_are_found() {
    assert_eq!(
        foreign(b"\x1b[?1049h\x1b[2J\x1b[;5Ha\x1b[1;31mb\x1b[K\r\n"),
        None
    );
    for alien in [
        "\x1b[6n",
        "\x1b[c",
        "\x1b]11;?\x07",
        "\x1b[?2026$p",
        "\x1b]2;evil\x07",
        "\x1b[?1;2h",
        "\x07",
        "\x1b_Gx\x1b\\",
        "\x1b]8;;http://x\x1b\\",
        "\x1b[>1u",
        "\x1b[21t",
        "\x1bc",
        "\u{9b}6n",
    ] {
        assert!(foreign(alien.as_bytes()).is_some(), "{alien:?}");
    }
}
