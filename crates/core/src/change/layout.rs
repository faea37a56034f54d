//! A change chunk's outer form: header, metadata and the list of columns, before any column is decoded.
//!
//! ```text
//! magic 4 | checksum 4 | type 1 | length | deps: n, n × 32 | actor | seq | start op | time | message
//! | other actors: n, n × actor | columns: n, n × (spec, length) | column bytes
//! ```
//! Numbers are LEB128, `actor` and `message` are length and bytes. The hash is SHA-256 over type, length and all that
//! follows; the checksum is its first four bytes. Source: `automerge-0.12.0/src/storage/{chunk,change}.rs`.

use std::ops::Range;

use automerge::ChangeHash;
use sha2::{Digest, Sha256};

use super::limits::{ACTOR_BYTES, CHANGE_BYTES, CHANGE_DEPS, MESSAGE_BYTES, OP_COUNTER, OTHER_ACTORS, SEQ, TIME};
use super::reader::{Reader, write_unsigned};
use super::refusal::{Part, Refusal};

/// The first bytes of every Automerge chunk.
pub(super) const MAGIC: [u8; 4] = [0x85, 0x6f, 0x4a, 0x83];
/// The type of an uncompressed change.
pub(super) const CHANGE_CHUNK: u8 = 1;
/// Magic bytes, checksum and type.
pub(super) const FIXED_HEADER_BYTES: usize = 9;

/// Everything in a change but its operations. Ranges count from the start of the chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) hash: ChangeHash,
    pub(super) deps: Vec<ChangeHash>,
    pub(super) actor: Range<usize>,
    pub(super) seq: u64,
    pub(super) start_op: u64,
    pub(super) time: i64,
    pub(super) message: Range<usize>,
    pub(super) other_actors: Vec<Range<usize>>,
    pub(super) columns: Columns,
}

/// Where each column's bytes are; empty when absent. Named as in Automerge.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Columns {
    pub(super) obj_actor: Range<usize>,
    pub(super) obj_ctr: Range<usize>,
    pub(super) key_actor: Range<usize>,
    pub(super) key_ctr: Range<usize>,
    pub(super) key_str: Range<usize>,
    pub(super) insert: Range<usize>,
    pub(super) action: Range<usize>,
    pub(super) value_meta: Range<usize>,
    pub(super) value: Range<usize>,
    pub(super) pred_count: Range<usize>,
    pub(super) pred_actor: Range<usize>,
    pub(super) pred_ctr: Range<usize>,
    pub(super) expand: Range<usize>,
    pub(super) mark_name: Range<usize>,
}

impl Columns {
    /// The column with this specification: column id × 16 + type, where 8 in the type would mean compressed.
    fn by_spec(&mut self, spec: u64) -> Option<&mut Range<usize>> {
        Some(match spec {
            0x01 => &mut self.obj_actor,
            0x02 => &mut self.obj_ctr,
            0x11 => &mut self.key_actor,
            0x13 => &mut self.key_ctr,
            0x15 => &mut self.key_str,
            0x34 => &mut self.insert,
            0x42 => &mut self.action,
            0x56 => &mut self.value_meta,
            0x57 => &mut self.value,
            0x70 => &mut self.pred_count,
            0x71 => &mut self.pred_actor,
            0x73 => &mut self.pred_ctr,
            0x94 => &mut self.expand,
            0xa5 => &mut self.mark_name,
            _ => return None,
        })
    }
}

/// The hash of a change with this body.
pub(super) fn hash_body(body: &[u8]) -> ChangeHash {
    let mut head = vec![CHANGE_CHUNK];
    write_unsigned(&mut head, body.len() as u64);
    let mut hasher = Sha256::new();
    hasher.update(&head);
    hasher.update(body);
    ChangeHash(hasher.finalize().into())
}

/// Check the header and give the body with its hash.
///
/// Cost: one SHA-256 over the bytes.
pub(super) fn open(chunk: &[u8]) -> Result<(&[u8], ChangeHash), Refusal> {
    if chunk.len() > CHANGE_BYTES {
        return Err(Refusal::Size { bytes: chunk.len() });
    }
    let mut reader = Reader::new(chunk, Part::Header);
    if reader.array::<4>()? != MAGIC {
        return Err(Refusal::Magic);
    }
    let checksum = reader.array::<4>()?;
    let [kind] = reader.array()?;
    if kind != CHANGE_CHUNK {
        return Err(Refusal::ChunkType(kind));
    }
    let declared = reader.unsigned()?;
    let actual = reader.remaining();
    if declared != actual as u64 {
        return Err(Refusal::Length { declared, actual });
    }
    let body = reader.take(actual)?;
    let hash = hash_body(body);
    if hash.0[..4] != checksum {
        return Err(Refusal::Checksum);
    }
    Ok((body, hash))
}

/// Read a whole change but its operations.
pub(super) fn parse(chunk: &[u8]) -> Result<Layout, Refusal> {
    let (body, hash) = open(chunk)?;
    let mut reader = Reader::new(body, Part::Deps);
    let at = |reader: &Reader<'_>| chunk.len() - reader.remaining();

    let deps = deps(&mut reader)?;
    reader.enter(Part::Actor);
    let actor = actor(&mut reader)?;
    let actor = at(&reader) - actor.len()..at(&reader);
    reader.enter(Part::Seq);
    let seq = positive(&mut reader, SEQ - 1)?;
    reader.enter(Part::StartOp);
    let start_op = positive(&mut reader, OP_COUNTER - 1)?;
    reader.enter(Part::Time);
    let time = reader.signed()?;
    if !(0..=TIME).contains(&time) {
        return Err(Refusal::Limit { part: Part::Time, value: time.into() });
    }
    reader.enter(Part::Message);
    let message = reader.text(MESSAGE_BYTES)?;
    let message = at(&reader) - message.len()..at(&reader);

    reader.enter(Part::OtherActors);
    let count = reader.at_most(OTHER_ACTORS)?;
    let mut other_actors: Vec<Range<usize>> = Vec::new();
    for _ in 0..count {
        let other = self::actor(&mut reader)?;
        let range = at(&reader) - other.len()..at(&reader);
        if other_actors.last().is_some_and(|last| chunk[last.clone()] >= *other) {
            return Err(Refusal::Order(Part::OtherActors));
        }
        if *other == chunk[actor.clone()] {
            return Err(Refusal::IdleActor);
        }
        other_actors.push(range);
    }
    let columns = columns(&mut reader, chunk.len())?;
    Ok(Layout { hash, deps, actor, seq, start_op, time, message, other_actors, columns })
}

fn deps(reader: &mut Reader<'_>) -> Result<Vec<ChangeHash>, Refusal> {
    let count = reader.at_most(CHANGE_DEPS)?;
    let mut deps: Vec<ChangeHash> = Vec::new();
    for _ in 0..count {
        let dep = ChangeHash(reader.array()?);
        if deps.last().is_some_and(|last| *last >= dep) {
            return Err(Refusal::Order(Part::Deps));
        }
        deps.push(dep);
    }
    Ok(deps)
}

fn actor<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], Refusal> {
    let actor = reader.bytes(ACTOR_BYTES)?;
    if actor.is_empty() { Err(Refusal::Limit { part: reader.part(), value: 0 }) } else { Ok(actor) }
}

fn positive(reader: &mut Reader<'_>, limit: u64) -> Result<u64, Refusal> {
    match reader.at_most(limit)? {
        0 => Err(Refusal::Limit { part: reader.part(), value: 0 }),
        value => Ok(value),
    }
}

/// The list of columns, and the ranges of their bytes, which end the chunk.
fn columns(reader: &mut Reader<'_>, chunk_len: usize) -> Result<Columns, Refusal> {
    reader.enter(Part::Columns);
    let mut columns = Columns::default();
    let count = reader.unsigned()?;
    let mut listed: Vec<(u64, usize)> = Vec::new();
    let mut total = 0_usize;
    for _ in 0..count {
        let spec = reader.unsigned()?;
        if listed.last().is_some_and(|(last, _)| *last >= spec) {
            return Err(Refusal::Order(Part::Columns));
        }
        columns.by_spec(spec).ok_or(Refusal::UnknownColumn(spec))?;
        // Automerge leaves out empty columns.
        let len = match reader.at_most(CHANGE_BYTES as u64)? {
            0 => return Err(Refusal::Encoding(Part::Columns)),
            len => len as usize,
        };
        total += len; // at most 14 columns of 4 MiB
        listed.push((spec, len));
    }
    match total.cmp(&reader.remaining()) {
        std::cmp::Ordering::Less => return Err(Refusal::Leftover(Part::Columns)),
        std::cmp::Ordering::Greater => return Err(Refusal::Truncated(Part::Columns)),
        std::cmp::Ordering::Equal => {}
    }
    let mut start = chunk_len - total;
    for (spec, len) in listed {
        if let Some(range) = columns.by_spec(spec) {
            *range = start..start + len;
        }
        start += len;
    }
    Ok(columns)
}
