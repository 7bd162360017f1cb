//! What ends a record or a key, found at memory speed.

use std::ops::ControlFlow;

use memchr::memmem::Finder;

/// A delimiter of one or more bytes.
#[derive(Debug, Clone)]
pub(super) enum Delimiter {
    One(u8),
    Many(Box<Finder<'static>>),
}

impl Delimiter {
    pub(super) fn new(bytes: &[u8]) -> Self {
        match bytes {
            [byte] => Self::One(*byte),
            _ => Self::Many(Box::new(Finder::new(bytes).into_owned())),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Many(finder) => finder.needle().len(),
        }
    }

    /// The first place in `bytes`.
    pub(super) fn find(&self, bytes: &[u8]) -> Option<usize> {
        match self {
            Self::One(byte) => memchr::memchr(*byte, bytes),
            Self::Many(finder) => finder.find(bytes),
        }
    }

    /// Calls `each` with every place in `bytes`, from the left and without overlap, until it
    /// breaks.
    pub(super) fn each<B>(
        &self,
        bytes: &[u8],
        mut each: impl FnMut(usize) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        match self {
            Self::One(byte) => memchr::memchr_iter(*byte, bytes).try_for_each(&mut each),
            Self::Many(finder) => finder.find_iter(bytes).try_for_each(&mut each),
        }
    }
}
