//! Tickets: how a device is invited into a space, and the proof that both sides hold the same one.
//!
//! The text is `farshore1` and base32: lower-case letters and the digits 2 to 7, none of which can be taken for another.
//! It may be read in upper case too, which a QR code stores in fewer dots. Whatever a chat or a mail puts in between (line
//! breaks, spaces, invisible characters) is skipped.

use std::fmt;

use thiserror::Error;
use zeroize::Zeroizing;

use crate::bytes::{DecodeError, Reader, Writer};
use crate::id::{DeviceId, SpaceId};
use crate::limits::{PEER_ID_BYTES, TICKET_ADDRESS_BYTES, TICKET_ADDRESSES, TICKET_TEXT_BYTES};
use crate::role::Role;

const PREFIX: &str = "farshore";
/// In the text behind [`PREFIX`] and as the first byte.
const VERSION: u8 = 1;
const CHECKSUM_BYTES: usize = 4;
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// An invitation to one space for one device.
#[derive(Clone, PartialEq, Eq)]
pub struct Ticket {
    /// To which space.
    pub space: SpaceId,
    /// As what.
    pub role: Role,
    /// Proves that one holds the ticket. Used once; never sent.
    pub secret: Zeroizing<[u8; 32]>,
    /// The last second since 1970, by the inviter's clock, at which it is taken.
    pub expires_unix_s: u64,
    /// The device that invites.
    pub inviter: DeviceId,
    /// Its libp2p peer id, as bytes.
    pub peer: Vec<u8>,
    /// Multiaddrs under which it can be dialled.
    pub addresses: Vec<String>,
}

/// Why a text is not a usable ticket. The sender's or the paster's fault.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TicketError {
    /// Something else was pasted.
    #[error("this is not a ticket: a ticket begins with `farshore1`; paste all of what the inviter sent")]
    NotATicket,
    /// A newer version made it.
    #[error("this ticket is of version {0}, which this build does not know: update this device")]
    Newer(u32),
    /// The end is missing.
    #[error("the ticket is cut short: paste all of it, up to its end")]
    Truncated,
    /// A character was changed, lost or added.
    #[error("the ticket was altered on the way: copy it again, or ask for a new one")]
    Altered,
    /// It is whole, but says what no ticket may say.
    #[error("the ticket is not valid: {0}; ask for a new one")]
    Invalid(#[from] DecodeError),
}

impl Ticket {
    /// Names the ticket without giving away its secret: the first 16 bytes of blake3 (`derive_key`) of the secret.
    pub fn id(&self) -> [u8; 16] {
        let mut id = [0; 16];
        id.copy_from_slice(&blake3::derive_key("farshore v1 ticket id", self.secret.as_slice())[..16]);
        id
    }

    /// Whether it is no longer taken.
    pub fn is_expired(&self, now_unix_s: u64) -> bool {
        now_unix_s > self.expires_unix_s
    }

    /// The text to hand over.
    ///
    /// # Errors
    /// The caller's: a peer id or addresses over their limits.
    pub fn to_text(&self) -> Result<Zeroizing<String>, TicketError> {
        let mut payload = self.encode();
        Ticket::decode(&payload)?;
        let checksum = checksum(&payload);
        payload.extend_from_slice(&checksum);
        let mut text = Zeroizing::new(format!("{PREFIX}{VERSION}"));
        // Reserved at once: a growing string would leave copies of the secret behind.
        text.reserve(payload.len().div_ceil(5) * 8);
        base32(&payload, &mut text);
        Ok(text)
    }

    /// Reads a text that was pasted, typed or scanned.
    ///
    /// # Errors
    /// See [`TicketError`]: each names what is wrong and what to do.
    pub fn parse(text: &str) -> Result<Ticket, TicketError> {
        if text.len() > TICKET_TEXT_BYTES {
            return Err(TicketError::NotATicket);
        }
        let mut clean = Zeroizing::new(String::with_capacity(text.len()));
        clean.extend(text.chars().filter(|c| !is_filler(*c)).map(|c| c.to_ascii_lowercase()));
        let rest = clean.strip_prefix(PREFIX).ok_or(TicketError::NotATicket)?;
        // The payload begins with its version below 8, so with the letter `a`: digits up to there are the text's version.
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (version, body) = rest.split_at(digits);
        match version.parse::<u32>() {
            Ok(found) if found == u32::from(VERSION) => {}
            Ok(0) => return Err(TicketError::NotATicket),
            Ok(newer) => return Err(TicketError::Newer(newer)),
            Err(_) => return Err(TicketError::NotATicket),
        }
        let (bytes, left_over) = unbase32(body)?;
        let Some(length) = bytes.get(1..3).map(|b| usize::from(u16::from_be_bytes([b[0], b[1]]))) else {
            return Err(TicketError::Truncated);
        };
        if bytes.len() < length + CHECKSUM_BYTES {
            return Err(TicketError::Truncated);
        }
        let (payload, check) = bytes.split_at(length);
        if check != checksum(payload) || !left_over {
            return Err(TicketError::Altered);
        }
        Ok(Ticket::decode(payload)?)
    }

    /// The payload: version 1 (1 byte) · its own length u16 · space 32 · role 1 · secret 32 · expiry u64 · inviter 32 · peer
    /// (u32 length) · addresses (u16 count, each with u32 length). In the text, 4 bytes of checksum follow.
    fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut writer = Writer::new();
        writer.u8(VERSION).u16(0).raw(&self.space.0);
        self.role.encode(&mut writer);
        writer.raw(self.secret.as_slice()).u64(self.expires_unix_s).raw(&self.inviter.0).bytes(&self.peer);
        writer.count(self.addresses.len().min(TICKET_ADDRESSES + 1));
        for address in self.addresses.iter().take(TICKET_ADDRESSES + 1) {
            writer.text(address);
        }
        let mut payload = Zeroizing::new(writer.finish());
        // A payload too long for its length field is over the limits of its parts, which decoding it refuses.
        let length = u16::try_from(payload.len()).unwrap_or(u16::MAX);
        payload[1..3].copy_from_slice(&length.to_be_bytes());
        payload
    }

    fn decode(payload: &[u8]) -> Result<Ticket, DecodeError> {
        let mut reader = Reader::new(payload);
        let version = reader.u8("ticket version")?;
        if version != VERSION {
            let (found, known) = (u32::from(version), u32::from(VERSION));
            return Err(DecodeError::Version { field: "ticket version", found, known });
        }
        if usize::from(reader.u16("ticket length")?) != payload.len() {
            return Err(DecodeError::Invalid { field: "ticket length" });
        }
        let space = SpaceId(reader.array("ticket space")?);
        let role = Role::decode(&mut reader)?;
        let secret = Zeroizing::new(reader.array("ticket secret")?);
        let expires_unix_s = reader.u64("ticket expiry")?;
        let inviter = DeviceId(reader.array("ticket inviter")?);
        let peer = reader.bytes(PEER_ID_BYTES, "ticket peer id")?.to_vec();
        let count = reader.count(TICKET_ADDRESSES, 4, "ticket addresses")?;
        let mut addresses = Vec::with_capacity(count);
        for _ in 0..count {
            addresses.push(reader.text(TICKET_ADDRESS_BYTES, "ticket address")?.to_owned());
        }
        reader.end()?;
        Ok(Ticket { space, role, secret, expires_unix_s, inviter, peer, addresses })
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ticket { space, role, expires_unix_s, inviter, addresses, .. } = self;
        write!(f, "Ticket({space:?}, {role}, by {inviter:?}, until {expires_unix_s}, {addresses:?}, secret hidden)")
    }
}

/// White space, and characters without width that chats and mails insert.
fn is_filler(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(c, '\u{ad}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{feff}')
}

fn checksum(payload: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let hash = blake3::derive_key("farshore v1 ticket checksum", payload);
    [hash[0], hash[1], hash[2], hash[3]]
}

fn base32(bytes: &[u8], out: &mut String) {
    let (mut bits, mut held) = (0_u32, 0);
    for byte in bytes {
        bits = (bits << 8 | u32::from(*byte)) & 0xfff;
        held += 8;
        while held >= 5 {
            held -= 5;
            out.push(char::from(ALPHABET[(bits >> held & 31) as usize]));
        }
    }
    if held > 0 {
        out.push(char::from(ALPHABET[(bits << (5 - held) & 31) as usize]));
    }
}

/// The whole bytes, and whether what is left over is what [`base32`] leaves: under one character, and zero.
fn unbase32(text: &str) -> Result<(Zeroizing<Vec<u8>>, bool), TicketError> {
    let mut out = Zeroizing::new(Vec::with_capacity(text.len() * 5 / 8));
    let (mut bits, mut held) = (0_u32, 0);
    for c in text.bytes() {
        let value = ALPHABET.iter().position(|a| *a == c).ok_or(TicketError::Altered)?;
        bits = (bits << 5 | value as u32) & 0xfff;
        held += 5;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
        }
    }
    Ok((out, held < 5 && bits & ((1 << held) - 1) == 0))
}

/// What both sides of a pairing saw. A proof over it holds for this connection, these devices and this ticket alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transcript {
    /// The space.
    pub space: SpaceId,
    /// The joiner's libp2p peer id, which the transport authenticated.
    pub joiner_peer: Vec<u8>,
    /// The inviter's.
    pub inviter_peer: Vec<u8>,
    /// Fresh from the joiner.
    pub joiner_nonce: [u8; 32],
    /// Fresh from the inviter.
    pub inviter_nonce: [u8; 32],
    /// The joiner's device.
    pub joiner_device: DeviceId,
    /// The inviter's device.
    pub inviter_device: DeviceId,
    /// The joiner's encoded [`crate::keys::DeviceCertificate`].
    pub joiner_certificate: Vec<u8>,
}

impl Transcript {
    fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.raw(&self.space.0).bytes(&self.joiner_peer).bytes(&self.inviter_peer);
        writer.raw(&self.joiner_nonce).raw(&self.inviter_nonce);
        writer.raw(&self.joiner_device.0).raw(&self.inviter_device.0).bytes(&self.joiner_certificate);
        writer.finish()
    }
}

fn pairing_mac(context: &'static str, secret: &[u8; 32], transcript: &Transcript) -> blake3::Hash {
    let key = Zeroizing::new(blake3::derive_key(context, secret));
    blake3::keyed_hash(&key, &transcript.encode())
}

const JOIN: &str = "farshore v1 pairing join";
const WELCOME: &str = "farshore v1 pairing welcome";

/// The joiner's proof that it holds the ticket.
pub fn join_mac(secret: &[u8; 32], transcript: &Transcript) -> [u8; 32] {
    *pairing_mac(JOIN, secret, transcript).as_bytes()
}

/// The inviter's proof that it issued the ticket.
pub fn welcome_mac(secret: &[u8; 32], transcript: &Transcript) -> [u8; 32] {
    *pairing_mac(WELCOME, secret, transcript).as_bytes()
}

/// Whether `mac` is the joiner's proof; compared in constant time.
pub fn verify_join(secret: &[u8; 32], transcript: &Transcript, mac: &[u8; 32]) -> bool {
    pairing_mac(JOIN, secret, transcript) == *mac
}

/// Whether `mac` is the inviter's proof; compared in constant time.
pub fn verify_welcome(secret: &[u8; 32], transcript: &Transcript, mac: &[u8; 32]) -> bool {
    pairing_mac(WELCOME, secret, transcript) == *mac
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ticket() -> Ticket {
        Ticket {
            space: SpaceId([1; 32]),
            role: Role::Writer,
            secret: Zeroizing::new([0xab; 32]),
            expires_unix_s: 1_800_000_000,
            inviter: DeviceId([3; 32]),
            peer: vec![4; 38],
            addresses: vec!["/ip4/192.168.1.7/udp/4001/quic-v1".into(), "/ip4/192.168.1.7/tcp/4001".into()],
        }
    }

    #[test]
    fn a_ticket_survives_what_pasting_does_to_it() {
        let text = ticket().to_text().unwrap();
        assert_eq!(Ticket::parse(&text).unwrap(), ticket());
        assert_eq!(Ticket::parse(&text.to_uppercase()).unwrap(), ticket());
        let mut wrapped = String::from("\u{feff} \r\n");
        for (at, c) in text.chars().enumerate() {
            wrapped.push(c);
            wrapped.push_str(["", "\n", "\u{200b}", "", "  ", "\u{ad}", "\t", ""][at % 8]);
        }
        assert_eq!(Ticket::parse(&wrapped).unwrap(), ticket());
    }

    #[test]
    fn every_refusal_names_its_reason() {
        let text = ticket().to_text().unwrap();
        for other in
            ["", "hello", "farshore", "farshore0aaaa", "https://example.invalid/farshore1", &"x".repeat(20_000)]
        {
            assert_eq!(Ticket::parse(other), Err(TicketError::NotATicket), "{other}");
        }
        assert_eq!(Ticket::parse(&text.replacen('1', "2", 1)), Err(TicketError::Newer(2)));
        assert_eq!(Ticket::parse(&text.replacen('1', "12", 1)), Err(TicketError::Newer(12)));
        for cut in "farshore1".len()..text.len() {
            assert_eq!(Ticket::parse(&text[..cut]), Err(TicketError::Truncated), "cut at {cut}");
        }
        assert_eq!(Ticket::parse(&format!("{}a", text.as_str())), Err(TicketError::Altered));
    }

    #[test]
    fn a_ticket_changed_in_any_character_is_refused() {
        let text = ticket().to_text().unwrap();
        for place in "farshore1".len()..text.len() {
            let old = text.as_bytes()[place];
            for new in [b'a', b'b', b'7', b'0'] {
                let mut changed = text.as_bytes().to_vec();
                changed[place] = new;
                if new != old {
                    assert!(Ticket::parse(std::str::from_utf8(&changed).unwrap()).is_err(), "character {place}");
                }
            }
        }
    }

    #[test]
    fn a_ticket_over_its_limits_is_neither_written_nor_read() {
        let broken: [fn(&mut Ticket); 4] = [
            |t| t.peer = vec![0; PEER_ID_BYTES + 1],
            |t| t.addresses = vec![String::new(); TICKET_ADDRESSES + 1],
            |t| t.addresses = vec!["x".repeat(TICKET_ADDRESS_BYTES + 1)],
            |t| t.addresses = vec!["x".repeat(70_000)],
        ];
        for break_it in broken {
            let mut over = ticket();
            break_it(&mut over);
            assert!(matches!(over.to_text(), Err(TicketError::Invalid(_))));
        }
        let mut largest = ticket();
        largest.peer = vec![0; PEER_ID_BYTES];
        largest.addresses = vec!["x".repeat(TICKET_ADDRESS_BYTES); TICKET_ADDRESSES];
        assert_eq!(Ticket::parse(&largest.to_text().unwrap()).unwrap(), largest);
    }

    #[test]
    fn the_secret_is_in_the_text_alone() {
        let printed = format!("{:?}", ticket());
        assert!(!printed.contains("171") && !printed.contains("abab"), "{printed}");
        assert_ne!(ticket().id(), [0xab; 16]);
        assert!(!ticket().is_expired(1_800_000_000) && ticket().is_expired(1_800_000_001));
    }

    #[test]
    fn a_pairing_proof_holds_for_its_side_its_transcript_and_its_ticket_only() {
        let transcript = Transcript {
            space: SpaceId([1; 32]),
            joiner_peer: vec![1, 2],
            inviter_peer: vec![3],
            joiner_nonce: [4; 32],
            inviter_nonce: [5; 32],
            joiner_device: DeviceId([6; 32]),
            inviter_device: DeviceId([7; 32]),
            joiner_certificate: vec![8; 10],
        };
        let (secret, other) = ([9; 32], [10; 32]);
        let (join, welcome) = (join_mac(&secret, &transcript), welcome_mac(&secret, &transcript));
        assert!(verify_join(&secret, &transcript, &join) && verify_welcome(&secret, &transcript, &welcome));
        assert!(!verify_join(&secret, &transcript, &welcome) && !verify_welcome(&secret, &transcript, &join));
        assert!(!verify_join(&other, &transcript, &join));
        let changes: [fn(&mut Transcript); 8] = [
            |t| t.space.0[0] ^= 1,
            // The border between the two peers counts.
            |t| (t.joiner_peer, t.inviter_peer) = (vec![1], vec![2, 3]),
            |t| t.inviter_peer = vec![4],
            |t| t.joiner_nonce[0] ^= 1,
            |t| t.inviter_nonce[0] ^= 1,
            |t| t.joiner_device.0[0] ^= 1,
            |t| t.inviter_device.0[0] ^= 1,
            |t| t.joiner_certificate[0] ^= 1,
        ];
        for change in changes {
            let mut changed = transcript.clone();
            change(&mut changed);
            assert!(!verify_join(&secret, &changed, &join) && !verify_welcome(&secret, &changed, &welcome));
        }
    }

    proptest! {
        #[test]
        fn texts_from_strangers_never_panic(tail in "[a-z2-7 0-9\\PC]{0,300}") {
            let text = format!("farshore1{tail}");
            prop_assert!(Ticket::parse(&text).is_err());
        }

        #[test]
        fn every_ticket_reads_back(secret: [u8; 32], peer in proptest::collection::vec(any::<u8>(), 0..64), addresses in proptest::collection::vec("[ -~]{0,40}", 0..5)) {
            let made = Ticket { secret: Zeroizing::new(secret), peer, addresses, ..ticket() };
            prop_assert_eq!(Ticket::parse(&made.to_text().unwrap()).unwrap(), made);
        }
    }
}
