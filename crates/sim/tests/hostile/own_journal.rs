//! own_journal
