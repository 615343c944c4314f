//! Who owns the memory of a state: an array, a borrowed slice, or a vector.
//!
//! A state type is generic over [`Storage`], so that the same type is a `static` on a microcontroller
//! (`State<[f32; 64]>`) and lives on the heap of a server (`State<Vec<f32>>`, feature `alloc`).
//!
#![doc = include_str!("../../docs/state_sizes.md")]

/// A buffer of elements that a state owns or borrows.
///
/// Implemented for `[T; N]` and `&mut [T]`; with the feature `alloc`, the default, for `Vec<T>` and `Box<[T]>`; with the
/// feature `heapless` for `heapless::Vec<T, N>`.
///
/// ```
/// use thalweg::Storage;
/// fn length<B: Storage>(buffer: &B) -> usize { buffer.as_slice().len() }
/// assert_eq!(length(&[0.0_f32; 4]), 4);
/// assert_eq!(length(&&mut [0.0_f64; 2][..]), 2);
/// ```
pub trait Storage {
    /// Type of one element.
    type Elem;
    /// The elements.
    fn as_slice(&self) -> &[Self::Elem];
    /// The elements, to be written.
    fn as_mut_slice(&mut self) -> &mut [Self::Elem];
}

/// Storage whose length is part of its type, so that a state can be built in a `const`.
///
/// ```
/// use thalweg::storage::Fixed;
/// assert_eq!(<[f32; 3] as Fixed>::ZERO, [0.0; 3]);
/// ```
pub trait Fixed: Storage {
    /// All elements zero.
    const ZERO: Self;
}

impl<T, const N: usize> Storage for [T; N] {
    type Elem = T;
    #[inline]
    fn as_slice(&self) -> &[T] {
        self
    }
    #[inline]
    fn as_mut_slice(&mut self) -> &mut [T] {
        self
    }
}

impl<T: Zeroed, const N: usize> Fixed for [T; N] {
    const ZERO: Self = [T::ZEROED; N];
}

/// A number with a zero that is known at compile time.
///
/// ```
/// use thalweg::storage::Zeroed;
/// assert_eq!(u16::ZEROED, 0);
/// ```
pub trait Zeroed: Copy {
    /// Zero.
    const ZEROED: Self;
}

macro_rules! zeroed {
    ($($t:ty = $zero:expr),*) => {$(
        impl Zeroed for $t {
            const ZEROED: Self = $zero;
        }
    )*};
}
zeroed!(f32 = 0.0, f64 = 0.0, u8 = 0, u16 = 0, u32 = 0, u64 = 0);

impl<T> Storage for &mut [T] {
    type Elem = T;
    #[inline]
    fn as_slice(&self) -> &[T] {
        self
    }
    #[inline]
    fn as_mut_slice(&mut self) -> &mut [T] {
        self
    }
}

#[cfg(any(feature = "heapless", test))]
impl<T, const N: usize> Storage for heapless::Vec<T, N> {
    type Elem = T;
    #[inline]
    fn as_slice(&self) -> &[T] {
        self
    }
    #[inline]
    fn as_mut_slice(&mut self) -> &mut [T] {
        self
    }
}

#[cfg(feature = "alloc")]
impl<T> Storage for alloc::vec::Vec<T> {
    type Elem = T;
    #[inline]
    fn as_slice(&self) -> &[T] {
        self
    }
    #[inline]
    fn as_mut_slice(&mut self) -> &mut [T] {
        self
    }
}

#[cfg(feature = "alloc")]
impl<T> Storage for alloc::boxed::Box<[T]> {
    type Elem = T;
    #[inline]
    fn as_slice(&self) -> &[T] {
        self
    }
    #[inline]
    fn as_mut_slice(&mut self) -> &mut [T] {
        self
    }
}
