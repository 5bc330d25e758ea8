//! The configured checklists, and who signed what.

use crate::checklist::{Checklist, Item, Phase, Signatures};
use crate::domain::Clean;

/// A page with its signatures.
#[derive(Debug, Clone, Default)]
pub struct Listed {
    pub list: Checklist,
    pub signatures: Signatures,
}

/// All pages, as they were read. They are read once, when the console starts.
#[derive(Debug, Clone, Default)]
pub struct Checklists {
    pub pages: Vec<Listed>,
    /// Pages and journals that could not be read, each in a sentence.
    pub problems: Vec<Clean>,
}

/// A heading of a page, or an item under it.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    pub page: &'a Listed,
    pub phase: &'a Phase,
    /// `None`: the heading itself.
    pub item: Option<&'a Item>,
}

impl Checklists {
    /// Headings and items in the order of the pages.
    pub fn places(&self) -> impl Iterator<Item = Place<'_>> {
        self.pages.iter().flat_map(|page| {
            page.list.phases.iter().flat_map(move |phase| {
                let heading = Place {
                    page,
                    phase,
                    item: None,
                };
                let items = phase.items.iter().map(move |item| Place {
                    item: Some(item),
                    ..heading
                });
                std::iter::once(heading).chain(items)
            })
        })
    }
}

impl Place<'_> {
    /// Names it for as long as it is on the page.
    pub fn key(&self) -> Clean {
        let name = &self.page.list.name;
        Clean::line(&match self.item {
            Some(item) => format!("{name} {}", item.id),
            None => format!("{name}:{}", self.phase.line),
        })
    }

    pub fn title(&self) -> &Clean {
        match (self.item, self.phase.title.is_empty()) {
            (Some(item), _) => &item.title,
            (None, false) => &self.phase.title,
            // Items before the first heading.
            (None, true) => &self.page.list.name,
        }
    }
}
