//! All runbooks that there are: those that ship with the program, and a folder's.

use super::document::Document;
use super::problem::{Problem, nearest};
use crate::domain::Clean;

/// A page of `runbooks/`, in the program itself: it is there when nothing else is.
macro_rules! shipped {
    ($($id:literal),* $(,)?) => {
        &[$(($id, include_str!(concat!("../../runbooks/", $id, ".md")))),*]
    };
}

/// What ships, by id.
pub const BUILT_IN: &[(&str, &str)] = shipped![
    "blue-green",
    "deploy",
    "gateway-reload",
    "gateway-rollback",
    "persistence-check",
    "restart-unhealthy",
    "restore",
    "restore-rehearsal",
    "rollback",
    "rolling-restart",
    "scale",
    "stop-replica",
];

/// Where a runbook comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    BuiltIn,
    /// A file of the configured folder.
    File(Clean),
    /// Such a file, which stands in for the built-in runbook of the same id.
    InsteadOfBuiltIn(Clean),
}

impl Origin {
    /// `built in`, `/etc/quarterdeck/runbooks/deploy.md (instead of the built-in one)`
    pub fn said(&self) -> Clean {
        match self {
            Self::BuiltIn => Clean::from("built in"),
            Self::File(path) => path.clone(),
            Self::InsteadOfBuiltIn(path) => {
                Clean::from(format!("{path} (instead of the built-in one)"))
            }
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Book {
    pub document: Document,
    pub origin: Origin,
}

/// Every runbook by id. A file with problems is on no shelf, and said: it must not be mistaken for the one it replaces.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Shelf {
    pub books: Vec<Book>,
    pub problems: Vec<Problem>,
}

impl Shelf {
    /// `files`: path and text of each file of the configured folder.
    pub fn of(files: &[(Clean, String)]) -> Self {
        let mut shelf = Self::default();
        for (path, text) in files {
            match Document::read(path, text) {
                Ok(document) => shelf.put(document, path),
                Err(problems) => shelf.problems.extend(problems),
            }
        }
        for (id, text) in BUILT_IN {
            let replaced = shelf
                .books
                .iter_mut()
                .find(|book| &*book.document.id == *id);
            match (replaced, Document::read(&format!("{id}.md"), text)) {
                (Some(book), _) => {
                    if let Origin::File(path) = &book.origin {
                        book.origin = Origin::InsteadOfBuiltIn(path.clone());
                    }
                }
                (None, Ok(document)) => shelf.books.push(Book {
                    document,
                    origin: Origin::BuiltIn,
                }),
                (None, Err(problems)) => shelf.problems.extend(problems),
            }
        }
        shelf
            .books
            .sort_by(|one, other| one.document.id.cmp(&other.document.id));
        shelf
    }

    fn put(&mut self, document: Document, path: &Clean) {
        if let Some(first) = self
            .books
            .iter()
            .find(|book| book.document.id == document.id)
        {
            self.problems.push(Problem {
                file: path.clone(),
                line: 1,
                text: document.id.clone(),
                says: Clean::from(format!(
                    "the id `{}` is taken by {}",
                    document.id, first.document.name
                )),
                remedy: Clean::from("give this one another id"),
            });
            return;
        }
        self.books.push(Book {
            document,
            origin: Origin::File(path.clone()),
        });
    }

    /// The runbook of this id, or what to write instead.
    pub fn find(&self, id: &str) -> Result<&Book, Clean> {
        if let Some(book) = self.books.iter().find(|book| &*book.document.id == id) {
            return Ok(book);
        }
        let known = self.books.iter().map(|book| book.document.id.as_str());
        let remedy = match nearest(id, known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "`quarterdeck runbook list` names them all".to_owned(),
        };
        Err(Clean::from(format!("there is no runbook `{id}`; {remedy}")))
    }
}
