//! What a terminal sends becomes what a person pressed.
//!
//! A terminal sends keys and answers on one line. An answer that comes late, for a question of another program, must not
//! become keys: its letters would act. Half a sequence must not hold up the keys behind it. So everything here ends: at
//! its last byte, after a time, or after a size, and what was part of a sequence never becomes a key.
//!
//! Pure: time is handed in, as the time since the start. **Invariant:** after five seconds of silence the next key is
//! that key, whatever came before.

use std::time::Duration;

use crossterm::event::{KeyEvent, MouseEvent};

use super::decode;

/// A lone ESC is the key after this. A sequence arrives in one piece on nearly every link.
pub const ESCAPE_MAX: Duration = Duration::from_millis(50);

/// Half a key sequence is dropped after this.
pub const SEQUENCE_MAX: Duration = Duration::from_millis(100);

/// How long the rest of an answer is waited for. A slow link delivers within this, and nobody waits longer for a key.
pub const ANSWER_MAX: Duration = Duration::from_secs(5);

/// The longest answer; a clipboard's content is the only one that comes near.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// The longest key or report has some thirty bytes.
const SEQUENCE_BYTES_MAX: usize = 256;

/// A paste without an end is over after this much silence.
pub const PASTE_SILENCE_MAX: Duration = Duration::from_secs(1);

/// A person pastes a paragraph, not a file.
pub const PASTE_BYTES_MAX: usize = 64 * 1024;

/// Nobody types more than [`TYPED_MAX`] letters in this time: more is a paste.
pub const BURST: Duration = Duration::from_millis(10);

/// See [`BURST`].
pub const TYPED_MAX: usize = 5;

const PASTE_END: &[u8] = b"\x1b[201~";

/// What a person did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pressed {
    Key(KeyEvent),
    /// As it came, with line feeds between lines. Not cleaned yet.
    Paste(String),
    Mouse(MouseEvent),
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Ground,
    Escape,
    Csi,
    Ss3,
    /// OSC, DCS, APC, PM or SOS: swallowed up to its terminator.
    Answer {
        bytes: usize,
        escape: bool,
    },
    /// An answer that has become too long: whatever comes without a pause still belongs to it.
    Flood,
    /// The old mouse report: three bytes that look like letters.
    OldMouse {
        left: u8,
    },
    Paste {
        matched: usize,
    },
}

/// A sequence that was given up, whose rest may still come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Torn {
    No,
    /// Behind an ESC that has become the key.
    Escape {
        until: Duration,
    },
    /// Inside `ESC [ …`; its bytes are in the buffer.
    Csi {
        until: Duration,
    },
}

/// The state between two bytes.
#[derive(Debug)]
pub struct Filter {
    state: State,
    /// When the state began, or, in a paste, when the last byte came.
    since: Duration,
    torn: Torn,
    /// The sequence or the paste so far.
    held: Vec<u8>,
    /// The letter so far, of several bytes.
    letter: Vec<u8>,
    /// What was typed within [`BURST`] of `typed_at`.
    typed: Vec<char>,
    typed_at: Duration,
    mouse: bool,
    out: Vec<Pressed>,
}

impl Filter {
    /// `mouse`: reports are wanted, not swallowed.
    pub fn new(mouse: bool) -> Self {
        Self {
            state: State::Ground,
            since: Duration::ZERO,
            torn: Torn::No,
            held: Vec::new(),
            letter: Vec::new(),
            typed: Vec::new(),
            typed_at: Duration::ZERO,
            mouse,
            out: Vec::new(),
        }
    }

    /// Takes what one read gave.
    pub fn feed(&mut self, packet: &[u8], now: Duration) -> Vec<Pressed> {
        self.expire(now);
        let packet = self.mend(packet, now);
        for &byte in packet {
            self.byte(byte, now);
        }
        std::mem::take(&mut self.out)
    }

    /// Lets time pass: what waited long enough is decided.
    pub fn tick(&mut self, now: Duration) -> Vec<Pressed> {
        self.expire(now);
        std::mem::take(&mut self.out)
    }

    /// When [`Filter::tick`] has something to decide.
    pub fn due(&self) -> Option<Duration> {
        let state = self.patience().map(|patience| self.since + patience);
        let typed = (!self.typed.is_empty()).then(|| self.typed_at + BURST);
        state.into_iter().chain(typed).min()
    }

    fn patience(&self) -> Option<Duration> {
        match self.state {
            State::Ground => None,
            State::Escape => Some(ESCAPE_MAX),
            // No key has a private mark: this is an answer, and can wait for its rest.
            State::Csi if self.is_private() => Some(ANSWER_MAX),
            State::Csi | State::Ss3 | State::Flood | State::OldMouse { .. } => Some(SEQUENCE_MAX),
            State::Answer { .. } => Some(ANSWER_MAX),
            State::Paste { .. } => Some(PASTE_SILENCE_MAX),
        }
    }

    fn is_private(&self) -> bool {
        matches!(self.held.first(), Some(b'?' | b'>' | b'='))
    }

    fn expire(&mut self, now: Duration) {
        if !self.typed.is_empty() && now >= self.typed_at + BURST {
            self.settle();
        }
        if self
            .patience()
            .is_none_or(|patience| now < self.since + patience)
        {
            return;
        }
        let until = now.max(self.since) + ANSWER_MAX.saturating_sub(SEQUENCE_MAX);
        match std::mem::replace(&mut self.state, State::Ground) {
            State::Escape => {
                self.key(decode::control(0x1b));
                self.torn = Torn::Escape {
                    until: self.since + ANSWER_MAX,
                };
            }
            // rxvt's Shift-PageUp ends with what elsewhere is in front of the last byte.
            State::Csi if self.held.ends_with(b"$") && decode::csi(&self.held).is_some() => {
                if let Some(key) = decode::csi(&self.held) {
                    self.key(key);
                }
            }
            State::Csi if !self.is_private() => {
                self.torn = Torn::Csi {
                    until: until.min(self.since + ANSWER_MAX),
                };
            }
            State::Paste { matched } => self.pasted(matched),
            State::Ground
            | State::Csi
            | State::Ss3
            | State::Answer { .. }
            | State::Flood
            | State::OldMouse { .. } => {}
        }
    }

    /// Looks whether a packet is the rest of a sequence that was given up, and returns what is to be read as usual. A
    /// person does not type `]11;` or `12;40R` in one packet.
    fn mend<'a>(&mut self, packet: &'a [u8], now: Duration) -> &'a [u8] {
        match std::mem::replace(&mut self.torn, Torn::No) {
            Torn::Escape { until } if now < until && is_torn_answer(packet) => {
                self.settle();
                self.introduce(packet[0], now);
                &packet[1..]
            }
            Torn::Csi { until } if now < until && is_torn_report(&self.held, packet) => {
                self.settle();
                (self.state, self.since) = (State::Csi, now);
                packet
            }
            Torn::No | Torn::Escape { .. } | Torn::Csi { .. } => packet,
        }
    }

    fn byte(&mut self, byte: u8, now: Duration) {
        match self.state {
            State::Ground => self.ground(byte, now),
            State::Escape => self.introduce(byte, now),
            State::Csi => self.csi(byte, now),
            State::Ss3 => self.ss3(byte, now),
            State::Answer { bytes, escape } => self.answer(byte, bytes, escape, now),
            State::Flood if byte == 0x03 => self.answer(byte, 0, false, now),
            State::Flood => self.since = now,
            State::OldMouse { left: 0 | 1 } => self.state = State::Ground,
            State::OldMouse { left } => self.state = State::OldMouse { left: left - 1 },
            State::Paste { matched } => self.paste(byte, matched, now),
        }
    }

    fn ground(&mut self, byte: u8, now: Duration) {
        if byte == 0x1b {
            self.letter.clear();
            self.begin(State::Escape, now);
            return;
        }
        if let 0x80.. = byte {
            self.part_of_letter(byte, now);
            return;
        }
        self.letter.clear();
        match byte {
            b'\r' | b'\n' | b'\t' | 0x20..=0x7e => self.type_in(char::from(byte), now),
            _ => self.key(decode::control(byte)),
        }
    }

    fn part_of_letter(&mut self, byte: u8, now: Duration) {
        let is_first = !(0x80..0xc0).contains(&byte);
        if is_first {
            self.letter.clear();
        } else if self.letter.is_empty() {
            // The eight-bit forms of the introducers.
            if let 0x8f | 0x90 | 0x98 | 0x9b | 0x9d..=0x9f = byte {
                self.introduce(byte - 0x40, now);
            }
            return;
        }
        self.letter.push(byte);
        match std::str::from_utf8(&self.letter) {
            Ok(letter) => {
                let c = letter.chars().next().expect("some bytes were valid");
                self.letter.clear();
                self.type_in(c, now);
            }
            Err(e) if e.error_len().is_some() => self.letter.clear(),
            Err(_unfinished) => {}
        }
    }

    /// The byte behind an ESC.
    fn introduce(&mut self, byte: u8, now: Duration) {
        match byte {
            b'[' => self.begin(State::Csi, now),
            b'O' => self.begin(State::Ss3, now),
            b']' | b'P' | b'X' | b'^' | b'_' => self.begin(
                State::Answer {
                    bytes: 0,
                    escape: false,
                },
                now,
            ),
            // Over a slow link Esc and the key behind it arrive together: two keys, never Alt.
            _ => {
                self.key(decode::control(0x1b));
                self.state = State::Ground;
                self.ground(byte, now);
            }
        }
    }

    fn begin(&mut self, state: State, now: Duration) {
        self.settle();
        self.held.clear();
        (self.state, self.since) = (state, now);
    }

    fn csi(&mut self, byte: u8, now: Duration) {
        match byte {
            0x1b => self.begin(State::Escape, now),
            // The Linux console's function keys have a second bracket.
            b'[' if self.held.is_empty() => self.held.push(byte),
            0x20..=0x3f if self.held.len() < SEQUENCE_BYTES_MAX => self.held.push(byte),
            0x20..=0x3f => self.state = State::Ground,
            0x40..=0x7e => {
                self.held.push(byte);
                self.end_csi(now);
            }
            // Not part of any sequence: the sequence is broken, the key is a key.
            _ => {
                self.state = State::Ground;
                self.ground(byte, now);
            }
        }
    }

    fn end_csi(&mut self, now: Duration) {
        self.state = State::Ground;
        match self.held.as_slice() {
            b"200~" => self.begin(State::Paste { matched: 0 }, now),
            b"M" => self.begin(State::OldMouse { left: 3 }, now),
            [b'<', ..] => {
                if let (true, Some(event)) = (self.mouse, decode::mouse(&self.held)) {
                    self.settle();
                    self.out.push(Pressed::Mouse(event));
                }
            }
            body => {
                if let Some(key) = decode::csi(body) {
                    self.key(key);
                }
            }
        }
    }

    fn ss3(&mut self, byte: u8, now: Duration) {
        match byte {
            0x1b => self.begin(State::Escape, now),
            b'0'..=b'9' | b';' if self.held.len() < SEQUENCE_BYTES_MAX => self.held.push(byte),
            0x20..=0x7e => {
                self.state = State::Ground;
                self.held.push(byte);
                if let Some(key) = decode::ss3(&self.held) {
                    self.key(key);
                }
            }
            _ => {
                self.state = State::Ground;
                self.ground(byte, now);
            }
        }
    }

    fn answer(&mut self, byte: u8, bytes: usize, escape: bool, now: Duration) {
        match (escape, byte) {
            (false, 0x1b) => {
                self.state = State::Answer {
                    bytes,
                    escape: true,
                };
            }
            (true, b'\\') | (false, 0x07 | 0x18 | 0x1a) => self.state = State::Ground,
            // A person who wants out is let out.
            (_, 0x03) => {
                self.state = State::Ground;
                self.key(decode::control(0x03));
            }
            // Another sequence has begun: the terminal has given up on this one.
            (true, _) => self.introduce(byte, now),
            (false, _) if bytes >= ANSWER_BYTES_MAX => self.begin(State::Flood, now),
            (false, _) => {
                self.state = State::Answer {
                    bytes: bytes + 1,
                    escape: false,
                };
            }
        }
    }

    fn paste(&mut self, byte: u8, matched: usize, now: Duration) {
        self.since = now;
        let matched = match byte {
            _ if byte == PASTE_END[matched] => matched + 1,
            _ => {
                self.keep(&PASTE_END[..matched]);
                match byte {
                    0x1b => 1,
                    _ => {
                        self.keep(&[byte]);
                        0
                    }
                }
            }
        };
        if matched < PASTE_END.len() {
            self.state = State::Paste { matched };
        } else {
            self.state = State::Ground;
            self.pasted(0);
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = PASTE_BYTES_MAX.saturating_sub(self.held.len());
        self.held.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn pasted(&mut self, matched: usize) {
        self.keep(&PASTE_END[..matched]);
        let text = String::from_utf8_lossy(&self.held).into_owned();
        self.held.clear();
        self.out.push(Pressed::Paste(lines(&text)));
    }

    fn type_in(&mut self, c: char, now: Duration) {
        if self.typed.is_empty() {
            self.typed_at = now;
        } else if now >= self.typed_at + BURST {
            self.settle();
            self.typed_at = now;
        }
        if self.typed.len() > TYPED_MAX {
            // A paste goes on for as long as its letters come this fast.
            self.typed_at = now;
        }
        self.typed.push(c);
        if self.typed.len() >= PASTE_BYTES_MAX / 4 {
            self.settle();
        }
    }

    fn key(&mut self, key: KeyEvent) {
        self.settle();
        self.out.push(Pressed::Key(key));
    }

    /// Decides what the letters typed so far are.
    fn settle(&mut self) {
        if self.typed.len() > TYPED_MAX {
            let text: String = self.typed.drain(..).collect();
            self.out.push(Pressed::Paste(lines(&text)));
        } else {
            let keys = self.typed.drain(..).map(|c| match u8::try_from(c) {
                Ok(byte @ 0..0x20) => decode::control(byte),
                _ => decode::printed(c),
            });
            self.out.extend(keys.map(Pressed::Key));
        }
    }
}

fn lines(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

/// `]11;…`, `P>|…`, `[?62;c`, `_G…`: what stands behind the ESC of an answer.
fn is_torn_answer(packet: &[u8]) -> bool {
    match packet {
        [b'[', rest @ ..] => match rest.iter().position(|b| !(0x20..0x40).contains(b)) {
            Some(0) => matches!(rest, [b'A'..=b'H' | b'I' | b'O' | b'Z']),
            Some(end) => (0x40..0x7f).contains(&rest[end]),
            None => !rest.is_empty(),
        },
        [b']', b'0'..=b'9' | b'l' | b'L', ..]
        | [b'P', b'0'..=b'9' | b'>' | b'!' | b'$' | b'+', ..]
        | [b'_' | b'^' | b'X', _, ..] => true,
        _ => false,
    }
}

/// Whether `packet` goes on with the parameters in `held` and ends as a report does, or does not end.
fn is_torn_report(held: &[u8], packet: &[u8]) -> bool {
    let Some(end) = packet.iter().position(|b| !(0x20..0x40).contains(b)) else {
        // All parameters: a single figure may be typed.
        return packet.len() > 1;
    };
    let is_report = matches!(
        packet[end],
        b'R' | b'c' | b'n' | b't' | b'u' | b'x' | b'y' | b'M' | b'm' | b'~'
    );
    match (held.is_empty(), end) {
        (true, 0) => matches!(packet, [b'A'..=b'D' | b'F' | b'H' | b'I' | b'O']),
        (true, _) => (0x40..0x7f).contains(&packet[end]),
        (false, 0) => is_report && packet.len() == 1,
        (false, _) => is_report,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossterm::event::{KeyCode, KeyModifiers};
    use proptest::prelude::*;

    const GAP: Duration = Duration::from_secs(2);

    /// What terminals say when they are asked, or when they lose the focus.
    const ANSWERS: &[&str] = &[
        "\x1b]11;rgb:1e1e/1e1e/1e1e\x07",
        "\x1b]10;rgb:dddd/dddd/dddd\x1b\\",
        "\x1b]4;1;rgb:cdcd/0000/0000\x1b\\",
        "\x1b]52;c;cmVzdGFydCByb2xsIHF1aXQ=\x07",
        "\x1b]lrestart\x1b\\",
        "\x1b]Lrestart\x1b\\",
        "\x1b[?62;22c",
        "\x1b[?1;2c",
        "\x1b[>41;370;0c",
        "\x1b[=0;1c",
        "\x1b[?2026;2$y",
        "\x1b[?2004;1$y",
        "\x1b[4;1$y",
        "\x1b[12;40R",
        "\x1b[?12;40;1R",
        "\x1b[0n",
        "\x1b[?13n",
        "\x1b[?0u",
        "\x1b[?31u",
        "\x1b[8;24;80t",
        "\x1b[4;600;800t",
        "\x1b[2;1;1;112;112;1;0x",
        "\x1b[<35;10;10M",
        "\x1b[<0;10;10m",
        "\x1b[I",
        "\x1b[O",
        "\x1bP>|XTerm(370)\x1b\\",
        "\x1bP!|00000000\x1b\\",
        "\x1bP1$r0 q\x1b\\",
        "\x1bP0$r\x1b\\",
        "\x1bP1+r544e=787465726d\x1b\\",
        "\x1b_Gi=31;OK\x1b\\",
        "\x1b^private\x1b\\",
        "\x1bXstart of string\x1b\\",
    ];

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    /// Feeds packets, each after its gap, and lets all time pass that somebody waits for.
    fn run(packets: &[(u64, &[u8])]) -> Vec<Pressed> {
        let mut filter = Filter::new(false);
        let (mut now, mut seen) = (Duration::ZERO, Vec::new());
        for (gap, bytes) in packets {
            let end = now + ms(*gap);
            pass(&mut filter, &mut seen, end);
            now = end;
            seen.extend(filter.feed(bytes, now));
        }
        pass(&mut filter, &mut seen, now + Duration::from_mins(1));
        seen
    }

    fn pass(filter: &mut Filter, seen: &mut Vec<Pressed>, end: Duration) {
        while let Some(due) = filter.due().filter(|&due| due <= end) {
            seen.extend(filter.tick(due));
        }
    }

    fn key(c: char) -> Pressed {
        Pressed::Key(decode::printed(c))
    }

    fn code(code: KeyCode) -> Pressed {
        Pressed::Key(KeyEvent::new(code, KeyModifiers::NONE))
    }

    #[track_caller]
    fn check(packets: &[(u64, &[u8])], expected: &[Pressed]) {
        assert_eq!(run(packets), expected);
    }

    #[test]
    fn no_part_of_an_answer_is_a_key_wherever_it_is_torn() {
        for answer in ANSWERS {
            let bytes = answer.as_bytes();
            for at in 0..=bytes.len() {
                let gap = u64::try_from(GAP.as_millis()).unwrap();
                let seen = run(&[(0, &bytes[..at]), (gap, &bytes[at..]), (6000, b"j")]);
                // An ESC and two seconds of silence is a person who pressed Esc.
                let expected = match at {
                    1 => vec![code(KeyCode::Esc), key('j')],
                    _ => vec![key('j')],
                };
                assert_eq!(seen, expected, "{answer:?} torn at {at}");
            }
        }
    }

    #[test]
    fn a_key_right_behind_an_answer_is_a_key() {
        for answer in ANSWERS {
            let all = [answer.as_bytes(), b"j"].concat();
            check(&[(0, &all)], &[key('j')]);
            check(&[(0, answer.as_bytes()), (1, b"j")], &[key('j')]);
        }
    }

    #[test]
    fn half_a_sequence_does_not_hold_up_the_next_key() {
        check(&[(0, b"\x1b["), (200, b"j")], &[key('j')]);
        check(&[(0, b"\x1b[12"), (200, b"j")], &[key('j')]);
        check(&[(0, b"\x1bO"), (200, b"j")], &[key('j')]);
        check(&[(0, b"\x1b[?2026;2$y"), (0, b"j")], &[key('j')]);
        check(&[(0, b"\x1b[?"), (5100, b"j")], &[key('j')]);
        check(&[(0, b"\x1b]11;"), (5100, b"j")], &[key('j')]);
        check(&[(0, b"\x1b[M"), (200, b"j")], &[key('j')]);
    }

    #[test]
    fn an_old_mouse_report_is_not_typed() {
        check(&[(0, b"\x1b[M !!j")], &[key('j')]);
    }

    #[test]
    fn an_answer_of_any_length_ends() {
        let mut bytes = b"\x1b]52;c;".to_vec();
        bytes.extend(std::iter::repeat_n(b'r', ANSWER_BYTES_MAX - 5));
        assert_eq!(run(&[(0, &bytes), (1, b"\x07j")]), [key('j')]);
        bytes.extend(std::iter::repeat_n(b'r', ANSWER_BYTES_MAX));
        assert_eq!(
            run(&[(0, &bytes), (1, b"rrr\x07"), (200, b"j")]),
            [key('j')]
        );
        check(
            &[(0, b"\x1b]11;rgb:"), (10, b"\x03")],
            &[Pressed::Key(decode::control(3))],
        );
    }

    #[test]
    fn a_lone_escape_is_the_key_after_a_moment() {
        let mut filter = Filter::new(false);
        assert_eq!(filter.feed(b"\x1b", ms(0)), []);
        assert_eq!(filter.due(), Some(ESCAPE_MAX));
        assert_eq!(filter.tick(ms(49)), []);
        assert_eq!(filter.tick(ms(50)), [code(KeyCode::Esc)]);
        assert_eq!(filter.due(), None);
        check(&[(0, b"\x1b"), (60, b"]")], &[code(KeyCode::Esc), key(']')]);
    }

    #[test]
    fn escape_and_a_letter_in_one_packet_are_two_keys() {
        check(&[(0, b"\x1bx")], &[code(KeyCode::Esc), key('x')]);
        check(
            &[(0, b"\x1b\x1b[A")],
            &[code(KeyCode::Esc), code(KeyCode::Up)],
        );
    }

    #[test]
    fn keys_torn_apart_by_the_link_are_whole() {
        check(&[(0, b"\x1b"), (20, b"[A")], &[code(KeyCode::Up)]);
        check(
            &[(0, b"\x1b["), (50, b"1;5"), (20, b"A")],
            &[Pressed::Key(KeyEvent::new(
                KeyCode::Up,
                KeyModifiers::CONTROL,
            ))],
        );
        check(&[(0, b"\xe6\x97"), (500, b"\xa5")], &[key('日')]);
        check(&[(0, b"\xff\xe6j")], &[key('j')]);
    }

    #[test]
    fn a_paste_is_one_thing() {
        check(
            &[(0, b"\x1b[200~rm -rf\r\n\x1b[A q\x1b[201~j")],
            &[Pressed::Paste("rm -rf\n\x1b[A q".into()), key('j')],
        );
        check(
            &[(0, b"\x1b[200~ab\x1b[2"), (500, b"01~")],
            &[Pressed::Paste("ab".into())],
        );
    }

    #[test]
    fn a_paste_without_end_is_over_after_a_second() {
        check(
            &[(0, b"\x1b[200~abc"), (1100, b"j")],
            &[Pressed::Paste("abc".into()), key('j')],
        );
    }

    #[test]
    fn a_paste_is_bounded() {
        let mut bytes = b"\x1b[200~".to_vec();
        bytes.extend(std::iter::repeat_n(b'x', 2 * PASTE_BYTES_MAX));
        bytes.extend_from_slice(b"\x1b[201~");
        let [Pressed::Paste(text)] = &run(&[(0, &bytes)])[..] else {
            panic!("one paste");
        };
        assert_eq!(text.len(), PASTE_BYTES_MAX);
    }

    #[test]
    fn letters_faster_than_a_person_are_a_paste() {
        check(&[(0, b"quit\ry")], &[Pressed::Paste("quit\ny".into())]);
        check(
            &[(0, b"abcd"), (5, b"efgh"), (8, b"i")],
            &[Pressed::Paste("abcdefghi".into())],
        );
        check(&[(0, b"abc"), (20, b"d")], &['a', 'b', 'c', 'd'].map(key));
        check(&[(0, b"jjjjj")], &['j'; 5].map(key));
    }

    #[test]
    fn the_mouse_is_heard_only_when_wanted() {
        assert_eq!(Filter::new(false).feed(b"\x1b[<0;5;3M", ms(0)), []);
        let seen = Filter::new(true).feed(b"\x1b[<0;5;3M", ms(0));
        assert!(matches!(seen[..], [Pressed::Mouse(_)]), "{seen:?}");
    }

    /// Bytes that steer, mixed with any others.
    fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![
            3 => proptest::sample::select(&b"\x1b\x1b[]OPX^_?;<>$0129~MRcuyj\\\x07\x9b\x9d"[..]),
            1 => any::<u8>(),
        ];
        proptest::collection::vec(byte, 0..40)
    }

    proptest! {
        #[test]
        fn nothing_wedges_the_keyboard(
            packets in proptest::collection::vec((0..3000u64, any_bytes()), 0..6)
        ) {
            let mut packets: Vec<(u64, &[u8])> =
                packets.iter().map(|(gap, bytes)| (*gap, bytes.as_slice())).collect();
            packets.push((5000, b"j"));
            let seen = run(&packets);
            prop_assert_eq!(seen.last(), Some(&key('j')));
        }

        #[test]
        fn packets_without_gaps_are_as_one(bytes in any_bytes(), at in 0..40usize) {
            let at = at.min(bytes.len());
            let mut whole = Filter::new(false);
            let mut parts = Filter::new(false);
            let mut one = whole.feed(&bytes, ms(0));
            let mut two = parts.feed(&bytes[..at], ms(0));
            two.extend(parts.feed(&bytes[at..], ms(0)));
            one.extend(whole.tick(Duration::from_secs(9)));
            two.extend(parts.tick(Duration::from_secs(9)));
            prop_assert_eq!(one, two);
        }

        #[test]
        fn no_more_is_kept_than_is_bounded(bytes in proptest::collection::vec(any::<u8>(), 0..4000)) {
            let mut filter = Filter::new(false);
            for chunk in bytes.chunks(7) {
                filter.feed(chunk, ms(0));
                prop_assert!(filter.letter.len() <= 4);
            }
            prop_assert!(filter.held.len() <= PASTE_BYTES_MAX);
        }
    }
}
