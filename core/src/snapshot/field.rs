//! What a field holds: its element type and its count.

use super::{FIELD_HEADER, HEADER};
use crate::Real;

/// Type of the elements of a field.
///
/// ```
/// use thalweg::snapshot::Element;
/// assert_eq!((Element::U16.bytes(), Element::of::<f64>().bytes()), (2, 8));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Element {
    /// IEEE 754 binary32.
    F32 = 1,
    /// IEEE 754 binary64.
    F64 = 2,
    /// Bytes.
    U8 = 3,
    /// 16 bits: also bf16 moments, as bit patterns.
    U16 = 4,
    /// 32 bits.
    U32 = 5,
    /// 64 bits.
    U64 = 6,
}

impl Element {
    /// The type of a real number.
    ///
    /// ```
    /// use thalweg::snapshot::Element;
    /// assert_eq!(Element::of::<f32>(), Element::F32);
    /// ```
    #[must_use]
    pub const fn of<T: Real>() -> Self {
        if T::BYTES == 4 { Self::F32 } else { Self::F64 }
    }

    /// Bytes of one element.
    ///
    /// ```
    /// assert_eq!(thalweg::snapshot::Element::U8.bytes(), 1);
    /// ```
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::U16 => 2,
            Self::F32 | Self::U32 => 4,
            Self::F64 | Self::U64 => 8,
        }
    }

    pub(super) const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::F32),
            2 => Some(Self::F64),
            3 => Some(Self::U8),
            4 => Some(Self::U16),
            5 => Some(Self::U32),
            6 => Some(Self::U64),
            _ => None,
        }
    }
}

/// One field of a state: the type and the number of its elements.
///
/// ```
/// use thalweg::snapshot::{Element, Field};
/// assert_eq!(Field::U64, Field { element: Element::U64, count: 1 });
/// assert_eq!(Field::reals::<f32>(64).saved_len(), 8 + 4 * 64);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Field {
    /// Type of an element.
    pub element: Element,
    /// Number of elements.
    pub count: usize,
}

impl Field {
    /// One `u16`.
    pub const U16: Self = Self {
        element: Element::U16,
        count: 1,
    };
    /// One `u32`.
    pub const U32: Self = Self {
        element: Element::U32,
        count: 1,
    };
    /// One `u64`.
    pub const U64: Self = Self {
        element: Element::U64,
        count: 1,
    };

    /// One real number.
    ///
    /// ```
    /// use thalweg::snapshot::Field;
    /// assert_eq!(Field::real::<f64>().saved_len(), 16);
    /// ```
    #[must_use]
    pub const fn real<T: Real>() -> Self {
        Self::reals::<T>(1)
    }

    /// A buffer of real numbers.
    ///
    /// ```
    /// use thalweg::snapshot::Field;
    /// assert_eq!(Field::reals::<f64>(3).saved_len(), 32);
    /// ```
    #[must_use]
    pub const fn reals<T: Real>(count: usize) -> Self {
        Self {
            element: Element::of::<T>(),
            count,
        }
    }

    /// A buffer of words.
    ///
    /// ```
    /// use thalweg::snapshot::Field;
    /// assert_eq!(Field::words::<u16>(3).saved_len(), 14);
    /// ```
    #[must_use]
    pub const fn words<W: Word>(count: usize) -> Self {
        Self {
            element: W::ELEMENT,
            count,
        }
    }

    /// Bytes of the field when saved; `usize::MAX` when that is too large to be counted.
    ///
    /// ```
    /// assert_eq!(thalweg::snapshot::Field::U32.saved_len(), 12);
    /// ```
    #[must_use]
    pub const fn saved_len(self) -> usize {
        self.count
            .saturating_mul(self.element.bytes())
            .saturating_add(FIELD_HEADER)
    }
}

/// Bytes of a saved state with these fields: what [`Snapshot::snapshot_len`](super::Snapshot::snapshot_len) returns.
///
/// ```
/// use thalweg::snapshot::{Field, saved_len};
/// const LEN: usize = saved_len(&[Field::U64, Field::words::<u8>(5)]);
/// assert_eq!(LEN, 24 + 16 + 13 + 4);
/// ```
#[must_use]
pub const fn saved_len(fields: &[Field]) -> usize {
    let (mut len, mut rest) = (HEADER + 4, fields);
    while let [field, tail @ ..] = rest {
        len = len.saturating_add(field.saved_len());
        rest = tail;
    }
    len
}

/// An unsigned integer of a saved state.
///
/// ```
/// use thalweg::snapshot::{Element, Word};
/// assert_eq!(u16::ELEMENT, Element::U16);
/// assert_eq!(u16::from_word(0x1_0002), 2);
/// ```
pub trait Word: Copy + sealed::Sealed {
    /// Its type.
    const ELEMENT: Element;
    /// The number, zero-extended.
    fn to_word(self) -> u64;
    /// The number in the low bits.
    fn from_word(word: u64) -> Self;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! word {
    ($($t:ident = $element:ident),*) => {$(
        impl sealed::Sealed for $t {}
        impl Word for $t {
            const ELEMENT: Element = Element::$element;
            fn to_word(self) -> u64 {
                u64::from(self)
            }
            fn from_word(word: u64) -> Self {
                word as Self
            }
        }
    )*};
}
word!(u8 = U8, u16 = U16, u32 = U32, u64 = U64);

/// Count in the low 56 bits, element type in the high 8.
pub(super) const fn field_header(field: Field) -> u64 {
    (field.count as u64 & ((1 << 56) - 1)) | ((field.element as u64) << 56)
}
