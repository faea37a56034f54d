//! Deliberate breakages, one for each promise that the simulator's oracles watch: proof that they bite.
//!
//! Without the feature `breakages` nothing can turn one on: [`crate::replica::Replica`] then has no field for it, and every
//! question whether one is on is a constant no. The feature is asked for by tests alone (`crates/sim/tests/breakages.rs`
//! and `fuzz/bodies/tests/bites.rs`).

/// A mistake that somebody could make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Breakage {
    /// Edits are acknowledged as soon as their entry is made.
    AckBeforeCommit,
    /// Own entries are sent as soon as they are made.
    SendBeforeCommit,
    /// Entries of others are receipted as soon as they are checked.
    ReceiptBeforeCommit,
    /// Nobody asks whether a device may write.
    SkipRoleCheck,
    /// Every fifth entry of a journal is left out of the live stream.
    DropFrame,
    /// Tombstones of others are skipped.
    ForgetTombstone,
    /// A deletion is answered and not made.
    DropDelete,
    /// Links are served in the order of a randomly seeded hash map.
    UnorderedMap,
    /// Receipts are read and forgotten.
    LoseReceipt,
    /// What others change in some documents does not reach the view.
    StaleView,
    /// Of several heads that a change of others leaves, the record lacks one.
    StaleHead,
    /// Entries are applied without what they build on.
    SkipDependencyCheck,
    /// The cache of documents counts them again with each use, and drops none.
    UnboundedCache,
    /// Frontiers are sent again every half minute, whatever was said before.
    RepeatFrontiers,
    /// A batch is committed in two halves.
    HalfBatch,
    /// What a peer offers is asked for a minute later.
    AskLate,
}

impl Breakage {
    /// All of them.
    pub const ALL: &'static [Breakage] = &[
        Breakage::AckBeforeCommit,
        Breakage::SendBeforeCommit,
        Breakage::ReceiptBeforeCommit,
        Breakage::SkipRoleCheck,
        Breakage::DropFrame,
        Breakage::ForgetTombstone,
        Breakage::DropDelete,
        Breakage::UnorderedMap,
        Breakage::LoseReceipt,
        Breakage::StaleView,
        Breakage::StaleHead,
        Breakage::SkipDependencyCheck,
        Breakage::UnboundedCache,
        Breakage::RepeatFrontiers,
        Breakage::HalfBatch,
        Breakage::AskLate,
    ];
}

/// What [`Breakage::UnorderedMap`] does to an order.
#[cfg(feature = "breakages")]
#[expect(clippy::disallowed_types, reason = "the mistake that the linter forbids, made on purpose")]
pub(crate) fn unordered<T: std::hash::Hash + Eq>(items: Vec<T>) -> Vec<T> {
    items.into_iter().collect::<std::collections::HashSet<T>>().into_iter().collect()
}

/// Without the feature nothing is disordered.
#[cfg(not(feature = "breakages"))]
pub(crate) fn unordered<T>(items: Vec<T>) -> Vec<T> {
    items
}
