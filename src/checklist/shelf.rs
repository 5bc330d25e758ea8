//! The checklists that ship with the program.

/// Pages of `runbooks/go-live/`, in the program itself: they are there when nothing else is.
macro_rules! shipped {
    ($($id:literal),* $(,)?) => {
        &[$(($id, include_str!(concat!("../../runbooks/go-live/", $id, ".md")))),*]
    };
}

/// What ships, by name.
pub const BUILT_IN: &[(&str, &str)] = shipped!["hyper-mission"];
