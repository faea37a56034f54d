//! The bytes of each frame.

use super::tree::{place, write_place};
use super::{
    Attest, Branch, CheckpointPiece, Fetch, Frame, Frontier, Handle, Held, Hello, Of, Offer, PeerHint, Range, Rank,
    RosterPosition, State, cap,
};
use crate::bytes::{DecodeError, Reader, Writer};
use crate::id::{CollectionTag, DeviceId, EntryHash, JournalId, OpHash, Position, SpaceId, StoreId};
use crate::input::Class;
use crate::limits::*;

const MAGIC: &[u8; 4] = b"FSHR";

// Numbers 0x40 (ephemeral), 0x41 (lookup by bare document id) and 0x43 (blob) are reserved.
const HELLO: u8 = 0x01;
const AUTH: u8 = 0x02;
const SPACES: u8 = 0x03;
const GOODBYE: u8 = 0x04;
const CREDIT: u8 = 0x05;
const STATE: u8 = 0x10;
const ROSTER_HAVE: u8 = 0x11;
const ROSTER_OP: u8 = 0x12;
const ROSTER_END: u8 = 0x13;
const FRONTIER: u8 = 0x14;
const WANT: u8 = 0x15;
const RECEIPT: u8 = 0x16;
const PEERS: u8 = 0x17;
const TREE: u8 = 0x18;
const SCOPE: u8 = 0x19;
const JOIN: u8 = 0x20;
const WELCOME: u8 = 0x21;
const REFUSE: u8 = 0x22;
const GRANT: u8 = 0x23;
const ENTRY: u8 = 0x30;
const PART: u8 = 0x31;
const NEXT: u8 = 0x32;
const CHECKPOINT: u8 = 0x42;
const FETCH: u8 = 0x44;
const CHECKPOINT_PIECE: u8 = 0x45;
const ATTEST: u8 = 0x46;

impl Frame {
    /// Encodes the frame.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        match self {
            Frame::Hello(hello) => {
                w.u8(HELLO).raw(MAGIC).u16(hello.min_version).u16(hello.max_version).u64(hello.features);
                w.raw(&hello.nonce).raw(&hello.store.0).raw(&hello.device.0);
            }
            Frame::Auth { signature } => {
                w.u8(AUTH).raw(signature);
            }
            Frame::Spaces { tags } => {
                w.u8(SPACES).count(tags.len());
                tags.iter().for_each(|tag| {
                    w.raw(tag);
                });
            }
            Frame::Goodbye { reason } => {
                w.u8(GOODBYE).text(cut(reason));
            }
            Frame::Credit { class, bytes } => {
                w.u8(CREDIT).u8(class_number(*class)).u32(*bytes);
            }
            Frame::State(state) => {
                w.u8(STATE)
                    .raw(&state.handle.0)
                    .bool(state.fresh)
                    .u8(state.scope)
                    .raw(&state.roster)
                    .raw(&state.frontier)
                    .bool(state.few)
                    .u64(state.arrival);
                w.raw(&state.seen_store.0).u64(state.seen);
            }
            Frame::RosterHave { handle, more, positions } => {
                w.u8(ROSTER_HAVE).raw(&handle.0).bool(*more).count(positions.len());
                positions.iter().for_each(|p| {
                    w.raw(&p.author.0).u64(p.seq).raw(&p.hash.0);
                });
            }
            Frame::RosterOp { handle, bytes } => {
                w.u8(ROSTER_OP).raw(&handle.0).bytes(bytes);
            }
            Frame::RosterEnd { handle } => {
                w.u8(ROSTER_END).raw(&handle.0);
            }
            Frame::Scope { handle, number, more, rest, ranks } => {
                w.u8(SCOPE).raw(&handle.0).u8(*number).bool(*more).u8(rest.number()).count(ranks.len());
                ranks.iter().for_each(|(tag, rank)| {
                    w.raw(&tag.0).u8(rank.number());
                });
            }
            Frame::Frontier(frontier) => {
                w.u8(FRONTIER).raw(&frontier.handle.0).bool(frontier.answer).bool(frontier.more);
                w.u64(frontier.arrival).count(frontier.positions.len());
                frontier.positions.iter().for_each(|held| write_held(&mut w, held));
            }
            Frame::Tree { handle, more, places } => {
                w.u8(TREE).raw(&handle.0).bool(*more).count(places.len());
                places.iter().for_each(|place| write_place(&mut w, place));
            }
            Frame::Want { handle, more, ranges } => {
                w.u8(WANT).raw(&handle.0).bool(*more).count(ranges.len());
                ranges.iter().for_each(|range| write_range(&mut w, range));
            }
            Frame::Receipt { handle, positions } => {
                w.u8(RECEIPT).raw(&handle.0).count(positions.len());
                positions.iter().for_each(|(journal, seq)| {
                    w.raw(&journal.to_bytes()).u64(*seq);
                });
            }
            Frame::Peers { handle, peers } => {
                w.u8(PEERS).raw(&handle.0).count(peers.len());
                peers.iter().for_each(|hint| hint.encode(&mut w));
            }
            Frame::Join { ticket, certificate, mac } => {
                w.u8(JOIN).raw(ticket).bytes(certificate).raw(mac);
            }
            Frame::Welcome { ticket, space, mac } => {
                w.u8(WELCOME).raw(ticket).raw(&space.0).raw(mac);
            }
            Frame::Refuse { ticket, reason } => {
                w.u8(REFUSE).raw(ticket).text(cut(reason));
            }
            Frame::Grant { ticket, last, bytes } => {
                w.u8(GRANT).raw(ticket).bool(*last).bytes(bytes);
            }
            Frame::Entry { handle, bytes } => {
                w.u8(ENTRY).raw(&handle.0).raw(bytes);
            }
            Frame::Next { handle, after, rest } => {
                w.u8(NEXT).raw(&handle.0).raw(after).raw(rest);
            }
            Frame::Part { handle, hash, total, offset, bytes } => {
                w.u8(PART).raw(&handle.0).raw(&hash.0).u32(*total).u32(*offset).raw(bytes);
            }
            Frame::Checkpoint(offer) => offer.write(w.u8(CHECKPOINT)),
            Frame::Fetch(fetch) => fetch.write(w.u8(FETCH)),
            Frame::CheckpointPiece(piece) => piece.write(w.u8(CHECKPOINT_PIECE)),
            Frame::Attest(attest) => attest.write(w.u8(ATTEST)),
        }
        w.finish()
    }

    /// Decodes a frame that came on `class`.
    ///
    /// # Errors
    /// The sender's fault: over the class's cap, not canonical, unknown, or on a stream it does not belong to.
    pub fn decode(class: Class, bytes: &[u8]) -> Result<Frame, DecodeError> {
        let limit = cap(class);
        if bytes.len() > limit {
            return Err(DecodeError::OverLimit {
                field: "frame length",
                value: bytes.len() as u64,
                limit: limit as u64,
            });
        }
        let mut r = Reader::new(bytes);
        let kind = r.u8("frame type")?;
        let frame = match kind {
            HELLO => Frame::Hello(hello(&mut r)?),
            AUTH => Frame::Auth { signature: r.array("signature")? },
            SPACES => Frame::Spaces { tags: list(&mut r, SPACE_TAGS, 16, "tags", |r| r.array("tag"))? },
            GOODBYE => Frame::Goodbye { reason: r.text(REASON_BYTES, "reason")?.to_owned() },
            CREDIT => Frame::Credit { class: class_of(r.u8("class")?)?, bytes: r.u32("credit")? },
            STATE => Frame::State(State {
                handle: handle(&mut r)?,
                fresh: r.bool("fresh")?,
                scope: r.u8("scope number")?,
                roster: r.array("roster digest")?,
                frontier: r.array("frontier digest")?,
                few: r.bool("few")?,
                arrival: r.u64("arrival")?,
                seen_store: StoreId(r.array("seen store")?),
                seen: r.u64("seen")?,
            }),
            ROSTER_HAVE => Frame::RosterHave {
                handle: handle(&mut r)?,
                more: r.bool("more")?,
                positions: list(&mut r, FRAME_ROSTER_POSITIONS, 72, "roster positions", |r| {
                    let author = DeviceId(r.array("author")?);
                    Ok(RosterPosition { author, seq: r.u64("seq")?, hash: OpHash(r.array("hash")?) })
                })?,
            },
            ROSTER_OP => Frame::RosterOp {
                handle: handle(&mut r)?,
                bytes: r.bytes(ROSTER_OP_BYTES, "roster operation")?.to_vec(),
            },
            ROSTER_END => Frame::RosterEnd { handle: handle(&mut r)? },
            SCOPE => Frame::Scope {
                handle: handle(&mut r)?,
                number: r.u8("scope number")?,
                more: r.bool("more")?,
                rest: Rank::of(r.u8("rank")?)?,
                ranks: list(&mut r, FRAME_SCOPES, 17, "collections", |r| {
                    Ok((CollectionTag(r.array("collection")?), Rank::of(r.u8("rank")?)?))
                })?,
            },
            FRONTIER => Frame::Frontier(frontier(&mut r)?),
            TREE => Frame::Tree {
                handle: handle(&mut r)?,
                more: r.bool("more")?,
                places: list(&mut r, FRAME_PLACES, 10, "places", place)?,
            },
            WANT => Frame::Want {
                handle: handle(&mut r)?,
                more: r.bool("more")?,
                ranges: list(&mut r, FRAME_RANGES, 81, "ranges", range)?,
            },
            RECEIPT => Frame::Receipt {
                handle: handle(&mut r)?,
                positions: list(&mut r, FRAME_RECEIPTS, 72, "receipts", |r| Ok((journal(r)?, r.u64("seq")?)))?,
            },
            PEERS => Frame::Peers {
                handle: handle(&mut r)?,
                peers: list(&mut r, FRAME_PEERS, 38, "peers", PeerHint::decode)?,
            },
            JOIN => Frame::Join {
                ticket: r.array("ticket")?,
                certificate: r.bytes(CERTIFICATE_BYTES, "certificate")?.to_vec(),
                mac: r.array("mac")?,
            },
            WELCOME => {
                Frame::Welcome { ticket: r.array("ticket")?, space: SpaceId(r.array("space")?), mac: r.array("mac")? }
            }
            REFUSE => Frame::Refuse { ticket: r.array("ticket")?, reason: r.text(REASON_BYTES, "reason")?.to_owned() },
            GRANT => Frame::Grant {
                ticket: r.array("ticket")?,
                last: r.bool("last")?,
                bytes: r.bytes(ROSTER_OP_BYTES, "roster operation")?.to_vec(),
            },
            ENTRY => Frame::Entry { handle: handle(&mut r)?, bytes: rest(&mut r)? },
            NEXT => Frame::Next { handle: handle(&mut r)?, after: r.array("entry before")?, rest: rest(&mut r)? },
            PART => Frame::Part {
                handle: handle(&mut r)?,
                hash: EntryHash(r.array("entry hash")?),
                total: r.u32("total")?,
                offset: r.u32("offset")?,
                bytes: rest(&mut r)?,
            },
            CHECKPOINT => Frame::Checkpoint(Offer::read(&mut r)?),
            FETCH => Frame::Fetch(Fetch::read(&mut r)?),
            CHECKPOINT_PIECE => Frame::CheckpointPiece(CheckpointPiece::read(&mut r)?),
            ATTEST => Frame::Attest(Attest::read(&mut r)?),
            _ => return Err(DecodeError::Invalid { field: "frame type" }),
        };
        r.end()?;
        if !frame.belongs_on(class) {
            return Err(DecodeError::Invalid { field: "stream of the frame" });
        }
        Ok(frame)
    }

    /// Entries and roster operations travel on live or bulk, everything else on ctl.
    fn belongs_on(&self, class: Class) -> bool {
        match self {
            Frame::Entry { .. } | Frame::Next { .. } | Frame::Part { .. } => class != Class::Ctl,
            Frame::RosterOp { .. } | Frame::RosterEnd { .. } | Frame::Grant { .. } => class == Class::Live,
            Frame::CheckpointPiece(_) => class == Class::Bulk,
            _ => class == Class::Ctl,
        }
    }
}

fn class_number(class: Class) -> u8 {
    match class {
        Class::Ctl => 0,
        Class::Live => 1,
        Class::Bulk => 2,
    }
}

fn class_of(number: u8) -> Result<Class, DecodeError> {
    match number {
        1 => Ok(Class::Live),
        2 => Ok(Class::Bulk),
        _ => Err(DecodeError::Invalid { field: "class" }),
    }
}

/// Reasons are for people: a long one is cut rather than refused.
fn cut(reason: &str) -> &str {
    let mut end = reason.len().min(REASON_BYTES);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    &reason[..end]
}

pub(super) fn list<T>(
    r: &mut Reader<'_>,
    limit: usize,
    item_bytes: usize,
    field: &'static str,
    mut item: impl FnMut(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let count = r.count(limit, item_bytes, field)?;
    let mut out = Vec::with_capacity(count);
    for _ in 0..count {
        out.push(item(r)?);
    }
    Ok(out)
}

pub(super) fn rest(r: &mut Reader<'_>) -> Result<Vec<u8>, DecodeError> {
    Ok(r.take(r.remaining(), "bytes")?.to_vec())
}

pub(super) fn handle(r: &mut Reader<'_>) -> Result<Handle, DecodeError> {
    Ok(Handle(r.array("space handle")?))
}

fn journal(r: &mut Reader<'_>) -> Result<JournalId, DecodeError> {
    Ok(JournalId::from_bytes(&r.array("journal")?))
}

fn hello(r: &mut Reader<'_>) -> Result<Hello, DecodeError> {
    if &r.array::<4>("magic")? != MAGIC {
        return Err(DecodeError::Invalid { field: "magic" });
    }
    let (min_version, max_version) = (r.u16("oldest version")?, r.u16("newest version")?);
    if min_version == 0 || min_version > max_version {
        return Err(DecodeError::Invalid { field: "version range" });
    }
    Ok(Hello {
        min_version,
        max_version,
        features: r.u64("features")?,
        nonce: r.array("nonce")?,
        store: StoreId(r.array("store")?),
        device: DeviceId(r.array("device")?),
    })
}

fn frontier(r: &mut Reader<'_>) -> Result<Frontier, DecodeError> {
    Ok(Frontier {
        handle: handle(r)?,
        answer: r.bool("answer")?,
        more: r.bool("more")?,
        arrival: r.u64("arrival")?,
        positions: list(r, FRAME_POSITIONS, 105, "positions", held)?,
    })
}

const NO_BRANCH: u8 = 0;
const ON_BRANCH: u8 = 1;
const BY_HASH: u8 = 2;
const REST: u8 = 3;
/// Of a position: a floor follows.
const FLOOR: u8 = 2;

fn write_held(w: &mut Writer, held: &Held) {
    w.raw(&held.journal.to_bytes()).u64(held.position.seq).raw(&held.position.hash.0);
    match held.branch {
        None if held.floor > 0 => w.u8(FLOOR).u64(held.floor),
        None => w.u8(NO_BRANCH),
        Some(branch) => w.u8(ON_BRANCH).raw(&branch.first.0).u64(branch.common),
    };
}

fn held(r: &mut Reader<'_>) -> Result<Held, DecodeError> {
    let journal = journal(r)?;
    let position = Position { seq: r.u64("seq")?, hash: EntryHash(r.array("hash")?) };
    let mut floor = 0;
    let branch = match r.u8("position flags")? {
        NO_BRANCH => None,
        ON_BRANCH => Some(Branch { first: EntryHash(r.array("branch")?), common: r.u64("common seq")? }),
        FLOOR => {
            floor = r.u64("floor")?;
            if floor == 0 || floor > position.seq {
                return Err(DecodeError::Invalid { field: "floor" });
            }
            None
        }
        _ => return Err(DecodeError::Invalid { field: "position flags" }),
    };
    if position.seq <= branch.map_or(0, |branch| branch.common) {
        return Err(DecodeError::Invalid { field: "seq" });
    }
    Ok(Held { journal, position, branch, floor })
}

fn write_range(w: &mut Writer, range: &Range) {
    w.raw(&range.journal.to_bytes()).u64(range.from).u64(range.to);
    match range.of {
        Of::Shown => w.u8(NO_BRANCH),
        Of::Branch(first) => w.u8(ON_BRANCH).raw(&first.0),
        Of::Entry(hash) => w.u8(BY_HASH).raw(&hash.0),
        Of::Rest { hash, offset } => w.u8(REST).raw(&hash.0).u32(offset),
    };
}

fn range(r: &mut Reader<'_>) -> Result<Range, DecodeError> {
    let (journal, from, to) = (journal(r)?, r.u64("from")?, r.u64("to")?);
    let of = match r.u8("range flags")? {
        NO_BRANCH => Of::Shown,
        ON_BRANCH => Of::Branch(EntryHash(r.array("branch")?)),
        BY_HASH => Of::Entry(EntryHash(r.array("hash")?)),
        REST => Of::Rest { hash: EntryHash(r.array("hash")?), offset: r.u32("offset")? },
        _ => return Err(DecodeError::Invalid { field: "range flags" }),
    };
    if matches!(of, Of::Rest { offset, .. } if offset == 0 || offset as usize >= ENTRY_BYTES) {
        return Err(DecodeError::Invalid { field: "offset" });
    }
    if from == 0 || from > to || (matches!(of, Of::Entry(_)) && from != to) {
        return Err(DecodeError::Invalid { field: "range" });
    }
    Ok(Range { journal, from, to, of })
}
