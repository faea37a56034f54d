//! Every misdeed of a peer, done by hand with raw frames: what it costs the peer, and that nobody else notices.
//!
//! The attacker (`peer`) holds real keys and skips our API; the scene (`rig`) is Ada, who is attacked, and Ben, who is
//! linked with her and must stay undisturbed in every test.

#[allow(dead_code)]
#[path = "../../../core/tests/change_common/raw.rs"]
mod raw;

mod content;
mod peer;
mod rig;

mod changes;
mod checkpoints;
mod cites;
mod entries;
mod flow;
mod forks;
mod frames;
mod generations;
mod next;
mod oversize;
mod own_journal;
mod pairing;
mod parts;
mod roster;
mod scopes;
mod trees;
mod upgrades;
