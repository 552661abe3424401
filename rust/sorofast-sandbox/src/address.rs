//! Keys as the addresses that people and SDKs write.

/// `G…`
pub(crate) fn account(key: [u8; 32]) -> String {
    stellar_strkey::ed25519::PublicKey(key)
        .to_string()
        .as_str()
        .to_owned()
}

/// `C…`
pub(crate) fn contract(hash: [u8; 32]) -> String {
    stellar_strkey::Contract(hash)
        .to_string()
        .as_str()
        .to_owned()
}

/// `S…`
pub(crate) fn secret(seed: [u8; 32]) -> String {
    stellar_strkey::ed25519::PrivateKey(seed)
        .as_unredacted()
        .to_string()
        .as_str()
        .to_owned()
}
