//! Chance, all of it from one seed, so that a run can be repeated.
//!
//! Every purpose has a stream of its own: whoever draws more often for one purpose leaves the others as they were. What
//! must not depend on the order of requests is drawn for a thing instead, and comes out the same whenever it is asked.

use crate::crypto::sha256_parts;
use std::sync::atomic::{AtomicU64, Ordering};

/// What chance is needed for. New ones go to the end: their place is how a saved state tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Equal bids for the last place in a ledger.
    Ties,
    /// How far a close is from its target.
    Jitter,
    /// The random numbers of a simulated contract.
    Simulation,
    /// Whether a fault strikes, and how hard.
    Faults,
    /// Background traffic.
    Traffic,
    /// The rival keeper's choices.
    Rival,
    /// What replicas show.
    Replicas,
    /// Tasks put there at genesis.
    Seeding,
}

impl Purpose {
    pub const ALL: [Self; 8] = [
        Self::Ties,
        Self::Jitter,
        Self::Simulation,
        Self::Faults,
        Self::Traffic,
        Self::Rival,
        Self::Replicas,
        Self::Seeding,
    ];

    fn label(self) -> &'static [u8] {
        match self {
            Self::Ties => b"ties",
            Self::Jitter => b"jitter",
            Self::Simulation => b"simulation",
            Self::Faults => b"faults",
            Self::Traffic => b"traffic",
            Self::Rival => b"rival",
            Self::Replicas => b"replicas",
            Self::Seeding => b"seeding",
        }
    }
}

/// The node's source of chance.
#[derive(Debug)]
pub struct Randomness {
    seed: AtomicU64,
    /// By purpose: numbers drawn so far.
    drawn: [AtomicU64; Purpose::ALL.len()],
}

impl Randomness {
    pub fn new(seed: u64) -> Self {
        Self {
            seed: AtomicU64::new(seed),
            drawn: [const { AtomicU64::new(0) }; Purpose::ALL.len()],
        }
    }

    pub fn seed(&self) -> u64 {
        self.seed.load(Ordering::SeqCst)
    }

    /// The next number of the purpose's stream.
    pub fn next(&self, purpose: Purpose) -> u64 {
        let drawn = self.drawn[purpose as usize].fetch_add(1, Ordering::SeqCst);
        first_word(&self.draw(purpose, b"next", &[&drawn.to_be_bytes()]))
    }

    /// The same, from 0 to below 1.
    pub fn unit(&self, purpose: Purpose) -> f64 {
        unit(self.next(purpose))
    }

    /// The same, from 0 to below `bound`; 0 when that is 0.
    pub fn below(&self, purpose: Purpose, bound: u64) -> u64 {
        self.next(purpose).checked_rem(bound).unwrap_or(0)
    }

    /// What chance has in store for a thing; asking uses nothing up.
    pub fn of(&self, purpose: Purpose, thing: &[&[u8]]) -> [u8; 32] {
        self.draw(purpose, b"of", thing)
    }

    /// How many numbers each stream has given, in the order of `Purpose::ALL`.
    pub fn drawn(&self) -> Vec<u64> {
        self.drawn
            .iter()
            .map(|drawn| drawn.load(Ordering::SeqCst))
            .collect()
    }

    /// Goes on where a source of that seed had got to; streams that are not told start anew.
    pub fn restore(&self, seed: u64, drawn: &[u64]) {
        self.seed.store(seed, Ordering::SeqCst);
        for (index, stream) in self.drawn.iter().enumerate() {
            stream.store(drawn.get(index).copied().unwrap_or(0), Ordering::SeqCst);
        }
    }

    fn draw(&self, purpose: Purpose, kind: &[u8], thing: &[&[u8]]) -> [u8; 32] {
        let seed = self.seed().to_be_bytes();
        let mut parts: Vec<&[u8]> = vec![b"sorofast-sandbox chance", &seed, purpose.label(), kind];
        parts.extend(thing);
        sha256_parts(&parts)
    }
}

/// A number from 0 to below 1.
pub fn unit(number: u64) -> f64 {
    #[allow(clippy::cast_precision_loss)]
    let fraction = (number >> 11) as f64 / (1_u64 << 53) as f64;
    fraction
}

fn first_word(bytes: &[u8; 32]) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[..8]);
    u64::from_be_bytes(word)
}

/// Puts things that are equal otherwise into an order that nobody can choose: by hash, mixed with chance.
#[derive(Clone, Copy, Debug)]
pub struct Ties([u8; 32]);

impl Ties {
    /// Those of one ledger.
    pub fn of_ledger(random: &Randomness, sequence: u32) -> Self {
        Self(random.of(Purpose::Ties, &[&sequence.to_be_bytes()]))
    }

    pub fn rank(&self, hash: &[u8; 32]) -> [u8; 32] {
        let mut mixed = *hash;
        for (byte, with) in mixed.iter_mut().zip(&self.0) {
            *byte ^= with;
        }
        mixed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_repeat_and_leave_each_other_alone() {
        let (one, two) = (Randomness::new(7), Randomness::new(7));
        let first: Vec<u64> = (0..4).map(|_| one.next(Purpose::Faults)).collect();
        for _ in 0..100 {
            two.next(Purpose::Jitter);
            two.of(Purpose::Faults, &[b"thing"]);
        }
        let second: Vec<u64> = (0..4).map(|_| two.next(Purpose::Faults)).collect();
        assert_eq!(first, second);
        assert_ne!(first[0], first[1]);
        assert_ne!(Randomness::new(8).next(Purpose::Faults), first[0]);
        assert_ne!(Randomness::new(7).next(Purpose::Rival), first[0]);
    }

    #[test]
    fn a_restored_source_goes_on() {
        let one = Randomness::new(7);
        one.next(Purpose::Faults);
        let two = Randomness::new(1);
        two.next(Purpose::Rival);
        two.restore(one.seed(), &one.drawn());
        assert_eq!(two.next(Purpose::Faults), one.next(Purpose::Faults));
        assert_eq!(two.next(Purpose::Rival), one.next(Purpose::Rival));
    }

    #[test]
    fn fractions_stay_below_one() {
        assert!(unit(u64::MAX) < 1.0);
        assert!(unit(0) == 0.0);
        assert!((0.4999..0.5001).contains(&unit(1 << 63)));
    }
}
