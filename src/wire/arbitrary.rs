//! Values for tests: a seeded generator, and what makes any field of it.

use std::borrow::Cow;

use super::field::{Blob, Records, Text, Uuid, Version};

/// A source of numbers that repeats itself for a seed (xorshift64*).
#[derive(Debug)]
pub(super) struct Gen {
    state: u64,
    /// Whether the next `Option` may be null.
    pub(super) nulls: bool,
}

impl Gen {
    pub(super) fn new(seed: u64) -> Self {
        Self { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1, nulls: true }
    }

    pub(super) fn next(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `limit`.
    pub(super) fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 33) as usize % limit
    }

    /// Up to `most` bytes.
    pub(super) fn bytes(&mut self, most: usize) -> Vec<u8> {
        (0..self.below(most + 1)).map(|_| self.next() as u8).collect()
    }
}

/// A type with random values.
pub(super) trait Arbitrary: Sized {
    /// A value that version `v` can carry, so that it comes back equal.
    fn arbitrary(g: &mut Gen, v: Version) -> Self;
}

macro_rules! numbers {
    ($($ty:ty),*) => {$(
        impl Arbitrary for $ty {
            fn arbitrary(g: &mut Gen, _: Version) -> Self {
                match g.below(4) {
                    0 => Self::MAX,
                    1 => Self::MIN,
                    2 => g.below(3) as Self,
                    _ => g.next() as Self,
                }
            }
        }
    )*};
}

numbers! { i8, i16, u16, i32, u32, i64 }

impl Arbitrary for bool {
    fn arbitrary(g: &mut Gen, _: Version) -> Self {
        g.below(2) == 1
    }
}

impl Arbitrary for Uuid {
    fn arbitrary(g: &mut Gen, _: Version) -> Self {
        Self(std::array::from_fn(|_| g.next() as u8))
    }
}

impl Arbitrary for Text<'_> {
    fn arbitrary(g: &mut Gen, _: Version) -> Self {
        // Now and then longer than a compact length of one byte.
        let most = if g.below(8) == 0 { 300 } else { 12 };
        Cow::Owned((0..g.below(most)).map(|_| ['a', '.', '0', 'é', '水'][g.below(5)]).collect())
    }
}

impl Arbitrary for Blob<'_> {
    fn arbitrary(g: &mut Gen, _: Version) -> Self {
        Cow::Owned(g.bytes(200))
    }
}

impl Arbitrary for Records<'_> {
    fn arbitrary(g: &mut Gen, _: Version) -> Self {
        const NOISE: &[u8] = include_bytes!("arbitrary.rs");
        Self::Bytes(&NOISE[..g.below(NOISE.len())])
    }
}

impl<T: Arbitrary> Arbitrary for Option<T> {
    fn arbitrary(g: &mut Gen, v: Version) -> Self {
        (!g.nulls || g.below(3) > 0).then(|| T::arbitrary(g, v))
    }
}

impl<T: Arbitrary> Arbitrary for Vec<T> {
    fn arbitrary(g: &mut Gen, v: Version) -> Self {
        (0..g.below(4)).map(|_| T::arbitrary(g, v)).collect()
    }
}
