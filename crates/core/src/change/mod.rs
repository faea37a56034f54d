//! The validator in front of Automerge: no change from outside reaches Automerge before it passed here.
//!
//! Automerge 0.12 panics, loops or keeps what it cannot load again when it is given bytes that no Automerge wrote.
//! Two stages stand before it:
//!
//! 1. [`decode`]: is this one change, by its bytes alone? Framing, canonical numbers and columns, limits, operations that
//!    make sense in themselves.
//! 2. [`AncestorIndex::admit`]: does everything it refers to exist among its ancestors, and fit? The index keeps, for each
//!    document, just enough of every known change to answer.
//!
//! What passes both applies without a panic, survives save and load with the same heads, and does so in whatever order
//! concurrent changes come, because validity depends on bytes and ancestors alone (invariant I4).
//!
//! Almost all that plain Automerge makes passes. What does not, and why: an author footer (unauthenticated; an entry says who
//! wrote it); tables, values or increments over elements of texts, marks whose value is NaN (each makes Automerge panic
//! somewhere); values of types that Automerge does not know; counters and increments beyond 2^53 (their sums overflow);
//! objects nested deeper than 128 (recursion); times before 1970; and what exceeds [`limits`].
//!
//! [`compact`] is the form of a change inside an entry: without what the receiver can recompute.

mod admit;
mod column;
pub mod compact;
mod decode;
mod graph;
mod index;
mod layout;
pub mod limits;
mod op;
mod reader;
mod refusal;
mod rows;
mod runs;

pub use decode::{DecodedChange, decode};
pub use index::{Admission, AncestorIndex, RebuildError};
pub use refusal::{OpFault, Part, Refusal};
