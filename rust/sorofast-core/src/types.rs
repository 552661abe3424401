//! Numbers that must not be mixed up.

/// A task's number in the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(pub u64);

/// A ledger's sequence number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Ledger(pub u32);

/// An account's or a transaction's sequence number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(pub i64);

/// An amount of money; ten million stroops are one lumen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Stroops(pub i64);

/// The 32 bytes of a contract's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContractId(pub [u8; 32]);

/// The 32 bytes of an account's public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AccountKey(pub [u8; 32]);

/// The finaliser of the splitmix64 generator: every bit of the input reaches every bit of the output.
#[must_use]
pub const fn splitmix64(value: u64) -> u64 {
    let mut mixed = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

impl TaskId {
    /// The shard that owns this task, or `None` when there are no shards. Stored state depends on it: never change it.
    #[must_use]
    pub const fn shard(self, shards: u32) -> Option<u32> {
        if shards == 0 {
            return None;
        }
        Some((splitmix64(self.0) % shards as u64) as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_those_of_splitmix64() {
        // The first outputs of splitmix64 seeded with 0 are its finaliser at 0 and at the golden gamma.
        assert_eq!(splitmix64(0), 0xe220_a839_7b1d_cdaf);
        assert_eq!(splitmix64(0x9e37_79b9_7f4a_7c15), 0x6e78_9e6a_a1b9_65f4);
        assert_eq!(TaskId(0).shard(16), Some(0xf));
        assert_eq!(TaskId(1).shard(0), None);
    }

    #[test]
    fn shards_are_even() {
        let mut counts = [0_u32; 16];
        for id in 1..=16_000 {
            counts[TaskId(id).shard(16).unwrap() as usize] += 1;
        }
        assert!(
            counts.iter().all(|&count| (900..1100).contains(&count)),
            "{counts:?}"
        );
    }
}
