//! Colours by meaning. A theme gives each [`Role`] a style; nothing else in the view names a colour.
//!
//! Themes are TOML: `inherits`, a `[palette]` of own names, and `[roles]`. A role that a file gives replaces the
//! inherited one; palette names are looked up last, so a file that only changes the palette recolours everything.
//! Reading files is the shell's business: it hands in a look-up.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use ratatui::style::{Color, Modifier, Style};
use thiserror::Error;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What a piece of the screen means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    Text,
    Dim,
    Title,
    Border,
    /// The border of the pane that has the keys.
    Focus,
    /// The row under the cursor, in the pane that has the keys.
    Selected,
    /// The row under the cursor, in another pane.
    Chosen,
    Header,
    Tab,
    TabActive,
    Key,
    Accent,
    Match,
    Good,
    Busy,
    Poor,
    Bad,
    Unknown,
    Production,
    Environment,
    Training,
    Frozen,
    Armed,
    Limit,
    Chart1,
    Chart2,
    Chart3,
    Chart4,
}

impl Role {
    pub const ALL: [Self; 28] = [
        Self::Text,
        Self::Dim,
        Self::Title,
        Self::Border,
        Self::Focus,
        Self::Selected,
        Self::Chosen,
        Self::Header,
        Self::Tab,
        Self::TabActive,
        Self::Key,
        Self::Accent,
        Self::Match,
        Self::Good,
        Self::Busy,
        Self::Poor,
        Self::Bad,
        Self::Unknown,
        Self::Production,
        Self::Environment,
        Self::Training,
        Self::Frozen,
        Self::Armed,
        Self::Limit,
        Self::Chart1,
        Self::Chart2,
        Self::Chart3,
        Self::Chart4,
    ];

    /// As theme files write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Dim => "dim",
            Self::Title => "title",
            Self::Border => "border",
            Self::Focus => "focus",
            Self::Selected => "selected",
            Self::Chosen => "chosen",
            Self::Header => "header",
            Self::Tab => "tab",
            Self::TabActive => "tab-active",
            Self::Key => "key",
            Self::Accent => "accent",
            Self::Match => "match",
            Self::Good => "good",
            Self::Busy => "busy",
            Self::Poor => "poor",
            Self::Bad => "bad",
            Self::Unknown => "unknown",
            Self::Production => "production",
            Self::Environment => "environment",
            Self::Training => "training",
            Self::Frozen => "frozen",
            Self::Armed => "armed",
            Self::Limit => "limit",
            Self::Chart1 => "chart1",
            Self::Chart2 => "chart2",
            Self::Chart3 => "chart3",
            Self::Chart4 => "chart4",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// A style for each role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Theme {
    pub name: String,
    styles: [Style; Role::ALL.len()],
}

/// A theme file as the shell found it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThemeFile {
    /// For messages.
    pub path: String,
    pub text: String,
}

/// One thing that is wrong with a theme.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{file}:{line}: {text}; {remedy}")]
pub struct ThemeProblem {
    pub file: String,
    pub line: usize,
    pub text: String,
    pub remedy: String,
}

/// All that is wrong with a theme, in the order of its lines.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct ThemeError(pub Vec<ThemeProblem>);

impl fmt::Display for ThemeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

/// The themes that are built in.
pub const BUILT_IN: [(&str, &str); 6] = [
    ("default", include_str!("../../themes/default.toml")),
    ("dark", include_str!("../../themes/dark.toml")),
    ("light", include_str!("../../themes/light.toml")),
    ("mono", include_str!("../../themes/mono.toml")),
    ("cb-safe", include_str!("../../themes/cb-safe.toml")),
    (
        "high-contrast",
        include_str!("../../themes/high-contrast.toml"),
    ),
];

/// Deeper inheritance than this is a circle or a joke.
const INHERIT_MAX: usize = 8;

/// A theme is a page of text; more is some other file.
const BYTES_MAX: usize = 64 * 1024;

impl Default for Theme {
    fn default() -> Self {
        Self::load("default", |_| None)
            .expect("the built-in default theme is read by a test on every build")
    }
}

impl Theme {
    pub fn style(&self, role: Role) -> Style {
        Role::ALL
            .iter()
            .position(|known| *known == role)
            .map_or_else(Style::new, |at| self.styles[at])
    }

    /// Loads a theme by name. `find` looks among the user's own files, which win over the built-in ones.
    pub fn load(name: &str, find: impl Fn(&str) -> Option<ThemeFile>) -> Result<Self, ThemeError> {
        let mut merged = Draft::default();
        let mut problems = Vec::new();
        let mut next = Some(name.to_owned());
        let mut asked: Vec<String> = Vec::new();
        while let Some(wanted) = next.take() {
            // A user's `default` that inherits `default` means the built-in one.
            let own = (!asked.contains(&wanted)).then(|| find(&wanted)).flatten();
            let Some(file) = own.or_else(|| built_in(&wanted)) else {
                problems.push(missing(&wanted, asked.last(), &find));
                break;
            };
            asked.push(wanted);
            if asked.len() > INHERIT_MAX {
                problems.push(ThemeProblem {
                    file: file.path,
                    line: 1,
                    text: format!("themes inherit each other more than {INHERIT_MAX} deep"),
                    remedy: "let one of them inherit \"default\"".to_owned(),
                });
                break;
            }
            let draft = read(&file, &mut problems);
            next.clone_from(&draft.inherits);
            merged.inherit(draft);
        }
        let styles = Role::ALL.map(|role| merged.resolve(role, &mut problems));
        if problems.is_empty() {
            Ok(Self {
                name: name.to_owned(),
                styles,
            })
        } else {
            Err(ThemeError(problems))
        }
    }
}

fn built_in(name: &str) -> Option<ThemeFile> {
    BUILT_IN
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(known, text)| ThemeFile {
            path: format!("built-in theme {known}"),
            text: (*text).to_owned(),
        })
}

fn missing(
    wanted: &str,
    by: Option<&String>,
    find: &impl Fn(&str) -> Option<ThemeFile>,
) -> ThemeProblem {
    let names: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
    ThemeProblem {
        file: by
            .and_then(|name| find(name))
            .map_or_else(|| "theme".to_owned(), |file| file.path),
        line: 1,
        text: format!("there is no theme {wanted:?}"),
        remedy: format!(
            "built in are {}; others are files of the themes directory",
            names.join(", ")
        ),
    }
}

/// A word of a file, with where it stands.
#[derive(Debug, Clone)]
struct Word {
    text: String,
    file: String,
    line: usize,
}

#[derive(Debug, Clone, Default)]
struct RoleDraft {
    fg: Option<Word>,
    bg: Option<Word>,
    modifiers: Modifier,
}

#[derive(Debug, Default)]
struct Draft {
    inherits: Option<String>,
    palette: BTreeMap<String, Word>,
    roles: BTreeMap<Role, RoleDraft>,
}

impl Draft {
    /// What a parent gives counts only where nothing nearer has spoken.
    fn inherit(&mut self, parent: Self) {
        for (name, word) in parent.palette {
            self.palette.entry(name).or_insert(word);
        }
        for (role, draft) in parent.roles {
            self.roles.entry(role).or_insert(draft);
        }
    }

    fn resolve(&self, role: Role, problems: &mut Vec<ThemeProblem>) -> Style {
        let Some(draft) = self.roles.get(&role) else {
            return Style::new();
        };
        let mut style = Style::new().add_modifier(draft.modifiers);
        style.fg = draft
            .fg
            .as_ref()
            .and_then(|word| self.color(word, problems));
        style.bg = draft
            .bg
            .as_ref()
            .and_then(|word| self.color(word, problems));
        style
    }

    fn color(&self, word: &Word, problems: &mut Vec<ThemeProblem>) -> Option<Color> {
        let meant = self.palette.get(&word.text).unwrap_or(word);
        let color = color(&meant.text);
        if color.is_none() {
            problems.push(ThemeProblem {
                file: meant.file.clone(),
                line: meant.line,
                text: format!("{:?} is no colour", meant.text),
                remedy: "write a name of the palette, a terminal colour (red, light-blue, …), base00 to base0F or #rrggbb".to_owned(),
            });
        }
        color
    }
}

/// Named terminal colours, base16 names by their usual place among them, and `#rrggbb`.
fn color(text: &str) -> Option<Color> {
    Some(match text {
        "default" | "base00" | "base05" => Color::Reset,
        "black" => Color::Black,
        "red" | "base08" => Color::Red,
        "green" | "base0B" => Color::Green,
        "yellow" | "base0A" => Color::Yellow,
        "blue" | "base0D" => Color::Blue,
        "magenta" | "base0E" => Color::Magenta,
        "cyan" | "base0C" => Color::Cyan,
        "gray" | "base04" => Color::Gray,
        "dark-gray" | "base01" | "base02" | "base03" => Color::DarkGray,
        "light-red" | "base09" | "base0F" => Color::LightRed,
        "light-green" => Color::LightGreen,
        "light-yellow" => Color::LightYellow,
        "light-blue" => Color::LightBlue,
        "light-magenta" => Color::LightMagenta,
        "light-cyan" => Color::LightCyan,
        "white" | "base06" | "base07" => Color::White,
        hex => {
            let digits = hex.strip_prefix('#').filter(|digits| {
                digits.len() == 6 && digits.bytes().all(|b| b.is_ascii_hexdigit())
            })?;
            let value = u32::from_str_radix(digits, 16).ok()?;
            let [_, r, g, b] = value.to_be_bytes();
            Color::Rgb(r, g, b)
        }
    })
}

fn modifier(text: &str) -> Option<Modifier> {
    Some(match text {
        "bold" => Modifier::BOLD,
        "dim" => Modifier::DIM,
        "italic" => Modifier::ITALIC,
        "underlined" => Modifier::UNDERLINED,
        "reversed" => Modifier::REVERSED,
        _ => return None,
    })
}

/// Reads one file. Problems are collected, so that one look at the messages is enough.
struct Reader<'a> {
    file: &'a ThemeFile,
    problems: &'a mut Vec<ThemeProblem>,
}

fn read(file: &ThemeFile, problems: &mut Vec<ThemeProblem>) -> Draft {
    let mut reader = Reader { file, problems };
    if file.text.len() > BYTES_MAX {
        reader.complain(
            0..0,
            format!("{} bytes are no theme", file.text.len()),
            "keep it under 64 KiB".to_owned(),
        );
        return Draft::default();
    }
    match DeTable::parse(&file.text) {
        Ok(table) => reader.file(table.get_ref()),
        Err(error) => {
            reader.complain(
                error.span().unwrap_or(0..0),
                format!("this is no TOML: {}", error.message()),
                "mend this line".to_owned(),
            );
            Draft::default()
        }
    }
}

impl Reader<'_> {
    fn line(&self, at: &Range<usize>) -> usize {
        let before = self
            .file
            .text
            .as_bytes()
            .get(..at.start)
            .unwrap_or_default();
        1 + before.split(|b| *b == b'\n').count().saturating_sub(1)
    }

    fn complain(&mut self, at: Range<usize>, text: String, remedy: String) {
        let line = self.line(&at);
        self.problems.push(ThemeProblem {
            file: self.file.path.clone(),
            line,
            text,
            remedy,
        });
    }

    fn word(&mut self, value: &Spanned<DeValue<'_>>) -> Option<Word> {
        let Some(text) = value.get_ref().as_str() else {
            let found = value.get_ref().type_str();
            self.complain(
                value.span(),
                format!("a text is expected here, not {found}"),
                "put it in quotes".to_owned(),
            );
            return None;
        };
        Some(Word {
            text: text.to_owned(),
            file: self.file.path.clone(),
            line: self.line(&value.span()),
        })
    }

    fn table<'v, 'i>(&mut self, value: &'v Spanned<DeValue<'i>>) -> Option<&'v DeTable<'i>> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            let found = value.get_ref().type_str();
            self.complain(
                value.span(),
                format!("a table is expected here, not {found}"),
                "write [palette] or [roles] on a line of its own".to_owned(),
            );
        }
        table
    }

    fn file(&mut self, table: &DeTable<'_>) -> Draft {
        let mut draft = Draft::default();
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "inherits" => draft.inherits = self.word(value).map(|word| word.text),
                "palette" => {
                    for (name, value) in self.table(value).into_iter().flatten() {
                        if let Some(word) = self.word(value) {
                            draft.palette.insert(name.get_ref().to_string(), word);
                        }
                    }
                }
                "roles" => {
                    for (name, value) in self.table(value).into_iter().flatten() {
                        match Role::parse(name.get_ref()) {
                            Some(role) => {
                                let spec = self.role(value);
                                draft.roles.insert(role, spec);
                            }
                            None => self.unknown_role(name.span(), name.get_ref()),
                        }
                    }
                }
                other => self.complain(
                    key.span(),
                    format!("{other:?} means nothing in a theme"),
                    "a theme has inherits, [palette] and [roles]".to_owned(),
                ),
            }
        }
        draft
    }

    fn unknown_role(&mut self, at: Range<usize>, name: &str) {
        let near = Role::ALL
            .into_iter()
            .map(Role::name)
            .max_by(|a, b| strsim::jaro(name, a).total_cmp(&strsim::jaro(name, b)))
            .unwrap_or("text");
        self.complain(
            at,
            format!("{name:?} is no role"),
            format!("did you mean {near:?}?"),
        );
    }

    fn role(&mut self, value: &Spanned<DeValue<'_>>) -> RoleDraft {
        let mut draft = RoleDraft::default();
        if value.get_ref().is_str() {
            draft.fg = self.word(value);
            return draft;
        }
        for (key, value) in self.table(value).into_iter().flatten() {
            match key.get_ref().as_ref() {
                "fg" => draft.fg = self.word(value),
                "bg" => draft.bg = self.word(value),
                "modifiers" => draft.modifiers = self.modifiers(value),
                other => self.complain(
                    key.span(),
                    format!("{other:?} means nothing in a role"),
                    "a role has fg, bg and modifiers".to_owned(),
                ),
            }
        }
        draft
    }

    fn modifiers(&mut self, value: &Spanned<DeValue<'_>>) -> Modifier {
        let mut all = Modifier::empty();
        let Some(list) = value.get_ref().as_array() else {
            self.complain(
                value.span(),
                "modifiers are a list".to_owned(),
                "write [\"bold\"]".to_owned(),
            );
            return all;
        };
        for item in list {
            let Some(word) = self.word(item) else {
                continue;
            };
            match modifier(&word.text) {
                Some(one) => all |= one,
                None => self.complain(
                    item.span(),
                    format!("{:?} is no modifier", word.text),
                    "there are bold, dim, italic, underlined and reversed".to_owned(),
                ),
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(text: &'static str) -> impl Fn(&str) -> Option<ThemeFile> {
        move |name| {
            (name == "mine").then(|| ThemeFile {
                path: "themes/mine.toml".to_owned(),
                text: text.to_owned(),
            })
        }
    }

    #[track_caller]
    fn refused(text: &'static str, line: usize, said: &str) {
        let ThemeError(problems) = Theme::load("mine", user(text)).expect_err("it is wrong");
        assert!(
            problems
                .iter()
                .any(|p| p.line == line && p.to_string().contains(said)),
            "{problems:?}"
        );
    }

    #[test]
    fn every_built_in_theme_loads_and_gives_trouble_a_look_of_its_own() {
        for (name, _) in BUILT_IN {
            let theme = Theme::load(name, |_| None).expect("it is built in");
            let quiet = theme.style(Role::Text);
            for role in [Role::Poor, Role::Bad, Role::Unknown, Role::Production] {
                assert_ne!(theme.style(role), quiet, "{name} {role:?}");
            }
            assert_ne!(theme.style(Role::Bad), theme.style(Role::Poor), "{name}");
        }
    }

    #[test]
    fn default_uses_no_colour_that_vanishes_on_a_light_or_a_dark_background() {
        let theme = Theme::default();
        for role in Role::ALL {
            let style = theme.style(role);
            for color in [style.fg, style.bg].into_iter().flatten() {
                assert!(
                    !matches!(
                        color,
                        Color::White | Color::Black | Color::Blue | Color::Rgb(..)
                    ),
                    "{role:?} {color:?}"
                );
            }
        }
    }

    #[test]
    fn mono_has_no_colour_at_all() {
        let theme = Theme::load("mono", |_| None).expect("it is built in");
        for role in Role::ALL {
            assert_eq!((theme.style(role).fg, theme.style(role).bg), (None, None));
        }
    }

    #[test]
    fn a_palette_alone_recolours_what_is_inherited() {
        let theme = Theme::load(
            "mine",
            user("inherits = \"dark\"\n[palette]\ncoral = \"#010203\"\n"),
        )
        .expect("it is right");
        assert_eq!(theme.style(Role::Bad).fg, Some(Color::Rgb(1, 2, 3)));
    }

    #[test]
    fn problems_name_file_line_and_what_to_write() {
        refused("[roles]\ntext = {}\nbed = \"red\"\n", 3, "did you mean");
        refused("[roles]\nbad = \"redd\"\n", 2, "is no colour");
        refused(
            "[roles]\nbad = { fg = \"red\", blink = true }\n",
            2,
            "fg, bg and modifiers",
        );
        refused(
            "[roles]\nbad = { modifiers = [\"blink\"] }\n",
            2,
            "no modifier",
        );
        refused("colour = 1\n", 1, "means nothing in a theme");
        refused("[roles\n", 1, "no TOML");
        refused("inherits = \"nothing\"\n", 1, "there is no theme");
        refused("inherits = \"mine\"\n[roles]\nbad = 3\n", 3, "table");
    }
}
