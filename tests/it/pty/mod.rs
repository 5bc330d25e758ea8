//! The real binary in a pseudo terminal: what a person at a keyboard and a terminal on a bad line see.

mod console;
mod harness;
mod hostile;
mod keys;
mod life;
mod replay;
mod sequences;
mod stage;
mod training;

/// What these tests know of the screen they drive. Everything else holds for any screen.
mod subject {
    use super::harness::Session;

    /// Stands in the first line from the first frame on.
    pub(super) const STACK: &str = "tiny-stack";
    /// A key that shows something and changes nothing, and what it shows.
    pub(super) const HELP_KEY: &[u8] = b"?";
    pub(super) const HELP: &str = "Esc closes";
    /// What a refused paste shows.
    pub(super) const PASTED: &str = "pasted text is ignored here";
    /// Asks whether to leave, and answers.
    pub(super) const QUIT_KEYS: [&[u8]; 2] = [b"q", b"y"];
    /// Copies something.
    pub(super) const COPY_KEY: &[u8] = b"y";

    /// Leaves in good order from the first screen.
    pub(super) fn quit(session: &mut Session) {
        for key in QUIT_KEYS {
            session.send(key);
        }
    }

    /// No key has reached the program so far, or none that does anything.
    pub(super) fn is_untouched(screen: &str) -> bool {
        const TRACES: [&str; 6] = [
            "Esc closes",
            "Leave the console?",
            "Commands",
            "looking at everything again",
            "Copied",
            "own log",
        ];
        screen.contains("[1 Over]") && !TRACES.iter().any(|trace| screen.contains(trace))
    }

    /// The size the program believes in: its boxes are this wide, and its keys stand in the last line.
    pub(super) fn shows_size(screen: &str, columns: u16, rows: u16) -> bool {
        let lines: Vec<&str> = screen.lines().collect();
        let wide = |line: &&str| {
            line.starts_with('╭')
                && line.ends_with('╮')
                && line.chars().count() == usize::from(columns)
        };
        lines.len() == usize::from(rows)
            && lines.iter().any(wide)
            && lines[lines.len() - 1].contains("q back")
    }

    /// How many frames the program wrote, told to its log on its way out.
    pub(super) fn frames(session: &Session) -> u64 {
        let log = session.own_log();
        let figure = log.split("frames=").nth(1).unwrap_or_default();
        let figure = figure.split_whitespace().next().unwrap_or_default();
        figure.parse().expect("the figure of the last line")
    }
}
