//! Who may import whom. The table in `src/lib.rs` is the map; this is the fence.

use std::fs;
use std::path::{Path, PathBuf};

/// A room, the rooms it may name, and the outside crates it may name beside the pure ones.
struct Room {
    name: &'static str,
    rooms: &'static [&'static str],
    crates: &'static [&'static str],
}

const fn room(
    name: &'static str,
    rooms: &'static [&'static str],
    crates: &'static [&'static str],
) -> Room {
    Room {
        name,
        rooms,
        crates,
    }
}

/// The house. `shell` may name everything and is not listed.
const HOUSE: &[Room] = &[
    room("domain", &[], &[]),
    room("engine", &["domain"], &[]),
    room(
        "config",
        &["domain"],
        &["toml", "humantime", "strsim", "rustix"],
    ),
    room(
        "link",
        &["domain", "config"],
        &[
            "tokio",
            "futures_util",
            "bollard",
            "reqwest",
            "hyper",
            "hyper_util",
            "http_body_util",
            "rustls",
            "tokio_rustls",
            "rustls_native_certs",
            "x509_parser",
            "rustix",
            "tracing",
            "sha2",
            "http",
            "humantime",
            "object_store",
            "age",
        ],
    ),
    room(
        "probe",
        &["domain", "link"],
        &["tokio", "futures_util", "tracing", "humantime"],
    ),
    room(
        "watch",
        &["domain", "link", "probe"],
        &["tokio", "futures_util", "tracing"],
    ),
    room(
        "step",
        &["domain", "engine", "link", "probe"],
        &["tokio", "futures_util", "bollard", "tracing", "humantime"],
    ),
    room(
        "runbook",
        &["domain", "engine", "probe", "step"],
        &["toml", "humantime", "strsim", "sha2"],
    ),
    room(
        "checklist",
        &["domain"],
        &["pulldown_cmark", "toml", "sha2", "humantime"],
    ),
    // `engine`: the rules of a lease, which are asked in the transaction of a record.
    room(
        "journal",
        &["domain", "engine"],
        &["tokio", "sqlx", "sha2", "rustix"],
    ),
    // `journal`: entries as they are followed; `config` is the shell's.
    room(
        "app",
        &["domain", "engine", "runbook", "checklist", "journal"],
        &["tui_input", "nucleo_matcher"],
    ),
    room("keys", &["app", "domain"], &["crossterm"]),
    room(
        "view",
        &[
            "domain",
            "engine",
            "runbook",
            "journal",
            "checklist",
            "app",
            "keys",
        ],
        &["ratatui", "tui_logger", "toml", "strsim"],
    ),
    room(
        "report",
        &["domain", "engine", "app", "journal", "checklist"],
        &[],
    ),
    room(
        "range",
        &[],
        &[
            "tokio",
            "futures_util",
            "hyper",
            "hyper_util",
            "http_body_util",
            "rustls",
            "tokio_rustls",
            "rcgen",
            "toml",
            "rustix",
            "tracing",
            "sha2",
            "http",
        ],
    ),
];

/// Crates that compute and nothing else: any room may name them.
const PURE: &[&str] = &[
    "std",
    "core",
    "serde",
    "serde_json",
    "thiserror",
    "chrono",
    "regex",
    "unicode_width",
    "unicode_segmentation",
];

/// Crates of `Cargo.toml` that only some rooms may name. A new dependency must be put here or into [`PURE`].
const OUTSIDE: &[&str] = &[
    "tokio",
    "futures_util",
    "bollard",
    "reqwest",
    "hyper",
    "hyper_util",
    "http_body_util",
    "http",
    "rustls",
    "tokio_rustls",
    "rustls_native_certs",
    "x509_parser",
    "object_store",
    "age",
    "rcgen",
    "sqlx",
    "sha2",
    "toml",
    "pulldown_cmark",
    "humantime",
    "strsim",
    "color_eyre",
    "tracing",
    "tracing_subscriber",
    "tui_logger",
    "tui_input",
    "nucleo_matcher",
    "clap",
    "clap_complete",
    "clap_mangen",
    "etcetera",
    "rustix",
    "ratatui",
    "crossterm",
    "zstd",
];

#[test]
fn rooms_import_only_what_the_map_allows() {
    let mut trespasses = Vec::new();
    for Room {
        name,
        rooms,
        crates,
    } in HOUSE
    {
        for file in rust_files(&Path::new("src").join(name)) {
            // Tests in a file of their own may name what tests at the end of a file may.
            if file.ends_with("tests.rs") {
                continue;
            }
            for (n, line) in code_lines(&fs::read_to_string(&file).unwrap()) {
                let at = format!("{}:{n}", file.display());
                for other in names_after(&line, "crate::") {
                    if other != *name && !rooms.contains(&other.as_str()) {
                        trespasses.push(format!("{at}: {name} imports {other}"));
                    }
                }
                for krate in OUTSIDE.iter().filter(|krate| !crates.contains(krate)) {
                    if names_crate(&line, krate) {
                        trespasses.push(format!("{at}: {name} uses {krate}"));
                    }
                }
            }
        }
    }
    assert!(trespasses.is_empty(), "\n{}", trespasses.join("\n"));
}

#[test]
fn the_map_in_the_library_is_the_fence() {
    let map = fs::read_to_string("src/lib.rs").unwrap();
    for Room { name, rooms, .. } in HOUSE {
        let row = map
            .lines()
            .find(|line| line.starts_with(&format!("//! | `{name}` |")));
        let row = row.unwrap_or_else(|| panic!("src/lib.rs does not name the room `{name}`"));
        let third = row.trim_end_matches('|').rsplit('|').next().unwrap().trim();
        let allowed: Vec<&str> = match third {
            "nothing" | "nothing of ours" => Vec::new(),
            list => list.split_whitespace().collect(),
        };
        assert_eq!(
            allowed, *rooms,
            "the map's row for `{name}` says otherwise than the fence"
        );
    }
}

#[test]
fn every_folder_of_the_house_is_on_the_map() {
    for entry in fs::read_dir("src").unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            let name = entry.file_name().into_string().unwrap();
            assert!(
                name == "shell" || HOUSE.iter().any(|room| room.name == name),
                "src/{name} is no room"
            );
        }
    }
}

#[test]
fn every_dependency_has_a_place() {
    let manifest: toml::Table = fs::read_to_string("Cargo.toml").unwrap().parse().unwrap();
    for name in manifest["dependencies"].as_table().unwrap().keys() {
        let name = name.replace('-', "_");
        assert!(
            PURE.contains(&name.as_str()) || OUTSIDE.contains(&name.as_str()),
            "`{name}` is in Cargo.toml, and no room is said to use it"
        );
        let used = rust_files(Path::new("src")).iter().any(|file| {
            code_lines(&fs::read_to_string(file).unwrap())
                .any(|(_, line)| names_crate(&line, &name))
        });
        assert!(used, "`{name}` is in Cargo.toml, and nobody uses it");
    }
}

#[test]
fn every_module_says_what_it_is_for() {
    let silent: Vec<_> = rust_files(Path::new("src"))
        .into_iter()
        .chain(rust_files(Path::new("tests")))
        .filter(|file| !fs::read_to_string(file).unwrap().starts_with("//! "))
        .collect();
    assert!(silent.is_empty(), "no `//!` header: {silent:?}");
}

/// Pure rooms are handed the time; they never ask for it.
#[test]
fn pure_rooms_have_no_clock() {
    let mut asked = Vec::new();
    for name in [
        "domain",
        "engine",
        "checklist",
        "app",
        "keys",
        "view",
        "report",
    ] {
        for file in rust_files(&Path::new("src").join(name)) {
            for (n, line) in code_lines(&fs::read_to_string(&file).unwrap()) {
                if ["Instant::now", "SystemTime::now", "Utc::now", "Local::now"]
                    .iter()
                    .any(|call| line.contains(call))
                {
                    asked.push(format!("{}:{n}", file.display()));
                }
            }
        }
    }
    assert!(asked.is_empty(), "{asked:?}");
}

/// Training is another world behind the same protocols, never a branch in the code.
#[test]
fn nothing_asks_whether_this_is_training() {
    for name in ["config", "link", "probe", "watch"] {
        for file in rust_files(&Path::new("src").join(name)) {
            for (n, line) in code_lines(&fs::read_to_string(&file).unwrap()) {
                let asks = line.contains("if ") && line.to_lowercase().contains("training");
                assert!(!asks, "{}:{n}: {line}", file.display());
            }
        }
    }
}

/// Lines of code with their numbers: without comments, and without the tests at the end of a file.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, String)> {
    let end = text.find("\n#[cfg(test)]").unwrap_or(text.len());
    let lines: Vec<(usize, String)> = text[..end]
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .map(|(n, line)| (n + 1, line.to_owned()))
        .collect();
    lines.into_iter()
}

fn names_after(line: &str, mark: &str) -> Vec<String> {
    line.match_indices(mark)
        .map(|(i, m)| {
            line[i + m.len()..]
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect()
        })
        .collect()
}

fn names_crate(line: &str, krate: &str) -> bool {
    line.match_indices(&format!("{krate}::")).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':')
    })
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    files
}
