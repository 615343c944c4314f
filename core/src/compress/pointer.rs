//! Compressors behind a reference or a box: chosen when the program runs, or shared.

use super::{
    Ab, Buffers, Compressor, Contractive, Key, Lengths, Message, Operator, Unbiased, Weight,
};
use crate::{Error, Real};

/// The four traits for a pointer, each method that of the compressor behind it, provided ones included.
macro_rules! behind {
    ($pointer:ty) => {
        impl<C: Operator + ?Sized> Operator for $pointer {
            fn validate(&self, d: usize) -> Result<(), Error> {
                (**self).validate(d)
            }

            fn lengths(&self, d: usize) -> Lengths {
                (**self).lengths(d)
            }

            fn clients(&self) -> Option<usize> {
                (**self).clients()
            }

            fn check_key(&self, key: Key) -> Result<(), Error> {
                (**self).check_key(key)
            }
        }

        impl<T: Real, C: Compressor<T> + ?Sized> Compressor<T> for $pointer {
            fn compress<'m>(
                &self,
                key: Key,
                x: &'m [T],
                buffers: Buffers<'m, T>,
            ) -> Result<Message<'m, T>, Error> {
                (**self).compress(key, x, buffers)
            }

            fn accumulate(
                &self,
                key: Key,
                message: &Message<'_, T>,
                weight: Weight<T>,
                out: &mut [T],
            ) -> Result<(), Error> {
                (**self).accumulate(key, message, weight, out)
            }

            fn bits(&self, d: usize) -> u64 {
                (**self).bits(d)
            }
        }

        impl<C: Unbiased + ?Sized> Unbiased for $pointer {
            fn omega(&self, d: usize) -> f64 {
                (**self).omega(d)
            }

            fn ab(&self, d: usize, n: usize) -> Ab {
                (**self).ab(d, n)
            }
        }

        impl<C: Contractive + ?Sized> Contractive for $pointer {
            fn alpha(&self, d: usize) -> f64 {
                (**self).alpha(d)
            }
        }
    };
}

behind!(&C);
#[cfg(feature = "alloc")]
behind!(alloc::boxed::Box<C>);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compress::perm_k::Table;
    use crate::compress::{Contracted, PermK, RandK, TopK};

    const X: [f32; 5] = [5.0, -4.0, 3.0, -2.0, 1.0];

    /// What the compressor adds to a vector of zeros.
    fn added(compressor: impl Compressor<f32>, key: Key) -> [f32; 5] {
        let (mut values, mut indices, mut out) = ([0.0; 5], [0; 5], [0.0; 5]);
        let buffers = Buffers {
            indices: &mut indices,
            ..Buffers::values(&mut values)
        };
        let message = compressor.compress(key, &X, buffers).unwrap();
        let weight = Weight::ONE;
        compressor
            .accumulate(key, &message, weight, &mut out)
            .unwrap();
        out
    }

    #[test]
    fn top_k_behind_any_pointer_keeps_the_same_coordinates() {
        let (top_k, kept) = (TopK { k: 2 }, [5.0, -4.0, 0.0, 0.0, 0.0]);
        let chosen: &dyn Compressor<f32> = &top_k;
        assert_eq!(added(top_k, Key::default()), kept);
        let twice: &&TopK = &&top_k;
        assert_eq!(added(twice, Key::default()), kept);
        assert_eq!(added(chosen, Key::default()), kept);
        #[cfg(feature = "alloc")]
        {
            let chosen: alloc::boxed::Box<dyn Contractive> = alloc::boxed::Box::new(top_k);
            assert_eq!(chosen.alpha(5), 0.4);
            let chosen: alloc::boxed::Box<dyn Compressor<f32>> = alloc::boxed::Box::new(top_k);
            assert_eq!(added(&chosen, Key::default()), kept);
            assert_eq!(added(chosen, Key::default()), kept);
        }
    }

    #[test]
    fn provided_methods_are_those_of_the_compressor_behind() {
        // The defaults would be no number of clients, any key, and b = 0.
        let perm_k = PermK::new(4);
        let unbiased: &dyn Unbiased = &perm_k;
        assert_eq!(unbiased.clients(), Some(4));
        assert_eq!(unbiased.ab(8, 4), Ab { a: 1.0, b: 1.0 });
        assert_eq!(unbiased.omega(8), 3.0);
        let mut table = Table::new([0_u32; 5], [0_u32; 2]).unwrap();
        table.draw(3, 7).unwrap();
        let table: &dyn Operator = &table;
        let key = Key {
            seed: 3,
            round: 7,
            client: 1,
        };
        assert!(table.check_key(key).is_ok());
        assert!(table.check_key(Key { round: 8, ..key }).is_err());
    }

    #[test]
    fn a_compressor_that_is_chosen_at_run_time_wraps_and_is_refused_like_any_other() {
        let rand_k = RandK::new(2);
        let compressor: &dyn Compressor<f32> = &rand_k;
        // E C(x) = x by the factor 5/2, and Contracted divides it away.
        let wrapped = Contracted(&rand_k);
        assert_eq!(wrapped.alpha(5), 0.4);
        let out = added(wrapped, Key::default());
        assert_eq!(out.iter().zip(X).filter(|(o, x)| **o == *x).count(), 2);
        assert_eq!(compressor.bits(5), 64);
        assert_eq!(compressor.lengths(5), rand_k.lengths(5));
        assert!(compressor.validate(1).is_err());
    }
}
