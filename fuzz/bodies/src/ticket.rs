//! Tickets as people paste them.

use arbitrary::{Result, Unstructured};
use farshore_core::id::{DeviceId, SpaceId};
use farshore_core::limits::{PEER_ID_BYTES, TICKET_ADDRESS_BYTES, TICKET_ADDRESSES, TICKET_TEXT_BYTES};
use farshore_core::role::Role;
use farshore_core::ticket::Ticket;
use zeroize::Zeroizing;

use crate::Outcome;

/// The first byte picks what the others are: a text, a payload that gets its checksum, or the fields of a ticket and what
/// pasting does to its text.
///
/// Checked: an accepted text stands for one ticket, which is written as one text, and that reads back. Line breaks, spaces and
/// upper case change nothing; one other character is noticed.
pub fn ticket(data: &[u8]) -> Outcome {
    match data.split_first() {
        None => Outcome::Refused,
        Some((kind, bytes)) if kind % 3 == 0 => read(&String::from_utf8_lossy(bytes)),
        Some((kind, bytes)) if kind % 3 == 1 => read(&text_of(bytes)),
        Some((_, bytes)) => pasted(&mut Unstructured::new(bytes)).unwrap_or(Outcome::Refused),
    }
}

fn read(text: &str) -> Outcome {
    let Ok(ticket) = Ticket::parse(text) else { return Outcome::Refused };
    let written = ticket.to_text().expect("what was read can be written");
    let plain: String = text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    assert!(plain == written.as_str(), "a ticket has two texts");
    assert!(Ticket::parse(&written).as_ref() == Ok(&ticket), "a ticket reads back as something else");
    Outcome::Accepted
}

/// The text of a payload, whose length and checksum are made to fit: said once more, by `docs/protocol.md`.
fn text_of(payload: &[u8]) -> String {
    let mut bytes = payload.to_vec();
    if let (Some(place), Ok(length)) = (bytes.get_mut(1..3), u16::try_from(payload.len())) {
        place.copy_from_slice(&length.to_be_bytes());
    }
    let checksum = blake3::derive_key("farshore v1 ticket checksum", &bytes);
    bytes.extend_from_slice(&checksum[..4]);
    let bits: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    let digit = |bits: &[u8]| {
        let value = (0..5).fold(0, |value, at| value << 1 | bits.get(at).copied().unwrap_or(0));
        char::from(b"abcdefghijklmnopqrstuvwxyz234567"[usize::from(value)])
    };
    "farshore1".chars().chain(bits.chunks(5).map(digit)).collect()
}

fn pasted(u: &mut Unstructured<'_>) -> Result<Outcome> {
    let ticket = Ticket {
        space: SpaceId(u.arbitrary()?),
        role: *u.choose(&Role::ALL)?,
        secret: Zeroizing::new(u.arbitrary()?),
        expires_unix_s: u.arbitrary()?,
        inviter: DeviceId([u.arbitrary()?; 32]),
        peer: vec![7; u.int_in_range(0..=66)?],
        addresses: (0..u.int_in_range(0..=17)?).map(|_| u.arbitrary()).collect::<Result<_>>()?,
    };
    let within = ticket.peer.len() <= PEER_ID_BYTES
        && ticket.addresses.len() <= TICKET_ADDRESSES
        && ticket.addresses.iter().all(|address| address.len() <= TICKET_ADDRESS_BYTES);
    let text = ticket.to_text();
    assert_eq!(text.is_ok(), within, "the limits of {ticket:?}");
    let Ok(text) = text else { return Ok(Outcome::Refused) };
    let mut pasted = String::new();
    for c in text.chars() {
        if u.ratio(1, 16).unwrap_or(false) {
            pasted.push_str(u.choose(&["\n", " ", "\r\n\t", "\u{200b}", "\u{feff}", "\u{ad}"])?);
        }
        pasted.push(if u.ratio(1, 4).unwrap_or(false) { c.to_ascii_uppercase() } else { c });
    }
    let short = pasted.len() <= TICKET_TEXT_BYTES;
    assert!((Ticket::parse(&pasted).as_ref() == Ok(&ticket)) == short, "pasting changed it: {pasted:?}");
    let at = usize::from(u.arbitrary::<u16>()?) % text.len();
    let (old, new) = (text.as_bytes()[at], *u.choose(b"abcxyz27018!")?);
    let altered = format!("{}{}{}", &text[..at], char::from(new), &text[at + 1..]);
    assert!(old == new || Ticket::parse(&altered).is_err(), "character {at} can be {new}");
    Ok(Outcome::Accepted)
}
