//! Epoch keys and everything that is done with them: sealing, wrapping, naming, finding.
//!
//! Each use has a key of its own, derived by blake3 with a context that is used nowhere else, so that nothing made for one
//! use can be replayed as another.

use std::fmt;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hpke::kem::X25519HkdfSha256;
use hpke::rand_core::CryptoRng;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::entropy::Entropy;
use crate::id::{CollectionTag, DeviceId, DocumentId, EpochId, SpaceId};

/// Bytes that [`seal`] adds: nonce 24, authenticator 16.
pub const SEAL_OVERHEAD: usize = NONCE_BYTES + 16;
/// Length of a wrapped key: encapsulated key 32, sealed key 32, authenticator 16.
pub const WRAP_BYTES: usize = 80;
/// Length of an epoch key sealed under a later epoch's.
pub const SEALED_KEY_BYTES: usize = 32 + SEAL_OVERHEAD;

const NONCE_BYTES: usize = 24;

/// The 32 random bytes that open everything of one key epoch. Zeroized when dropped, never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct EpochKey(Zeroizing<[u8; 32]>);

impl EpochKey {
    /// Makes a new key from entropy that is used for nothing else.
    pub fn generate(entropy: &mut Entropy) -> Self {
        EpochKey(entropy.seed())
    }

    /// Reads a key, from the store or out of a wrap.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        EpochKey(Zeroizing::new(bytes))
    }

    /// The secret.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The commitment to this key that names its epoch. It cannot be opened to another key: a minter that wraps different
    /// keys for different devices is caught by those whose key does not fit.
    pub fn id(&self) -> EpochId {
        EpochId(*derive("farshore v1 epoch id", self, &[]))
    }
}

impl fmt::Debug for EpochKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EpochKey({}, secret hidden)", self.id().short())
    }
}

/// A key for [`seal`] and [`open`], bound to one purpose. Zeroized when dropped, never printed.
#[derive(Clone)]
pub struct ContentKey {
    cipher: Zeroizing<[u8; 32]>,
    nonce: Zeroizing<[u8; 32]>,
}

impl ContentKey {
    fn derive(context: &'static str, key: &EpochKey, purpose: &[u8]) -> Self {
        let root = derive(context, key, purpose);
        ContentKey {
            cipher: Zeroizing::new(blake3::derive_key("farshore v1 seal cipher", root.as_slice())),
            nonce: Zeroizing::new(blake3::derive_key("farshore v1 seal nonce", root.as_slice())),
        }
    }
}

impl fmt::Debug for ContentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ContentKey(secret hidden)")
    }
}

fn derive(context: &'static str, key: &EpochKey, message: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut hasher = blake3::Hasher::new_derive_key(context);
    hasher.update(key.as_bytes()).update(message);
    Zeroizing::new(*hasher.finalize().as_bytes())
}

/// The key that seals the entries of one collection in one epoch.
pub fn content_key(key: &EpochKey, collection: &CollectionTag) -> ContentKey {
    ContentKey::derive("farshore v1 collection content", key, &collection.0)
}

/// The key that seals what the roster itself hides from relays: the space's name and the collections' definitions.
pub fn roster_key(key: &EpochKey) -> ContentKey {
    ContentKey::derive("farshore v1 roster content", key, &[])
}

/// Why sealed bytes did not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The sealer's fault, or the wrong key, or other associated data: the authenticator does not fit.
    #[error("the sealed bytes were altered, or were sealed under another key or for another place")]
    Altered,
    /// The sender's fault: too short to have been sealed.
    #[error("the sealed bytes are shorter than their own nonce and authenticator")]
    Truncated,
}

/// Seals `plaintext` so that only `key` opens it, and only together with the same `aad`.
///
/// Shape: nonce (24 bytes) ‖ XChaCha20-Poly1305 ciphertext. The nonce is synthetic: blake3, keyed for this purpose alone,
/// over `length of aad (u64) ‖ aad ‖ plaintext`. Many devices share one key without a counter between them, and a device that
/// was copied or restored repeats whatever counter or generator state it had. With a synthetic nonce, two different
/// plaintexts never share a nonce, and sealing the same bytes twice gives the same bytes and tells nobody anything new: the
/// `aad` of an entry holds (device, incarnation, seq), so equal output means the very same entry.
///
/// Cost: one pass of blake3 and one of XChaCha20-Poly1305 over the plaintext.
pub fn seal(key: &ContentKey, aad: &[u8], plaintext: &[u8]) -> Vec<u8> {
    let mut hasher = blake3::Hasher::new_keyed(&key.nonce);
    hasher.update(&(aad.len() as u64).to_be_bytes()).update(aad).update(plaintext);
    let hash = hasher.finalize();
    let mut nonce = [0; NONCE_BYTES];
    nonce.copy_from_slice(&hash.as_bytes()[..NONCE_BYTES]);
    let mut out = Vec::with_capacity(plaintext.len() + SEAL_OVERHEAD);
    out.extend_from_slice(&nonce);
    let ciphertext = XChaCha20Poly1305::new(&(*key.cipher).into())
        .encrypt(&XNonce::from(nonce), Payload { msg: plaintext, aad })
        .expect("XChaCha20-Poly1305 fails only beyond 256 GiB, and callers cap what they seal far below");
    out.extend_from_slice(&ciphertext);
    out
}

/// Opens what [`seal`] made.
///
/// # Errors
/// The sealer's or sender's fault, or the wrong key: see [`OpenError`].
pub fn open(key: &ContentKey, aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
    if sealed.len() < SEAL_OVERHEAD {
        return Err(OpenError::Truncated);
    }
    let (head, ciphertext) = sealed.split_at(NONCE_BYTES);
    let mut nonce = [0; NONCE_BYTES];
    nonce.copy_from_slice(head);
    XChaCha20Poly1305::new(&(*key.cipher).into())
        .decrypt(&XNonce::from(nonce), Payload { msg: ciphertext, aad })
        .map_err(|_| OpenError::Altered)
}

/// Seals a parent epoch's key under a later epoch's, so that whoever gets the later one reads the history.
pub fn seal_parent_key(child: &EpochKey, parent: &EpochKey) -> [u8; SEALED_KEY_BYTES] {
    let key = ContentKey::derive("farshore v1 parent epoch", child, &[]);
    let mut out = [0; SEALED_KEY_BYTES];
    out.copy_from_slice(&seal(&key, &parent.id().0, parent.as_bytes()));
    out
}

/// Opens what [`seal_parent_key`] made, and checks that it is the key that `parent` commits to.
///
/// # Errors
/// The minter's fault: see [`OpenError`].
pub fn open_parent_key(child: &EpochKey, parent: &EpochId, sealed: &[u8]) -> Result<EpochKey, OpenError> {
    let key = ContentKey::derive("farshore v1 parent epoch", child, &[]);
    let opened = Zeroizing::new(open(&key, &parent.0, sealed)?);
    let bytes: [u8; 32] = opened.as_slice().try_into().map_err(|_| OpenError::Altered)?;
    let key = EpochKey::from_bytes(bytes);
    if key.id() == *parent { Ok(key) } else { Err(OpenError::Altered) }
}

/// The key that names collections and keyed documents: derived from the space's first epoch, so that names stay the same
/// through every rotation. Zeroized when dropped, never printed.
#[derive(Clone)]
pub struct TagKey(Zeroizing<[u8; 32]>);

impl fmt::Debug for TagKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TagKey(secret hidden)")
    }
}

/// Derives the naming key from the first epoch's key.
pub fn tag_key(first_epoch_key: &EpochKey) -> TagKey {
    TagKey(derive("farshore v1 tag key", first_epoch_key, &[]))
}

/// The tag of the collection with this name. A relay sees the tag and cannot guess the name from it.
pub fn collection_tag(key: &TagKey, name: &str) -> CollectionTag {
    CollectionTag(tag(key, b"collection", &[], name.as_bytes()))
}

/// The id of the document with this key in a keyed collection: the same on every device that knows the space's first epoch.
pub fn document_id_from_key(key: &TagKey, collection: &CollectionTag, document_key: &str) -> DocumentId {
    DocumentId(tag(key, b"document\0\0", &collection.0, document_key.as_bytes()))
}

/// `kind` has one length for all kinds and `scope` one length for each, so that no two inputs read the same.
fn tag(key: &TagKey, kind: &[u8; 10], scope: &[u8], name: &[u8]) -> [u8; 16] {
    first_16(blake3::Hasher::new_keyed(&key.0).update(kind).update(scope).update(name).finalize())
}

fn first_16(hash: blake3::Hash) -> [u8; 16] {
    let mut out = [0; 16];
    out.copy_from_slice(&hash.as_bytes()[..16]);
    out
}

/// What a device shows to a peer to find out whether both hold this epoch: a stranger learns nothing from it, not even
/// whether two devices share a space with each other.
///
/// The sender's nonce goes first, so that a peer that merely echoes the tags it received never matches: what is received is
/// compared with the tag of (their nonce, my nonce).
pub fn discovery_tag(key: &EpochKey, sender_nonce: &[u8; 32], receiver_nonce: &[u8; 32]) -> [u8; 16] {
    nonce_tag(&derive("farshore v1 discovery", key, &[]), sender_nonce, receiver_nonce)
}

/// Like [`discovery_tag`], for relays and for devices that hold no key yet: keyed with the space's id, which only those know
/// who were ever let in. Who learns the id can find out which of his peers are in the space, and nothing else.
pub fn relay_discovery_tag(space: &SpaceId, sender_nonce: &[u8; 32], receiver_nonce: &[u8; 32]) -> [u8; 16] {
    nonce_tag(&blake3::derive_key("farshore v1 relay discovery", &space.0), sender_nonce, receiver_nonce)
}

fn nonce_tag(key: &[u8; 32], sender_nonce: &[u8; 32], receiver_nonce: &[u8; 32]) -> [u8; 16] {
    first_16(blake3::Hasher::new_keyed(key).update(sender_nonce).update(receiver_nonce).finalize())
}

/// Why a key was not wrapped or unwrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WrapError {
    /// The receiver's fault: its public key is of low order. Certificates with such keys are refused, so this names a bug.
    #[error("the device's sealing key is not usable")]
    PublicKey,
    /// The wrapper's fault, or the wrong secret, or another `info`: the authenticator does not fit.
    #[error("the wrapped key was altered, or was wrapped for another device or place")]
    Altered,
}

type WrapCipher = hpke::aead::ChaCha20Poly1305;
type WrapKdf = hpke::kdf::HkdfSha256;

/// What a wrap is bound to: it opens for this space, epoch and device only.
pub fn wrap_info(space: &SpaceId, epoch: &EpochId, device: &DeviceId) -> Vec<u8> {
    [b"farshore v1 epoch wrap".as_slice(), &space.0, &epoch.0, &device.0].concat()
}

/// Wraps an epoch key for one device. Suite: HPKE base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305
/// (RFC 9180), no associated data. Shape: encapsulated key 32 ‖ ciphertext 48. Cost: about 130 microseconds.
///
/// # Errors
/// The receiver's fault: see [`WrapError::PublicKey`].
pub fn wrap(
    kem_public: &[u8; 32],
    info: &[u8],
    key: &EpochKey,
    rng: &mut impl CryptoRng,
) -> Result<[u8; WRAP_BYTES], WrapError> {
    let public =
        <X25519HkdfSha256 as Kem>::PublicKey::from_bytes(kem_public.as_slice()).map_err(|_| WrapError::PublicKey)?;
    let (encapsulated, sealed) = hpke::single_shot_seal_with_rng::<WrapCipher, WrapKdf, X25519HkdfSha256>(
        &OpModeS::Base,
        &public,
        info,
        key.as_bytes(),
        &[],
        rng,
    )
    .map_err(|_| WrapError::PublicKey)?;
    let mut out = [0; WRAP_BYTES];
    out[..32].copy_from_slice(&encapsulated.to_bytes());
    out[32..].copy_from_slice(&sealed);
    Ok(out)
}

/// Opens what [`wrap`] made. The caller checks the key against its epoch. Cost: about 110 microseconds.
///
/// # Errors
/// The wrapper's fault or the wrong secret: see [`WrapError::Altered`].
pub fn unwrap(kem_secret: &[u8; 32], info: &[u8], wrapped: &[u8; WRAP_BYTES]) -> Result<EpochKey, WrapError> {
    let secret =
        <X25519HkdfSha256 as Kem>::PrivateKey::from_bytes(kem_secret.as_slice()).map_err(|_| WrapError::Altered)?;
    let encapsulated =
        <X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(&wrapped[..32]).map_err(|_| WrapError::Altered)?;
    let opened = hpke::single_shot_open::<WrapCipher, WrapKdf, X25519HkdfSha256>(
        &OpModeR::Base,
        &secret,
        &encapsulated,
        info,
        &wrapped[32..],
        &[],
    )
    .map(Zeroizing::new)
    .map_err(|_| WrapError::Altered)?;
    opened.as_slice().try_into().map(EpochKey::from_bytes).map_err(|_| WrapError::Altered)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use hpke::rand_core::{TryCryptoRng, TryRng};

    use super::*;
    use crate::id::{hex, unhex};

    fn from_hex(text: &str) -> Vec<u8> {
        let mut out = vec![0; text.len() / 2];
        unhex(text, &mut out).unwrap();
        out
    }

    /// Gives the published ephemeral seed instead of random bytes.
    struct Published(Vec<u8>);

    impl TryRng for Published {
        type Error = Infallible;
        fn try_next_u32(&mut self) -> Result<u32, Infallible> {
            unreachable!("the key encapsulation draws bytes only")
        }
        fn try_next_u64(&mut self) -> Result<u64, Infallible> {
            unreachable!("the key encapsulation draws bytes only")
        }
        fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
            out.copy_from_slice(&self.0);
            Ok(())
        }
    }

    impl TryCryptoRng for Published {}

    #[test]
    fn hpke_is_that_of_rfc_9180() {
        // Appendix A.2.1: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305, base mode, first encryption.
        let receiver = from_hex("8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb");
        let public = from_hex("4310ee97d88cc1f088a5576c77ab0cf5c3ac797f3d95139c6c84b5429c59662a");
        let info = from_hex("4f6465206f6e2061204772656369616e2055726e");
        let aad = from_hex("436f756e742d30");
        let plaintext = from_hex("4265617574792069732074727574682c20747275746820626561757479");
        let mut rng = Published(from_hex("909a9b35d3dc4713a5e72a4da274b55d3d3821a37e5d099e74a647db583a904b"));
        let public = <X25519HkdfSha256 as Kem>::PublicKey::from_bytes(&public).unwrap();
        let (encapsulated, sealed) = hpke::single_shot_seal_with_rng::<WrapCipher, WrapKdf, X25519HkdfSha256>(
            &OpModeS::Base,
            &public,
            &info,
            &plaintext,
            &aad,
            &mut rng,
        )
        .unwrap();
        assert_eq!(hex(&encapsulated.to_bytes()), "1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a");
        assert_eq!(
            hex(&sealed),
            "1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db21993c62ce81883d2dd1b51a28"
        );
        let secret = <X25519HkdfSha256 as Kem>::PrivateKey::from_bytes(&receiver).unwrap();
        let opened = hpke::single_shot_open::<WrapCipher, WrapKdf, X25519HkdfSha256>(
            &OpModeR::Base,
            &secret,
            &encapsulated,
            &info,
            &sealed,
            &aad,
        );
        assert_eq!(opened.unwrap(), plaintext);
    }

    #[test]
    fn xchacha20_poly1305_is_that_of_the_draft() {
        // draft-irtf-cfrg-xchacha-03, appendix A.3.1.
        let key: [u8; 32] = std::array::from_fn(|i| 0x80 + i as u8);
        let nonce: [u8; 24] = std::array::from_fn(|i| 0x40 + i as u8);
        let aad = from_hex("50515253c0c1c2c3c4c5c6c7");
        let msg = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.";
        let sealed = XChaCha20Poly1305::new(&key.into()).encrypt(&nonce.into(), Payload { msg, aad: &aad }).unwrap();
        assert_eq!(
            hex(&sealed),
            "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb\
             731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452\
             2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9\
             21f9664c97637da9768812f615c68b13b52e\
             c0875924c1c7987947deafd8780acf49"
        );
    }

    fn keys() -> (EpochKey, EpochKey) {
        (EpochKey::from_bytes([1; 32]), EpochKey::from_bytes([2; 32]))
    }

    #[test]
    fn sealed_bytes_open_in_their_own_place_only() {
        let (one, two) = keys();
        let (here, there) = (CollectionTag([1; 16]), CollectionTag([2; 16]));
        let sealed = seal(&content_key(&one, &here), b"header", b"milk");
        assert_eq!(sealed.len(), 4 + SEAL_OVERHEAD);
        assert_eq!(open(&content_key(&one, &here), b"header", &sealed).unwrap(), b"milk");
        assert_eq!(open(&content_key(&one, &here), b"leader", &sealed), Err(OpenError::Altered));
        assert_eq!(open(&content_key(&one, &there), b"header", &sealed), Err(OpenError::Altered));
        assert_eq!(open(&content_key(&two, &here), b"header", &sealed), Err(OpenError::Altered));
        assert_eq!(open(&roster_key(&one), b"header", &sealed), Err(OpenError::Altered));
        for place in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            assert!(open(&content_key(&one, &here), b"header", &changed).is_err(), "byte {place} may be changed");
            assert!(open(&content_key(&one, &here), b"header", &sealed[..place]).is_err(), "cut at {place}");
        }
    }

    #[test]
    fn different_plaintexts_and_headers_never_share_a_nonce() {
        let key = content_key(&keys().0, &CollectionTag([1; 16]));
        let nonce = |aad: &[u8], plaintext: &[u8]| seal(&key, aad, plaintext)[..NONCE_BYTES].to_vec();
        assert_eq!(nonce(b"1", b"milk"), nonce(b"1", b"milk"));
        assert_ne!(nonce(b"1", b"milk"), nonce(b"1", b"silk"));
        assert_ne!(nonce(b"1", b"milk"), nonce(b"2", b"milk"));
        // The border between header and plaintext counts.
        assert_ne!(nonce(b"1m", b"ilk"), nonce(b"1", b"milk"));
    }

    #[test]
    fn a_wrap_opens_for_its_device_and_epoch_only() {
        let (key, other) = keys();
        let mut entropy = Entropy::from_seed(&[3; 32], "test");
        let device = crate::keys::DeviceKeys::generate(&mut entropy);
        let stranger = crate::keys::DeviceKeys::generate(&mut entropy);
        let info = wrap_info(&SpaceId([4; 32]), &key.id(), &device.id());
        let wrapped = wrap(&device.kem_public(), &info, &key, &mut entropy).unwrap();
        assert_eq!(unwrap(&device.kem_secret(), &info, &wrapped).unwrap(), key);
        assert!(unwrap(&stranger.kem_secret(), &info, &wrapped).is_err());
        let elsewhere = wrap_info(&SpaceId([4; 32]), &other.id(), &device.id());
        assert!(unwrap(&device.kem_secret(), &elsewhere, &wrapped).is_err());
        assert!(wrap(&[0; 32], &info, &key, &mut entropy).is_err());
    }

    #[test]
    fn a_parents_key_opens_under_its_child_only_and_must_fit_its_commitment() {
        let (parent, child) = keys();
        let sealed = seal_parent_key(&child, &parent);
        assert_eq!(open_parent_key(&child, &parent.id(), &sealed).unwrap(), parent);
        assert!(open_parent_key(&parent, &parent.id(), &sealed).is_err());
        assert!(open_parent_key(&child, &child.id(), &sealed).is_err());
    }

    #[test]
    fn an_echoed_discovery_tag_never_matches() {
        let (key, other) = keys();
        let (mine, theirs) = ([1; 32], [2; 32]);
        assert_eq!(discovery_tag(&key, &mine, &theirs), discovery_tag(&key, &mine, &theirs));
        assert_ne!(discovery_tag(&key, &mine, &theirs), discovery_tag(&key, &theirs, &mine));
        assert_ne!(discovery_tag(&key, &mine, &theirs), discovery_tag(&other, &mine, &theirs));
        let space = SpaceId([1; 32]);
        assert_ne!(relay_discovery_tag(&space, &mine, &theirs), relay_discovery_tag(&space, &theirs, &mine));
    }

    #[test]
    fn secrets_are_never_printed() {
        let key = EpochKey::from_bytes([0xab; 32]);
        let printed =
            format!("{key:?} {:?} {:?}", content_key(&key, &CollectionTag([1; 16])), tag_key(&key)).to_lowercase();
        assert!(!printed.contains("abab") && !printed.contains("171"), "{printed}");
    }
}
