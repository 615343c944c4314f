//! Numbers that a buffer of a state is made of.

use super::{Field, Reader, SnapshotError, Writer};
use crate::storage::Zeroed;

/// An element of a saved buffer: `f32`, `f64`, or the bits of bf16.
pub trait Stored: Zeroed + sealed::Sealed {
    #[doc(hidden)]
    fn field(count: usize) -> Field;
    #[doc(hidden)]
    fn write(writer: &mut Writer<'_>, values: &[Self]) -> Result<(), SnapshotError>;
    #[doc(hidden)]
    fn read(reader: &mut Reader<'_>, out: &mut [Self]) -> Result<(), SnapshotError>;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! stored {
    ($($t:ty: $field:path, $write:ident, $read:ident;)*) => {$(
        impl sealed::Sealed for $t {}
        impl Stored for $t {
            fn field(count: usize) -> Field {
                $field(count)
            }
            fn write(writer: &mut Writer<'_>, values: &[Self]) -> Result<(), SnapshotError> {
                writer.$write(values)
            }
            fn read(reader: &mut Reader<'_>, out: &mut [Self]) -> Result<(), SnapshotError> {
                reader.$read(out)
            }
        }
    )*};
}
stored! {
    f32: Field::reals::<f32>, slice, slice_into;
    f64: Field::reals::<f64>, slice, slice_into;
    u16: Field::words::<u16>, words, words_into;
}
