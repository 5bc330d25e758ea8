//! Pieces that panels are put together from. They know no model: values in, cells out.

pub(super) mod chart;
pub(super) mod facts;
pub(super) mod panel;
pub(super) mod spark;
pub(super) mod table;
