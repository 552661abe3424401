//! The contracts that ship inside the binary.

/// Name and wasm of every embedded contract.
const CONTRACTS: [(&str, &[u8]); 6] = [
    (
        "task_registry",
        include_bytes!("../wasm/task_registry.wasm"),
    ),
    ("counter", include_bytes!("../wasm/counter.wasm")),
    (
        "switch_resolver",
        include_bytes!("../wasm/switch_resolver.wasm"),
    ),
    (
        "always_panics",
        include_bytes!("../wasm/always_panics.wasm"),
    ),
    (
        "burns_instructions",
        include_bytes!("../wasm/burns_instructions.wasm"),
    ),
    ("changeable", include_bytes!("../wasm/changeable.wasm")),
];

/// The names that [`wasm`] knows.
pub fn names() -> impl Iterator<Item = &'static str> {
    CONTRACTS.iter().map(|(name, _)| *name)
}

/// The wasm of the contract of that name.
pub fn wasm(name: &str) -> Option<&'static [u8]> {
    CONTRACTS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, wasm)| *wasm)
}
