//! SCRAM users: which credentials are taken, what is kept of them, how it is written down.
//!
//! Called by the two SCRAM APIs. Kept in `Store::broker_configs`, one scope per user with a value for each mechanism
//! (`stored_configs`). Checks and sentences are those of Kafka 4.3.1's `ScramControlManager`. Nobody logs in with them yet.
//! Invariant: neither a password nor what a client salted of it is kept (RFC 5802, section 3). Pure.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use protocol::ErrorCode;
use sha2::{Digest, Sha256, Sha512};

const LEAST_ITERATIONS: i32 = 4096;
const MOST_ITERATIONS: i32 = 16384;

/// How a user proves to know the password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mechanism {
    Sha256,
    Sha512,
}

impl Mechanism {
    /// In the order of their numbers.
    pub(crate) const ALL: [Self; 2] = [Self::Sha256, Self::Sha512];

    /// Its number in requests (KIP-554).
    pub(crate) fn number(self) -> i8 {
        match self {
            Self::Sha256 => 1,
            Self::Sha512 => 2,
        }
    }

    /// Its name in SASL, under which a credential is stored.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "SCRAM-SHA-256",
            Self::Sha512 => "SCRAM-SHA-512",
        }
    }

    /// Whose credential for which mechanism a request means.
    ///
    /// # Errors
    /// Kafka's code and sentence.
    pub(crate) fn of(user: &str, number: i8) -> Result<Self, (ErrorCode, String)> {
        if user.is_empty() {
            return Err((ErrorCode::UnacceptableCredential, "Username must not be empty".to_owned()));
        }
        let known = Self::ALL.into_iter().find(|mechanism| mechanism.number() == number);
        known.ok_or_else(|| (ErrorCode::UnsupportedSaslMechanism, "Unknown SCRAM mechanism".to_owned()))
    }

    /// What a server keeps to check a proof and to prove itself: StoredKey and ServerKey of RFC 5802.
    fn keys(self, salted_password: &[u8]) -> [Vec<u8>; 2] {
        let signed = |text: &str| match self {
            Self::Sha256 => authenticated::<Hmac<Sha256>>(salted_password, text),
            Self::Sha512 => authenticated::<Hmac<Sha512>>(salted_password, text),
        };
        let client_key = signed("Client Key");
        let stored_key = match self {
            Self::Sha256 => Sha256::digest(client_key).to_vec(),
            Self::Sha512 => Sha512::digest(client_key).to_vec(),
        };
        [stored_key, signed("Server Key")]
    }
}

fn authenticated<M: Mac + KeyInit>(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = <M as KeyInit>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// Checks how often the hash was repeated over a password.
///
/// # Errors
/// Kafka's code and sentence.
pub(crate) fn check_iterations(iterations: i32) -> Result<(), (ErrorCode, String)> {
    let why = match iterations {
        ..LEAST_ITERATIONS => "Too few iterations",
        LEAST_ITERATIONS..=MOST_ITERATIONS => return Ok(()),
        _ => "Too many iterations",
    };
    Err((ErrorCode::UnacceptableCredential, why.to_owned()))
}

/// What is kept, in the words of Kafka's `ScramCredentialUtils`.
pub(crate) fn stored(mechanism: Mechanism, salt: &[u8], salted_password: &[u8], iterations: i32) -> String {
    let [stored_key, server_key] = mechanism.keys(salted_password);
    let mut text = String::new();
    for (name, bytes) in [("salt", salt), ("stored_key", &stored_key), ("server_key", &server_key)] {
        write!(text, "{name}={},", STANDARD.encode(bytes)).expect("text takes everything");
    }
    text + &format!("iterations={iterations}")
}

/// The iterations of what [`stored`] wrote.
pub(crate) fn iterations(stored: &str) -> Option<i32> {
    stored.split(',').find_map(|part| part.strip_prefix("iterations="))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(text: &str) -> Vec<u8> {
        STANDARD.decode(text).unwrap()
    }

    /// The exchange of RFC 7677, section 3: user "user", password "pencil", 4096 iterations.
    #[test]
    fn keys_check_the_proof_of_the_rfc() {
        let salted = decoded("xKSVEDI6tPlSysH6mUQZOeeOp01r6B3fcJbodRPcYV0=");
        let [stored_key, server_key] = Mechanism::Sha256.keys(&salted);
        let messages = "n=user,r=rOprNGfwEbeRWgbNEkqO,\
            r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,\
            c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        assert_eq!(
            authenticated::<Hmac<Sha256>>(&server_key, messages),
            decoded("6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")
        );
        let signature = authenticated::<Hmac<Sha256>>(&stored_key, messages);
        let proof = decoded("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
        let client_key: Vec<u8> = signature.iter().zip(proof).map(|(one, other)| one ^ other).collect();
        assert_eq!(Sha256::digest(client_key).to_vec(), stored_key);
    }

    #[test]
    fn only_salt_keys_and_iterations_are_kept() {
        let stored = stored(Mechanism::Sha512, b"salt", b"salted", 5000);
        let names: Vec<_> = stored.split(',').map(|part| part.split_once('=').unwrap().0).collect();
        assert_eq!(names, ["salt", "stored_key", "server_key", "iterations"]);
        assert!(!stored.contains(&STANDARD.encode("salted")));
        assert_eq!((iterations(&stored), iterations("")), (Some(5000), None));
    }

    #[test]
    fn iterations_have_bounds_on_both_sides() {
        for (iterations, taken) in
            [(i32::MIN, false), (4095, false), (4096, true), (16384, true), (16385, false)]
        {
            assert_eq!(check_iterations(iterations).is_ok(), taken, "{iterations}");
        }
    }
}
