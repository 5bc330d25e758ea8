//! A folder for one training: for its owner alone, gone afterwards.

use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use color_eyre::eyre::{Result, WrapErr};

use crate::config::Paths;

/// Folders of processes of the same number that ended badly.
const TRIES: u32 = 100;

/// What the folders of trainings are called; the number of the process follows.
pub(super) const PREFIX: &str = "quarterdeck-training-";
/// The range's own folder in it.
pub(in crate::shell) const RANGE: &str = "range";

/// Where the folders of trainings are.
pub(super) fn above(paths: &Paths) -> PathBuf {
    paths.runtime_dir.clone().unwrap_or_else(std::env::temp_dir)
}

#[derive(Debug)]
pub(in crate::shell) struct Folder(PathBuf);

impl Folder {
    pub(in crate::shell) fn new(paths: &Paths) -> Result<Self> {
        let above = above(paths);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&above)
            .wrap_err_with(|| format!("cannot make {}", above.display()))?;
        let mut number = 0;
        loop {
            let name = format!("{PREFIX}{}-{number}", std::process::id());
            let path = above.join(name);
            // Somebody else's folder of this name is never entered.
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(error) if error.kind() == ErrorKind::AlreadyExists && number < TRIES => {
                    number += 1;
                }
                Err(error) => {
                    return Err(error).wrap_err_with(|| format!("cannot make {}", path.display()));
                }
            }
        }
    }

    pub(in crate::shell) fn path(&self) -> &Path {
        &self.0
    }

    /// Where the range of this training is to be.
    pub(in crate::shell) fn range(&self) -> PathBuf {
        self.0.join(RANGE)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!("cannot remove {}: {error}", self.0.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn each_training_has_a_folder_of_its_own_that_goes_with_it() {
        let above = tempfile::tempdir().unwrap();
        let paths = Paths {
            runtime_dir: Some(above.path().join("quarterdeck")),
            ..Paths::default()
        };
        let (one, two) = (Folder::new(&paths).unwrap(), Folder::new(&paths).unwrap());
        assert_ne!(one.path(), two.path());
        let mode = fs::metadata(one.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        let path = one.path().to_owned();
        drop(one);
        assert!(!path.exists() && two.path().exists());
    }
}
