//! Signatures of tokens, checked with the cryptography that TLS uses as well.

use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind,
    crypto::{CryptoProvider, JwtVerifier, KeyUtils},
    errors::{Error, ErrorKind},
    signature,
};
use ring::{hmac, signature as ring_signature};

/// Has tokens checked in this way, in all of this process. Doing it again does nothing.
pub(super) fn install() {
    // Another one that is there already is as good.
    PROVIDER.install_default().ok();
}

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| Err(ErrorKind::UnsupportedAlgorithm.into()),
    verifier_factory: |algorithm, key| Ok(Box::new(Verifier::new(*algorithm, key)?)),
    key_utils: KeyUtils::new_unimplemented(),
};

struct Verifier {
    algorithm: Algorithm,
    key: DecodingKey,
}

impl Verifier {
    fn new(algorithm: Algorithm, key: &DecodingKey) -> Result<Self, Error> {
        // A public key must never be taken for a secret.
        if key.family() != algorithm.family() {
            return Err(ErrorKind::InvalidKeyFormat.into());
        }
        Ok(Self { algorithm, key: key.clone() })
    }

    fn is_right(&self, message: &[u8], signature: &[u8]) -> Option<()> {
        let public = |algorithm: &'static dyn ring_signature::VerificationAlgorithm| {
            let key = ring_signature::UnparsedPublicKey::new(algorithm, self.key.try_get_as_bytes().ok()?);
            key.verify(message, signature).ok()
        };
        match self.algorithm {
            Algorithm::HS256 => self.hmac(hmac::HMAC_SHA256, message, signature),
            Algorithm::HS384 => self.hmac(hmac::HMAC_SHA384, message, signature),
            Algorithm::HS512 => self.hmac(hmac::HMAC_SHA512, message, signature),
            Algorithm::ES256 => public(&ring_signature::ECDSA_P256_SHA256_FIXED),
            Algorithm::ES384 => public(&ring_signature::ECDSA_P384_SHA384_FIXED),
            Algorithm::EdDSA => public(&ring_signature::ED25519),
            Algorithm::RS256 => self.rsa(&ring_signature::RSA_PKCS1_2048_8192_SHA256, message, signature),
            Algorithm::RS384 => self.rsa(&ring_signature::RSA_PKCS1_2048_8192_SHA384, message, signature),
            Algorithm::RS512 => self.rsa(&ring_signature::RSA_PKCS1_2048_8192_SHA512, message, signature),
            Algorithm::PS256 => self.rsa(&ring_signature::RSA_PSS_2048_8192_SHA256, message, signature),
            Algorithm::PS384 => self.rsa(&ring_signature::RSA_PSS_2048_8192_SHA384, message, signature),
            Algorithm::PS512 => self.rsa(&ring_signature::RSA_PSS_2048_8192_SHA512, message, signature),
            _ => None,
        }
    }

    fn hmac(&self, algorithm: hmac::Algorithm, message: &[u8], signature: &[u8]) -> Option<()> {
        let key = hmac::Key::new(algorithm, self.key.try_get_as_bytes().ok()?);
        hmac::verify(&key, message, signature).ok()
    }

    fn rsa(
        &self,
        parameters: &'static ring_signature::RsaParameters,
        message: &[u8],
        signature: &[u8],
    ) -> Option<()> {
        match self.key.kind() {
            DecodingKeyKind::SecretOrDer(der) => {
                ring_signature::UnparsedPublicKey::new(parameters, der).verify(message, signature).ok()
            }
            DecodingKeyKind::RsaModulusExponent { n, e } => {
                ring_signature::RsaPublicKeyComponents { n, e }.verify(parameters, message, signature).ok()
            }
        }
    }
}

impl signature::Verifier<Vec<u8>> for Verifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        self.is_right(message, signature).ok_or_else(signature::Error::new)
    }
}

impl JwtVerifier for Verifier {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

/// The algorithms that `key` is for.
pub(super) fn algorithms(key: &DecodingKey) -> Vec<Algorithm> {
    if key.family() != AlgorithmFamily::Ec {
        return key.family().algorithms().to_vec();
    }
    // A point of 32 or 48 bytes each way, uncompressed.
    match key.try_get_as_bytes().map_or(0, <[u8]>::len) {
        65 => vec![Algorithm::ES256],
        97 => vec![Algorithm::ES384],
        _ => Vec::new(),
    }
}
