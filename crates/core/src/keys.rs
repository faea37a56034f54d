//! The keys of users and devices, and the certificate that ties a device to its user.
//!
//! A user key is cold: it certifies devices and nothing else. A device key signs everything that the device says. Both are
//! Ed25519, so each signature names what kind of thing it signs (domain separation): the signed bytes are
//! `"farshore v1 " ‖ label ‖ 0x00 ‖ message`. Labels are constants without a zero byte, so no message under one label can be
//! read as a message under another.

use std::fmt;

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use thiserror::Error;
use x25519_dalek::{PublicKey, StaticSecret, x25519};
use zeroize::Zeroizing;

use crate::bytes::{DecodeError, Reader, Writer};
use crate::entropy::Entropy;
use crate::id::{DeviceId, UserId};
use crate::limits::{CERTIFICATE_BYTES, NAME_BYTES};

const SECRET_VERSION: u8 = 1;
const CERTIFICATE_VERSION: u8 = 1;
const CERTIFICATE_LABEL: &str = "device certificate";
const POSSESSION_LABEL: &str = "device possession";

/// A user's identity key. Zeroized when dropped, never printed.
pub struct UserKey {
    signing: SigningKey,
}

impl UserKey {
    /// Length of [`UserKey::to_secret_bytes`].
    pub const SECRET_BYTES: usize = 33;

    /// Makes a new key from entropy that is used for nothing else.
    pub fn generate(entropy: &mut Entropy) -> Self {
        UserKey { signing: SigningKey::from_bytes(&entropy.seed()) }
    }

    /// Who this key is.
    pub fn id(&self) -> UserId {
        UserId(self.signing.verifying_key().to_bytes())
    }

    /// The secret, for the store or a recovery kit. Shape: version 1 (1 byte), Ed25519 seed (32).
    pub fn to_secret_bytes(&self) -> Zeroizing<Vec<u8>> {
        secret_bytes(&[self.signing.as_bytes()])
    }

    /// Reads what [`UserKey::to_secret_bytes`] wrote.
    ///
    /// # Errors
    /// The store's or the kit's: a wrong length or a version from the future.
    pub fn from_secret_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = secret_reader(bytes)?;
        let seed = Zeroizing::new(reader.array("user key seed")?);
        reader.end()?;
        Ok(UserKey { signing: SigningKey::from_bytes(&seed) })
    }

    /// Signs `message` under `label`; see the module for the exact bytes.
    pub fn sign(&self, label: &'static str, message: &[u8]) -> [u8; 64] {
        self.signing.sign(&signed_bytes(label, message)).to_bytes()
    }
}

impl fmt::Debug for UserKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UserKey({}, secret hidden)", self.id().short())
    }
}

/// A device's own keys: one to sign, one to receive epoch keys. Zeroized when dropped, never printed.
pub struct DeviceKeys {
    signing: SigningKey,
    kem: StaticSecret,
}

impl DeviceKeys {
    /// Length of [`DeviceKeys::to_secret_bytes`].
    pub const SECRET_BYTES: usize = 65;

    /// Makes new keys from entropy that is used for nothing else.
    pub fn generate(entropy: &mut Entropy) -> Self {
        let signing = SigningKey::from_bytes(&entropy.seed());
        DeviceKeys { signing, kem: StaticSecret::from(*entropy.seed()) }
    }

    /// Which device this is.
    pub fn id(&self) -> DeviceId {
        DeviceId(self.signing.verifying_key().to_bytes())
    }

    /// The X25519 public key under which others wrap epoch keys for this device.
    pub fn kem_public(&self) -> [u8; 32] {
        PublicKey::from(&self.kem).to_bytes()
    }

    /// The X25519 secret, for [`crate::seal::unwrap`].
    pub fn kem_secret(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.kem.to_bytes())
    }

    /// The secrets, for the store. Shape: version 1 (1 byte), Ed25519 seed (32), X25519 secret (32).
    pub fn to_secret_bytes(&self) -> Zeroizing<Vec<u8>> {
        secret_bytes(&[self.signing.as_bytes(), self.kem.as_bytes()])
    }

    /// Reads what [`DeviceKeys::to_secret_bytes`] wrote.
    ///
    /// # Errors
    /// The store's: a wrong length or a version from the future.
    pub fn from_secret_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = secret_reader(bytes)?;
        let seed = Zeroizing::new(reader.array("device key seed")?);
        let kem = Zeroizing::new(reader.array("device kem secret")?);
        reader.end()?;
        Ok(DeviceKeys { signing: SigningKey::from_bytes(&seed), kem: StaticSecret::from(*kem) })
    }

    /// Signs `message` under `label`; see the module for the exact bytes.
    pub fn sign(&self, label: &'static str, message: &[u8]) -> [u8; 64] {
        self.signing.sign(&signed_bytes(label, message)).to_bytes()
    }
}

impl fmt::Debug for DeviceKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceKeys({}, secrets hidden)", self.id().short())
    }
}

/// Whether `signature` is `key`'s over `message` under `label`.
///
/// Always `verify_strict`: weak keys and non-canonical points are refused, so that all devices accept the same signatures.
/// Cost: about 50 microseconds.
pub fn verify(key: &[u8; 32], label: &'static str, message: &[u8], signature: &[u8; 64]) -> bool {
    let Ok(key) = VerifyingKey::from_bytes(key) else { return false };
    key.verify_strict(&signed_bytes(label, message), &Signature::from_bytes(signature)).is_ok()
}

fn signed_bytes(label: &'static str, message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(13 + label.len() + message.len());
    out.extend_from_slice(b"farshore v1 ");
    out.extend_from_slice(label.as_bytes());
    out.push(0);
    out.extend_from_slice(message);
    out
}

fn secret_bytes(secrets: &[&[u8; 32]]) -> Zeroizing<Vec<u8>> {
    // Reserved at once: a growing vector would leave copies of the secret behind.
    let mut out = Zeroizing::new(Vec::with_capacity(1 + 32 * secrets.len()));
    out.push(SECRET_VERSION);
    for secret in secrets {
        out.extend_from_slice(*secret);
    }
    out
}

fn secret_reader(bytes: &[u8]) -> Result<Reader<'_>, DecodeError> {
    let mut reader = Reader::new(bytes);
    version(reader.u8("secret key version")?, SECRET_VERSION, "secret key version")?;
    Ok(reader)
}

/// Refuses any version but `known`: 0 as a value that nobody writes, more as one from the future.
pub(crate) fn version(found: u8, known: u8, field: &'static str) -> Result<(), DecodeError> {
    match found {
        found if found == known => Ok(()),
        0 => Err(DecodeError::Invalid { field }),
        found => Err(DecodeError::Version { field, found: u32::from(found), known: u32::from(known) }),
    }
}

/// Whether a name may be stored and shown: 1 to 256 bytes and no control character, so that it cannot drive a terminal.
pub fn is_valid_name(name: &str) -> bool {
    (1..=NAME_BYTES).contains(&name.len()) && !name.chars().any(char::is_control)
}

/// A user's word that a device is his, and the device's word that it agrees.
///
/// The device signs too, because a user could otherwise certify somebody else's device as his own and so keep it out of a
/// space, or have its entries counted as his.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceCertificate {
    /// Who certifies.
    pub user: UserId,
    /// Which device.
    pub device: DeviceId,
    /// The device's X25519 public key.
    pub kem: [u8; 32],
    /// What the device calls itself.
    pub name: String,
    /// The device's signature over all fields before it.
    pub possession: [u8; 64],
    /// The user's signature over all fields before it.
    pub signature: [u8; 64],
}

/// Why a certificate was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// The sender's fault: not in canonical form.
    #[error("the device certificate is malformed: {0}")]
    Decode(#[from] DecodeError),
    /// The sender's fault: one of the two signatures does not fit, or the key for sealing is of low order.
    #[error("the device certificate of {0} is not signed by both its user and its device")]
    Signature(DeviceId),
    /// The caller's fault: the name is empty, over 256 bytes, or holds control characters.
    #[error("a device's name takes 1 to 256 bytes without control characters")]
    Name,
}

impl DeviceCertificate {
    /// Certifies a device.
    ///
    /// # Errors
    /// The caller's: an unfit name.
    pub fn issue(user: &UserKey, device: &DeviceKeys, name: &str) -> Result<Self, CertificateError> {
        if !is_valid_name(name) {
            return Err(CertificateError::Name);
        }
        let mut certificate = DeviceCertificate {
            user: user.id(),
            device: device.id(),
            kem: device.kem_public(),
            name: name.to_owned(),
            possession: [0; 64],
            signature: [0; 64],
        };
        certificate.possession = device.sign(POSSESSION_LABEL, &certificate.fields());
        certificate.signature = user.sign(CERTIFICATE_LABEL, &certificate.fields_and_possession());
        Ok(certificate)
    }

    /// The encoded form: version 1, user 32, device 32, kem 32, name, the device's signature 64, the user's signature 64.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = self.fields_and_possession();
        out.extend_from_slice(&self.signature);
        out
    }

    /// Reads and verifies the encoded form. A certificate that this returns is valid. Cost: about 200 microseconds.
    ///
    /// # Errors
    /// The sender's: malformed, or not signed by both.
    pub fn decode(bytes: &[u8]) -> Result<Self, CertificateError> {
        let certificate = Self::decode_unverified(bytes)?;
        certificate.verify()?;
        Ok(certificate)
    }

    /// Reads the encoded form without verifying the signatures.
    ///
    /// # Errors
    /// The sender's: not in canonical form.
    pub fn decode_unverified(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > CERTIFICATE_BYTES {
            let (value, limit) = (bytes.len() as u64, CERTIFICATE_BYTES as u64);
            return Err(DecodeError::OverLimit { field: "device certificate", value, limit });
        }
        let mut reader = Reader::new(bytes);
        version(reader.u8("certificate version")?, CERTIFICATE_VERSION, "certificate version")?;
        let user = UserId(reader.array("certificate user")?);
        let device = DeviceId(reader.array("certificate device")?);
        let kem = reader.array("certificate kem key")?;
        let name = reader.text(NAME_BYTES, "device name")?;
        if !is_valid_name(name) {
            return Err(DecodeError::Invalid { field: "device name" });
        }
        let possession = reader.array("certificate possession")?;
        let signature = reader.array("certificate signature")?;
        reader.end()?;
        Ok(DeviceCertificate { user, device, kem, name: name.to_owned(), possession, signature })
    }

    /// Checks both signatures, and that epoch keys can be wrapped for the device.
    ///
    /// # Errors
    /// The sender's: see [`CertificateError::Signature`].
    pub fn verify(&self) -> Result<(), CertificateError> {
        // A kem key of low order would make every later wrap fail: one hostile member could then block all rotations.
        // Any scalar shows it, since clamping makes each one a multiple of the cofactor.
        let contributes = x25519([1; 32], self.kem) != [0; 32];
        let signed = contributes
            && verify(&self.device.0, POSSESSION_LABEL, &self.fields(), &self.possession)
            && verify(&self.user.0, CERTIFICATE_LABEL, &self.fields_and_possession(), &self.signature);
        if signed { Ok(()) } else { Err(CertificateError::Signature(self.device)) }
    }

    fn fields(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.u8(CERTIFICATE_VERSION).raw(&self.user.0).raw(&self.device.0).raw(&self.kem).text(&self.name);
        writer.finish()
    }

    fn fields_and_possession(&self) -> Vec<u8> {
        let mut out = self.fields();
        out.extend_from_slice(&self.possession);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{hex, unhex};

    fn bytes<const N: usize>(text: &str) -> [u8; N] {
        let mut out = [0; N];
        unhex(text, &mut out).unwrap();
        out
    }

    fn ada() -> (UserKey, DeviceKeys) {
        let mut entropy = Entropy::from_seed(&[1; 32], "test");
        (UserKey::generate(&mut entropy), DeviceKeys::generate(&mut entropy))
    }

    #[test]
    fn ed25519_is_that_of_rfc_8032() {
        // Section 7.1, test 2.
        let key = SigningKey::from_bytes(&bytes("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"));
        assert_eq!(
            hex(&key.verifying_key().to_bytes()),
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
        );
        assert_eq!(
            hex(&key.sign(&[0x72]).to_bytes()),
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
             085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        );
    }

    #[test]
    fn x25519_is_that_of_rfc_7748() {
        // Section 5.2, first vector, and section 6.1.
        let scalar = bytes("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4");
        let point = bytes("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c");
        assert_eq!(hex(&x25519(scalar, point)), "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552");
        let alice: [u8; 32] = bytes("77076d0a7318a57d3c16c17251b26645df4c2f92ebc099c6e1e7a6f8b2c1b3a4");
        let alice_public = PublicKey::from(&StaticSecret::from(alice)).to_bytes();
        let bob: [u8; 32] = bytes("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
        let shared = StaticSecret::from(alice).diffie_hellman(&PublicKey::from(&StaticSecret::from(bob)));
        assert_eq!(x25519(bob, alice_public), shared.to_bytes());
    }

    #[test]
    fn secrets_read_back_and_are_never_printed() {
        let (user, device) = ada();
        let (user_bytes, device_bytes) = (user.to_secret_bytes(), device.to_secret_bytes());
        assert_eq!((user_bytes.len(), device_bytes.len()), (UserKey::SECRET_BYTES, DeviceKeys::SECRET_BYTES));
        assert_eq!(UserKey::from_secret_bytes(&user_bytes).unwrap().id(), user.id());
        let again = DeviceKeys::from_secret_bytes(&device_bytes).unwrap();
        assert_eq!((again.id(), again.kem_public()), (device.id(), device.kem_public()));
        let printed = format!("{user:?} {device:?}");
        assert!(
            !printed.contains(&hex(&user_bytes[1..5])) && !printed.contains(&hex(&device_bytes[1..5])),
            "{printed}"
        );
        assert!(UserKey::from_secret_bytes(&device_bytes).is_err());
        assert!(DeviceKeys::from_secret_bytes(&user_bytes).is_err());
        let mut newer = device_bytes.clone();
        newer[0] = 2;
        assert!(matches!(DeviceKeys::from_secret_bytes(&newer), Err(DecodeError::Version { .. })));
    }

    #[test]
    fn a_signature_holds_under_its_own_label_only() {
        let (_, device) = ada();
        let signature = device.sign("one", b"message");
        assert!(verify(&device.id().0, "one", b"message", &signature));
        assert!(!verify(&device.id().0, "two", b"message", &signature));
        assert!(!verify(&device.id().0, "one", b"massage", &signature));
        // A weak key (the identity point) verifies anything under the lax rule.
        let mut weak = [0; 32];
        weak[0] = 1;
        let mut forged = [0; 64];
        forged[0] = 1;
        assert!(!verify(&weak, "one", b"message", &forged));
    }

    #[test]
    fn a_certificate_changed_in_any_byte_is_refused() {
        let (user, device) = ada();
        let encoded = DeviceCertificate::issue(&user, &device, "phone").unwrap().encode();
        assert_eq!(DeviceCertificate::decode(&encoded).unwrap().encode(), encoded);
        for place in 0..encoded.len() {
            let mut changed = encoded.clone();
            changed[place] ^= 1;
            assert!(DeviceCertificate::decode(&changed).is_err(), "byte {place} may be changed");
            assert!(DeviceCertificate::decode(&encoded[..place]).is_err(), "cut at {place}");
        }
    }

    #[test]
    fn nobody_certifies_a_device_that_is_not_his() {
        let (_, device) = ada();
        let mallory = UserKey::generate(&mut Entropy::from_seed(&[66; 32], "test"));
        let mut stolen = DeviceCertificate::issue(&ada().0, &device, "phone").unwrap();
        stolen.user = mallory.id();
        stolen.signature = mallory.sign(CERTIFICATE_LABEL, &stolen.fields_and_possession());
        assert_eq!(DeviceCertificate::decode(&stolen.encode()), Err(CertificateError::Signature(device.id())));
    }

    #[test]
    fn a_sealing_key_of_low_order_is_refused() {
        let (user, device) = ada();
        let mut certificate = DeviceCertificate::issue(&user, &device, "phone").unwrap();
        certificate.kem = [0; 32];
        certificate.possession = device.sign(POSSESSION_LABEL, &certificate.fields());
        certificate.signature = user.sign(CERTIFICATE_LABEL, &certificate.fields_and_possession());
        assert!(certificate.verify().is_err());
    }

    #[test]
    fn a_name_that_could_drive_a_terminal_is_refused() {
        let (user, device) = ada();
        for name in ["", "a\u{1b}[2J", "a\nb", "a\u{9b}b", &"x".repeat(257)] {
            assert_eq!(DeviceCertificate::issue(&user, &device, name), Err(CertificateError::Name));
        }
    }
}
