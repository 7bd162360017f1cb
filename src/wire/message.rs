//! The one macro that makes a message of its table of fields.

/// Makes structures of tables of fields, with what reads and writes them.
///
/// ```text
/// message! {
///     /// What it is for.
///     pub struct Name<'a> {
///         /// What it says.
///         field: Type = default, in 4..=10, null 7.., tag 0;
///     }
/// }
/// ```
///
/// The fields stand in the order of the wire. All but name and type may be left out:
///
/// - `= default`: its value in versions without the field; else the type's own default.
/// - `in`: the versions that have the field; else all that have the structure.
/// - `null`: the versions in which it may be null, for an `Option`; else all that have the field.
/// - `tag`: it is a tagged field (KIP-482), written if it differs from its default. Ascending.
macro_rules! message {
    ($(
        $(#[$doc:meta])*
        pub struct $name:ident $(<$lt:lifetime>)? {$(
            $(#[$field_doc:meta])*
            $field:ident: $ty:ty
                $(= $default:expr)? $(, in $in:expr)? $(, null $null:expr)? $(, tag $tag:literal)?;
        )*}
    )*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name $(<$lt>)? {$(
            $(#[$field_doc])*
            $(#[doc = concat!("\n\nIn versions `", stringify!($in), "`.")])?
            pub $field: $ty,
        )*}

        impl $(<$lt>)? Default for $name $(<$lt>)? {
            fn default() -> Self {
                Self { $($field: message!(@default $($default)?),)* }
            }
        }

        impl<'a> $crate::wire::Field<'a> for $name $(<$lt>)? {
            const LEAST: usize = 0 $(+ message!(@least $ty $(, in $in)? $(, tag $tag)?))*;

            #[allow(unused_mut, reason = "a structure may have no field but tags, or none at all")]
            fn read(
                r: &mut $crate::wire::Reader<'a>,
                v: $crate::wire::Version,
            ) -> Result<Self, $crate::wire::DecodeError> {
                let mut it = Self::default();
                $(message!(@plain $(tag $tag)? {
                    if message!(@in v $(, $in)?) {
                        r.enter(concat!(stringify!($name), ".", stringify!($field)));
                        it.$field = $crate::wire::Field::read(r, v)?;
                        $(if it.$field.is_none() && !($null).contains(&v.number) {
                            return r.fail($crate::wire::Problem::Null);
                        })?
                    }
                });)*
                if v.flexible {
                    r.enter(concat!("the tags of ", stringify!($name)));
                    r.tags(&mut |_tag, _r| {
                        $(message!(@tagged $(tag $tag)? {
                            if _tag == message!(@tag $($tag)?) && message!(@in v $(, $in)?) {
                                it.$field = $crate::wire::Field::read(_r, v)?;
                                return Ok(true);
                            }
                        });)*
                        Ok(false)
                    })?;
                }
                Ok(it)
            }

            fn write(&self, w: &mut $crate::wire::Writer, v: $crate::wire::Version) {
                $(message!(@plain $(tag $tag)? {
                    if message!(@in v $(, $in)?) {
                        w.enter(concat!(stringify!($name), ".", stringify!($field)));
                        $($crate::wire::field::check_null(
                            &self.$field, ($null).contains(&v.number), w, v,
                        );)?
                        self.$field.write(w, v);
                    }
                });)*
                if v.flexible {
                    w.unsigned_varint(0 $(+ message!(@count $(tag $tag)? {
                        message!(@in v $(, $in)?)
                            && $crate::wire::field::differs(&self.$field, message!(@default $($default)?))
                    }))*);
                    $(message!(@tagged $(tag $tag)? {
                        if message!(@in v $(, $in)?)
                            && $crate::wire::field::differs(&self.$field, message!(@default $($default)?))
                        {
                            w.tagged(message!(@tag $($tag)?), &mut |w| self.$field.write(w, v));
                        }
                    });)*
                }
            }
        }

        impl<'a> $crate::wire::Nullable<'a> for $name $(<$lt>)? {
            fn read_nullable(
                r: &mut $crate::wire::Reader<'a>,
                v: $crate::wire::Version,
            ) -> Result<Option<Self>, $crate::wire::DecodeError> {
                if r.i8()? < 0 { Ok(None) } else { $crate::wire::Field::read(r, v).map(Some) }
            }

            fn write_nullable(
                value: Option<&Self>,
                w: &mut $crate::wire::Writer,
                v: $crate::wire::Version,
            ) {
                w.i8(if value.is_some() { 1 } else { -1 });
                if let Some(value) = value {
                    $crate::wire::Field::write(value, w, v);
                }
            }
        }

        #[cfg(test)]
        impl $(<$lt>)? $crate::wire::arbitrary::Arbitrary for $name $(<$lt>)? {
            fn arbitrary(g: &mut $crate::wire::arbitrary::Gen, v: $crate::wire::Version) -> Self {
                let mut it = Self::default();
                $(if message!(@in v $(, $in)?) {
                    g.nulls = true $(&& ($null).contains(&v.number))?;
                    it.$field = $crate::wire::arbitrary::Arbitrary::arbitrary(g, v);
                })*
                it
            }
        }
    )*};

    (@default) => { Default::default() };
    (@default $default:expr) => { $default };
    (@in $v:ident) => { true };
    (@in $v:ident, $in:expr) => { ($in).contains(&$v.number) };
    // What a field always takes: nothing, if it is not always there.
    (@least $ty:ty) => { <$ty as $crate::wire::Field<'a>>::LEAST };
    (@least $ty:ty, $($rest:tt)*) => { 0 };
    (@tag $tag:literal) => { $tag };
    (@plain {$($code:tt)*}) => { $($code)* };
    (@plain tag $tag:literal {$($code:tt)*}) => {};
    (@tagged {$($code:tt)*}) => {};
    (@tagged tag $tag:literal {$($code:tt)*}) => { $($code)* };
    (@count {$($code:tt)*}) => { 0 };
    (@count tag $tag:literal {$($code:tt)*}) => { u32::from($($code)*) };
}
