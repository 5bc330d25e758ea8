//! Whether the file may be acted upon: the rule of sshd's `StrictModes`.
//!
//! Somebody else who can change the file decides what we do. Then nothing is done; looking goes on.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::settings::shown_path;
use crate::domain::Clean;

const GROUP_WRITES: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;
/// In such a folder everybody may write, and nobody may rename or remove what is not theirs.
const STICKY: u32 = 0o1000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weakness {
    GroupWritable,
    WorldWritable,
    /// Of neither root nor the one who runs the console.
    Owner {
        uid: u32,
    },
    /// Where it leads can be changed without touching the file.
    Link,
    /// Could not be looked at: not trusted.
    Unseen,
}

/// Why the file is not acted upon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distrust {
    pub path: PathBuf,
    /// The permission bits, such as 0o664.
    pub mode: u32,
    pub weakness: Weakness,
}

impl Distrust {
    /// What to type to mend it.
    pub fn remedy(&self) -> Clean {
        let path = shown_path(&self.path);
        Clean::from(match self.weakness {
            Weakness::GroupWritable | Weakness::WorldWritable => format!("chmod go-w '{path}'"),
            Weakness::Owner { .. } => {
                format!("chown root '{path}', or let its owner run the console")
            }
            Weakness::Link => format!("name the file itself instead of the link '{path}'"),
            Weakness::Unseen => format!("let the console read the folder of '{path}'"),
        })
    }
}

impl fmt::Display for Distrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, mode) = (shown_path(&self.path), self.mode);
        match self.weakness {
            Weakness::GroupWritable => {
                write!(f, "{path} (mode {mode:04o}) can be changed by its group")
            }
            Weakness::WorldWritable => {
                write!(f, "{path} (mode {mode:04o}) can be changed by everybody")
            }
            Weakness::Owner { uid } => write!(
                f,
                "{path} (mode {mode:04o}) belongs to user {uid}, not to you or root"
            ),
            Weakness::Link => write!(f, "{path} is a symbolic link"),
            Weakness::Unseen => write!(f, "{path} cannot be looked at"),
        }
    }
}

/// Looks at the file and at every folder above it, as named and as it really is. Empty: it may be acted upon.
pub(super) fn look(file: &Path, euid: u32) -> Vec<Distrust> {
    let real = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    let named = file.ancestors().filter(|path| !path.as_os_str().is_empty());
    let mut paths: Vec<&Path> = named.collect();
    paths.extend(
        real.ancestors()
            .filter(|path| !file.ancestors().any(|other| other == *path)),
    );
    let mut found = Vec::new();
    for path in paths {
        let (mode, weaknesses) = match fs::symlink_metadata(path) {
            Ok(meta) => {
                let facts = Facts {
                    mode: meta.mode() & 0o7777,
                    uid: meta.uid(),
                    what: match (meta.is_symlink(), path == file) {
                        (false, _) if meta.is_dir() => What::Folder,
                        (false, _) => What::File,
                        (true, true) => What::LinkToFile,
                        (true, false) => What::LinkAbove,
                    },
                };
                (facts.mode, judge(facts, euid))
            }
            Err(_) => (0, vec![Weakness::Unseen]),
        };
        found.extend(weaknesses.into_iter().map(|weakness| Distrust {
            path: path.to_owned(),
            mode,
            weakness,
        }));
    }
    found
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    File,
    Folder,
    LinkToFile,
    LinkAbove,
}

#[derive(Debug, Clone, Copy)]
struct Facts {
    mode: u32,
    uid: u32,
    what: What,
}

fn judge(facts: Facts, euid: u32) -> Vec<Weakness> {
    let mut found = Vec::new();
    if facts.uid != 0 && facts.uid != euid {
        found.push(Weakness::Owner { uid: facts.uid });
    }
    match facts.what {
        What::LinkToFile => found.push(Weakness::Link),
        // The mode of a link says nothing; where it leads is looked at for itself.
        What::LinkAbove => {}
        What::Folder if facts.mode & STICKY != 0 => {}
        What::File | What::Folder => {
            if facts.mode & OTHERS_WRITE != 0 {
                found.push(Weakness::WorldWritable);
            } else if facts.mode & GROUP_WRITES != 0 {
                found.push(Weakness::GroupWritable);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[track_caller]
    fn check(what: What, mode: u32, uid: u32, expected: &[Weakness]) {
        assert_eq!(
            judge(Facts { mode, uid, what }, 1000),
            expected,
            "{what:?} {mode:04o} of {uid}"
        );
    }

    #[test]
    fn every_mode_and_owner_that_lets_others_write_is_named() {
        use Weakness::{GroupWritable, Link, Owner, WorldWritable};
        for uid in [0, 1000] {
            for mode in [0o400, 0o600, 0o640, 0o644, 0o755] {
                check(What::File, mode, uid, &[]);
                check(What::Folder, mode, uid, &[]);
            }
            for mode in [0o620, 0o664, 0o660] {
                check(What::File, mode, uid, &[GroupWritable]);
                check(What::Folder, mode, uid, &[GroupWritable]);
            }
            for mode in [0o602, 0o666, 0o646] {
                check(What::File, mode, uid, &[WorldWritable]);
            }
            check(What::Folder, 0o777, uid, &[WorldWritable]);
            check(What::Folder, 0o1777, uid, &[]);
            check(What::File, 0o1777, uid, &[WorldWritable]);
            check(What::LinkToFile, 0o777, uid, &[Link]);
            check(What::LinkAbove, 0o777, uid, &[]);
        }
        check(What::File, 0o600, 7, &[Owner { uid: 7 }]);
        check(What::LinkAbove, 0o777, 7, &[Owner { uid: 7 }]);
        check(What::File, 0o666, 7, &[Owner { uid: 7 }, WorldWritable]);
    }

    fn yard() -> (tempfile::TempDir, PathBuf, u32) {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("conf");
        fs::create_dir(&inner).unwrap();
        fs::set_permissions(&inner, fs::Permissions::from_mode(0o755)).unwrap();
        let file = inner.join("quarterdeck.toml");
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        let uid = fs::metadata(&file).unwrap().uid();
        (dir, file, uid)
    }

    fn weak(file: &Path, euid: u32, below: &Path) -> Vec<(PathBuf, u32, Weakness)> {
        let found = look(file, euid).into_iter();
        found
            .filter(|d| d.path.starts_with(below))
            .map(|d| (d.path, d.mode, d.weakness))
            .collect()
    }

    #[test]
    fn a_file_and_its_folder_are_looked_at_for_real() {
        let (dir, file, uid) = yard();
        assert_eq!(weak(&file, uid, dir.path()), []);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o664)).unwrap();
        assert_eq!(
            weak(&file, uid, dir.path()),
            [(file.clone(), 0o664, Weakness::GroupWritable)]
        );
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let folder = file.parent().unwrap();
        fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(
            weak(&file, uid, dir.path()),
            [(folder.to_owned(), 0o777, Weakness::WorldWritable)]
        );
    }

    #[test]
    fn what_a_link_leads_to_is_looked_at_too() {
        let (dir, file, uid) = yard();
        let real = dir.path().join("real.toml");
        fs::rename(&file, &real).unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o666)).unwrap();
        symlink(&real, &file).unwrap();
        let found: Vec<Weakness> = look(&file, uid).into_iter().map(|d| d.weakness).collect();
        assert!(
            found.contains(&Weakness::Link) && found.contains(&Weakness::WorldWritable),
            "{found:?}"
        );
    }

    #[test]
    fn a_file_that_is_gone_is_not_trusted_and_every_word_names_the_path() {
        let (dir, file, uid) = yard();
        let gone = file.with_file_name("gone.toml");
        assert_eq!(weak(&gone, uid, dir.path())[0].2, Weakness::Unseen);
        let worst = [
            Weakness::GroupWritable,
            Weakness::WorldWritable,
            Weakness::Owner { uid: 7 },
            Weakness::Link,
            Weakness::Unseen,
        ];
        for weakness in worst {
            let distrust = Distrust {
                path: file.clone(),
                mode: 0o664,
                weakness,
            };
            assert!(distrust.to_string().contains("quarterdeck.toml"));
            assert!(distrust.remedy().contains("quarterdeck.toml"));
        }
    }
}
