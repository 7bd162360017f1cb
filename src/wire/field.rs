//! What can stand in a message, and how it looks in a given version.

use std::borrow::Cow;

use super::reader::{DecodeError, Problem, Reader};
use super::writer::{Misfit, Writer};

/// Text: borrowed from the frame when read, either when written.
pub type Text<'a> = Cow<'a, str>;
/// Bytes without meaning to the protocol: borrowed from the frame when read, either when written.
pub type Blob<'a> = Cow<'a, [u8]>;

/// A version of a message: its number, and whether its lengths are compact and tagged fields
/// end each structure (KIP-482).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    /// The number in the request's header.
    pub number: i16,
    /// Whether it is a flexible version.
    pub flexible: bool,
}

/// A topic's identity. All zero stands for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Uuid(pub [u8; 16]);

/// Record batches in a message: these bytes, or so many bytes that whoever sends the frame puts
/// in (see [`super::Frame::pieces`]). Reading gives [`Self::Bytes`] only, without a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Records<'a> {
    /// The batches.
    Bytes(&'a [u8]),
    /// The length of batches that are elsewhere: in a file, or in a buffer of their own.
    Gap(usize),
}

impl Default for Records<'_> {
    fn default() -> Self {
        Self::Bytes(&[])
    }
}

impl<'a> Records<'a> {
    /// The batches; empty for a gap.
    pub fn bytes(self) -> &'a [u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Gap(_) => &[],
        }
    }
}

/// A value with a form on the wire.
pub trait Field<'a>: Sized {
    /// The fewest bytes it takes in any version.
    const LEAST: usize;

    /// Takes it from the reader.
    ///
    /// # Errors
    /// If the bytes there are something else.
    fn read(r: &mut Reader<'a>, v: Version) -> Result<Self, DecodeError>;

    /// Appends it. Fields that the version lacks are left out, whatever they hold.
    fn write(&self, w: &mut Writer, v: Version);
}

/// A value with a null beside it on the wire: what `Option` may hold.
pub trait Nullable<'a>: Field<'a> {
    /// Takes it, or its null.
    ///
    /// # Errors
    /// If the bytes there are something else.
    fn read_nullable(r: &mut Reader<'a>, v: Version) -> Result<Option<Self>, DecodeError>;

    /// Appends it, or its null.
    fn write_nullable(value: Option<&Self>, w: &mut Writer, v: Version);
}

impl<'a, T: Nullable<'a>> Field<'a> for Option<T> {
    const LEAST: usize = 1;

    fn read(r: &mut Reader<'a>, v: Version) -> Result<Self, DecodeError> {
        T::read_nullable(r, v)
    }

    fn write(&self, w: &mut Writer, v: Version) {
        T::write_nullable(self.as_ref(), w, v);
    }
}

/// Types that a [`Reader`] and a [`Writer`] have a method for.
macro_rules! fixed {
    ($($ty:ty: $method:ident, $bytes:literal;)*) => {$(
        impl<'a> Field<'a> for $ty {
            const LEAST: usize = $bytes;

            fn read(r: &mut Reader<'a>, _: Version) -> Result<Self, DecodeError> {
                r.$method()
            }

            fn write(&self, w: &mut Writer, _: Version) {
                w.$method(*self);
            }
        }
    )*};
}

fixed! {
    bool: bool, 1;
    i8: i8, 1;
    i16: i16, 2;
    u16: u16, 2;
    i32: i32, 4;
    u32: u32, 4;
    i64: i64, 8;
    f64: f64, 8;
    Uuid: uuid, 16;
}

/// Types whose length goes before them, null among the lengths.
macro_rules! nullable {
    ($([$($generics:tt)*] $ty:ty;)*) => {$(
        impl<$($generics)*> Field<'a> for $ty {
            const LEAST: usize = 1;

            fn read(r: &mut Reader<'a>, v: Version) -> Result<Self, DecodeError> {
                match Self::read_nullable(r, v)? {
                    Some(value) => Ok(value),
                    None => r.fail(Problem::Null),
                }
            }

            fn write(&self, w: &mut Writer, v: Version) {
                Self::write_nullable(Some(self), w, v);
            }
        }
    )*};
}

nullable! {
    ['a] Text<'a>;
    ['a] Blob<'a>;
    ['a] Records<'a>;
    ['a, T: Field<'a>] Vec<T>;
}

/// The length of everything but strings: they alone have the short one.
fn read_length(r: &mut Reader<'_>, v: Version) -> Result<Option<usize>, DecodeError> {
    if v.flexible { r.compact_length() } else { r.long_length() }
}

fn write_length(length: Option<usize>, w: &mut Writer, v: Version) {
    if v.flexible { w.compact_length(length) } else { w.long_length(length) }
}

impl<'a> Nullable<'a> for Text<'a> {
    fn read_nullable(r: &mut Reader<'a>, v: Version) -> Result<Option<Self>, DecodeError> {
        let length = if v.flexible { r.compact_length()? } else { r.short_length()? };
        length.map(|length| r.str(length).map(Cow::Borrowed)).transpose()
    }

    fn write_nullable(value: Option<&Self>, w: &mut Writer, v: Version) {
        let length = value.map(|text| text.len());
        if v.flexible {
            w.compact_length(length)
        } else {
            w.short_length(length)
        }
        w.raw(value.map_or(&[], |text| text.as_bytes()));
    }
}

impl<'a> Nullable<'a> for Blob<'a> {
    fn read_nullable(r: &mut Reader<'a>, v: Version) -> Result<Option<Self>, DecodeError> {
        let length = read_length(r, v)?;
        length.map(|length| r.take(length).map(Cow::Borrowed)).transpose()
    }

    fn write_nullable(value: Option<&Self>, w: &mut Writer, v: Version) {
        write_length(value.map(|bytes| bytes.len()), w, v);
        w.raw(value.map_or(&[], |bytes| bytes));
    }
}

impl<'a> Nullable<'a> for Records<'a> {
    fn read_nullable(r: &mut Reader<'a>, v: Version) -> Result<Option<Self>, DecodeError> {
        let length = read_length(r, v)?;
        length.map(|length| r.take(length).map(Self::Bytes)).transpose()
    }

    fn write_nullable(value: Option<&Self>, w: &mut Writer, v: Version) {
        match value {
            None => write_length(None, w, v),
            Some(Self::Bytes(bytes)) => {
                write_length(Some(bytes.len()), w, v);
                w.raw(bytes);
            }
            Some(Self::Gap(length)) => {
                write_length(Some(*length), w, v);
                w.gap(*length);
            }
        }
    }
}

impl<'a, T: Field<'a>> Nullable<'a> for Vec<T> {
    fn read_nullable(r: &mut Reader<'a>, v: Version) -> Result<Option<Self>, DecodeError> {
        let Some(count) = read_length(r, v)? else { return Ok(None) };
        r.expect(count, T::LEAST)?;
        // The count is still only a claim: room for a few, then it grows with what is there.
        let mut elements = Self::with_capacity(count.min(16));
        for _ in 0..count {
            r.spend(size_of::<T>())?;
            elements.push(T::read(r, v)?);
        }
        Ok(Some(elements))
    }

    fn write_nullable(value: Option<&Self>, w: &mut Writer, v: Version) {
        write_length(value.map(Self::len), w, v);
        for element in value.into_iter().flatten() {
            element.write(w, v);
        }
    }
}

/// Notes a null in a version that has none.
pub(super) fn check_null<T>(value: &Option<T>, allowed: bool, w: &mut Writer, v: Version) {
    if value.is_none() && !allowed {
        w.fail(Misfit::Null(v.number));
    }
}

/// Whether a tagged field is to be written. A function, so that the default has the field's type.
pub(super) fn differs<T: PartialEq>(value: &T, default: T) -> bool {
    *value != default
}
