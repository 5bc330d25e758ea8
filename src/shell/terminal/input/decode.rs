//! Bytes of one key become the key.
//!
//! Pure and without state: the filter has already found where a sequence begins and ends. What is no key press (a
//! report, an answer, a focus change) is `None`.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};

/// A letter, or whatever else is printed.
pub(super) fn printed(c: char) -> KeyEvent {
    let modifiers = if c.is_uppercase() {
        KeyModifiers::SHIFT
    } else {
        KeyModifiers::NONE
    };
    KeyEvent::new(KeyCode::Char(c), modifiers)
}

/// A control character: below 0x20, or 0x7f.
pub(super) fn control(byte: u8) -> KeyEvent {
    let plain = |code| KeyEvent::new(code, KeyModifiers::NONE);
    let ctrl = |c: u8| KeyEvent::new(KeyCode::Char(char::from(c)), KeyModifiers::CONTROL);
    match byte {
        0 => ctrl(b' '),
        b'\r' => plain(KeyCode::Enter),
        b'\t' => plain(KeyCode::Tab),
        // Half of the terminals send one, half the other.
        0x08 | 0x7f => plain(KeyCode::Backspace),
        0x1b => plain(KeyCode::Esc),
        0x01..=0x1a => ctrl(byte - 1 + b'a'),
        _ => ctrl(byte.wrapping_sub(0x1c) % 4 + b'4'),
    }
}

/// `ESC O …`: the bytes behind the `O`.
pub(super) fn ss3(body: &[u8]) -> Option<KeyEvent> {
    let (&last, parameters) = body.split_last()?;
    let numbers = numbers(parameters)?;
    // `ESC O 5 P` and `ESC O 1 ; 5 P` are both in use.
    let modifiers = modifiers(numbers.last().copied().unwrap_or(1));
    let code = match last {
        b'A'..=b'D' | b'F' | b'H' | b'P'..=b'S' => cursor_or_function(last)?,
        b'M' => KeyCode::Enter,
        b'I' => KeyCode::Tab,
        b'X' => KeyCode::Char('='),
        b'j'..=b'y' => KeyCode::Char(char::from(last - b'j' + b'*')),
        // rxvt: Ctrl and an arrow.
        b'a'..=b'd' => {
            let code = cursor_or_function(last.to_ascii_uppercase())?;
            return Some(KeyEvent::new(code, KeyModifiers::CONTROL));
        }
        _ => return None,
    };
    Some(KeyEvent::new(code, modifiers))
}

/// `ESC [ …`: the bytes behind the `[`, the final byte last. Whatever has a private mark (`?`, `>`, `<`, `=`) or an
/// intermediate byte is an answer and no key.
pub(super) fn csi(body: &[u8]) -> Option<KeyEvent> {
    let (&last, parameters) = body.split_last()?;
    // The Linux console: `ESC [ [ A` to `E`.
    if let (b'[', function @ b'A'..=b'E') = (parameters.first().copied().unwrap_or(0), last) {
        return Some(KeyEvent::new(
            KeyCode::F(function - b'A' + 1),
            KeyModifiers::NONE,
        ));
    }
    // rxvt ends a key with `$` (Shift), `^` (Ctrl) or `@` (both).
    if let (b'$' | b'^' | b'@', false) = (last, parameters.is_empty()) {
        let [number] = numbers(parameters)?[..] else {
            return None;
        };
        let code = numbered(number)?;
        let modifiers = match last {
            b'$' => KeyModifiers::SHIFT,
            b'^' => KeyModifiers::CONTROL,
            _ => KeyModifiers::CONTROL | KeyModifiers::SHIFT,
        };
        return Some(KeyEvent::new(code, modifiers));
    }
    if last == b'u' {
        return unicode(parameters);
    }
    let numbers = numbers(parameters)?;
    let held = modifiers(numbers.get(1).copied().unwrap_or(1));
    let key = |code| Some(KeyEvent::new(code, held));
    match (last, numbers.as_slice()) {
        (b'A'..=b'D' | b'F' | b'H' | b'P' | b'Q' | b'S', [] | [_] | [1, _]) => {
            key(cursor_or_function(last)?)
        }
        // With numbers it is the answer "the cursor is at".
        (b'R', []) => key(KeyCode::F(3)),
        (b'E', [] | [1, _]) => key(KeyCode::KeypadBegin),
        (b'Z', _) => Some(KeyEvent::new(KeyCode::BackTab, KeyModifiers::SHIFT)),
        // rxvt: Shift and an arrow.
        (b'a'..=b'd', []) => Some(KeyEvent::new(
            cursor_or_function(last.to_ascii_uppercase())?,
            KeyModifiers::SHIFT,
        )),
        (b'~', [27, held, code]) => modified(*code, modifiers(*held)),
        (b'~', [number] | [number, _]) => key(numbered(*number)?),
        _ => None,
    }
}

/// `ESC [ < b ; x ; y M`: a mouse report in the SGR form.
pub(super) fn mouse(body: &[u8]) -> Option<MouseEvent> {
    let (&last, rest) = body.split_last()?;
    let (b'<', parameters) = rest.split_first().map(|(first, rest)| (*first, rest))? else {
        return None;
    };
    let [what, x, y] = numbers(parameters)?[..] else {
        return None;
    };
    let button = match what & 3 {
        0 => MouseButton::Left,
        1 => MouseButton::Middle,
        _ => MouseButton::Right,
    };
    let kind = match (what & 0b1110_0000, what & 3, last) {
        (0, 0..=2, b'M') => MouseEventKind::Down(button),
        (0, 0..=2, b'm') => MouseEventKind::Up(button),
        (32, 0..=2, b'M') => MouseEventKind::Drag(button),
        (32, _, _) => MouseEventKind::Moved,
        (64, 0, _) => MouseEventKind::ScrollUp,
        (64, 1, _) => MouseEventKind::ScrollDown,
        _ => return None,
    };
    let mut modifiers = KeyModifiers::NONE;
    modifiers.set(KeyModifiers::SHIFT, what & 4 != 0);
    modifiers.set(KeyModifiers::ALT, what & 8 != 0);
    modifiers.set(KeyModifiers::CONTROL, what & 16 != 0);
    Some(MouseEvent {
        kind,
        column: x.checked_sub(1)?,
        row: y.checked_sub(1)?,
        modifiers,
    })
}

/// The form that some terminals are left in by another program: `ESC [ code ; modifiers u`.
fn unicode(parameters: &[u8]) -> Option<KeyEvent> {
    let text = std::str::from_utf8(parameters).ok()?;
    let mut fields = text.split(';');
    let code = fields.next()?.split(':').next()?.parse().ok()?;
    let mut held = fields.next().unwrap_or("1").split(':');
    let modifiers = modifiers(held.next()?.parse().ok()?);
    // A key that is let go would act a second time.
    match held.next() {
        Some("3") => None,
        _ => modified(code, modifiers),
    }
}

fn modified(code: u16, held: KeyModifiers) -> Option<KeyEvent> {
    let code = match code {
        9 if held.contains(KeyModifiers::SHIFT) => KeyCode::BackTab,
        9 => KeyCode::Tab,
        13 => KeyCode::Enter,
        27 => KeyCode::Esc,
        8 | 127 => KeyCode::Backspace,
        // Private use: keys that only that protocol knows.
        0..=31 | 0xe000..=0xf8ff => return None,
        _ => KeyCode::Char(char::from_u32(code.into())?),
    };
    Some(KeyEvent::new(code, held))
}

fn cursor_or_function(last: u8) -> Option<KeyCode> {
    Some(match last {
        b'A' => KeyCode::Up,
        b'B' => KeyCode::Down,
        b'C' => KeyCode::Right,
        b'D' => KeyCode::Left,
        b'F' => KeyCode::End,
        b'H' => KeyCode::Home,
        b'P'..=b'S' => KeyCode::F(last - b'P' + 1),
        _ => return None,
    })
}

/// The key of `ESC [ number ~`.
fn numbered(number: u16) -> Option<KeyCode> {
    Some(match number {
        1 | 7 => KeyCode::Home,
        2 => KeyCode::Insert,
        3 => KeyCode::Delete,
        4 | 8 => KeyCode::End,
        5 => KeyCode::PageUp,
        6 => KeyCode::PageDown,
        11..=15 => KeyCode::F(u8::try_from(number - 10).ok()?),
        17..=21 => KeyCode::F(u8::try_from(number - 11).ok()?),
        23..=26 => KeyCode::F(u8::try_from(number - 12).ok()?),
        28..=29 => KeyCode::F(u8::try_from(number - 13).ok()?),
        31..=34 => KeyCode::F(u8::try_from(number - 14).ok()?),
        _ => return None,
    })
}

/// xterm counts from one: Shift 1, Alt 2, Ctrl 4.
fn modifiers(number: u16) -> KeyModifiers {
    let bits = number.saturating_sub(1);
    let mut held = KeyModifiers::NONE;
    held.set(KeyModifiers::SHIFT, bits & 1 != 0);
    held.set(KeyModifiers::ALT, bits & 2 != 0);
    held.set(KeyModifiers::CONTROL, bits & 4 != 0);
    held
}

/// Numbers between semicolons; `None` for anything else, as a private mark.
fn numbers(parameters: &[u8]) -> Option<Vec<u16>> {
    if parameters.is_empty() {
        return Some(Vec::new());
    }
    parameters
        .split(|&b| b == b';')
        .map(|field| match field {
            [] => Some(1),
            digits => std::str::from_utf8(digits).ok()?.parse().ok(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &str, code: KeyCode, held: KeyModifiers) {
        assert_eq!(csi(body.as_bytes()), Some(KeyEvent::new(code, held)));
    }

    #[test]
    fn function_keys_are_known_in_every_dialect() {
        for (i, number) in [11, 12, 13, 14, 15, 17, 18, 19, 20, 21, 23, 24]
            .into_iter()
            .enumerate()
        {
            let function = KeyCode::F(u8::try_from(i + 1).unwrap());
            check(&format!("{number}~"), function, KeyModifiers::NONE);
            check(&format!("{number};5~"), function, KeyModifiers::CONTROL);
            check(&format!("{number}^"), function, KeyModifiers::CONTROL);
        }
        for (i, last) in ('A'..='E').enumerate() {
            let function = KeyCode::F(u8::try_from(i + 1).unwrap());
            check(&format!("[{last}"), function, KeyModifiers::NONE);
        }
        assert_eq!(ss3(b"P").unwrap().code, KeyCode::F(1));
        assert_eq!(
            ss3(b"5S"),
            Some(KeyEvent::new(KeyCode::F(4), KeyModifiers::CONTROL))
        );
        check("1;2P", KeyCode::F(1), KeyModifiers::SHIFT);
    }

    #[test]
    fn keys_that_move_are_known_in_every_dialect() {
        let none = KeyModifiers::NONE;
        for (body, code) in [
            ("A", KeyCode::Up),
            ("B", KeyCode::Down),
            ("C", KeyCode::Right),
            ("D", KeyCode::Left),
            ("H", KeyCode::Home),
            ("1~", KeyCode::Home),
            ("7~", KeyCode::Home),
            ("F", KeyCode::End),
            ("4~", KeyCode::End),
            ("8~", KeyCode::End),
            ("2~", KeyCode::Insert),
            ("3~", KeyCode::Delete),
            ("5~", KeyCode::PageUp),
            ("6~", KeyCode::PageDown),
        ] {
            check(body, code, none);
        }
        check("1;5A", KeyCode::Up, KeyModifiers::CONTROL);
        check("1;3D", KeyCode::Left, KeyModifiers::ALT);
        check(
            "1;6F",
            KeyCode::End,
            KeyModifiers::CONTROL | KeyModifiers::SHIFT,
        );
        check("a", KeyCode::Up, KeyModifiers::SHIFT);
        check("5$", KeyCode::PageUp, KeyModifiers::SHIFT);
        check("Z", KeyCode::BackTab, KeyModifiers::SHIFT);
        assert_eq!(ss3(b"A").unwrap().code, KeyCode::Up);
        assert_eq!(ss3(b"H").unwrap().code, KeyCode::Home);
        assert_eq!(
            ss3(b"a"),
            Some(KeyEvent::new(KeyCode::Up, KeyModifiers::CONTROL))
        );
    }

    #[test]
    fn the_number_pad_types_numbers() {
        assert_eq!(ss3(b"p").unwrap().code, KeyCode::Char('0'));
        assert_eq!(ss3(b"y").unwrap().code, KeyCode::Char('9'));
        assert_eq!(ss3(b"k").unwrap().code, KeyCode::Char('+'));
        assert_eq!(ss3(b"M").unwrap().code, KeyCode::Enter);
    }

    #[test]
    fn answers_are_no_keys() {
        for body in [
            "?62;22c",
            ">41;370;0c",
            "=1c",
            "12;40R",
            "1;5R",
            "?12;40R",
            "0n",
            "?2026;2$y",
            "4;1$y",
            "?1u",
            "8;24;80t",
            "2;1;1;112;112;1;0x",
            "I",
            "O",
            "<0;5;3M",
            "",
            "9999999999~",
            "1;1;1;1A",
        ] {
            assert_eq!(csi(body.as_bytes()), None, "{body:?}");
        }
    }

    #[test]
    fn a_key_let_go_does_not_act_again() {
        check("97;5u", KeyCode::Char('a'), KeyModifiers::CONTROL);
        check("97;5:1u", KeyCode::Char('a'), KeyModifiers::CONTROL);
        assert_eq!(csi(b"97;5:3u"), None);
        check("27;5;106~", KeyCode::Char('j'), KeyModifiers::CONTROL);
    }

    #[test]
    fn control_characters_are_the_keys_that_send_them() {
        let ctrl = KeyModifiers::CONTROL;
        assert_eq!(control(3), KeyEvent::new(KeyCode::Char('c'), ctrl));
        assert_eq!(control(0x1a), KeyEvent::new(KeyCode::Char('z'), ctrl));
        assert_eq!(control(0), KeyEvent::new(KeyCode::Char(' '), ctrl));
        assert_eq!(control(0x1c), KeyEvent::new(KeyCode::Char('4'), ctrl));
        assert_eq!(control(0x1f), KeyEvent::new(KeyCode::Char('7'), ctrl));
        assert_eq!(control(0x7f).code, KeyCode::Backspace);
        assert_eq!(control(0x08).code, KeyCode::Backspace);
        assert_eq!(control(b'\r').code, KeyCode::Enter);
        assert_eq!(control(b'\n'), KeyEvent::new(KeyCode::Char('j'), ctrl));
    }

    #[test]
    fn a_click_has_its_place() {
        let click = mouse(b"<0;5;3M").unwrap();
        assert_eq!((click.column, click.row), (4, 2));
        assert_eq!(click.kind, MouseEventKind::Down(MouseButton::Left));
        assert_eq!(mouse(b"<64;1;1M").unwrap().kind, MouseEventKind::ScrollUp);
        assert_eq!(mouse(b"<18;9;9M").unwrap().modifiers, KeyModifiers::CONTROL);
        for broken in [&b"<0;0;0M"[..], b"<0;5M", b"0;5;3M", b"<"] {
            assert_eq!(mouse(broken), None);
        }
    }
}
