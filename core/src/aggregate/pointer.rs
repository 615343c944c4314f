//! Aggregators behind a reference or a box: chosen when the program runs, or shared.

use super::{Add, Aggregator, Combined, Pushed};
use crate::{Error, Real};

/// The trait for a pointer, each method that of the aggregator behind it.
macro_rules! behind {
    ($pointer:ty) => {
        impl<T: Real, A: Aggregator<T> + ?Sized> Aggregator<T> for $pointer {
            fn validate(&self, n: usize) -> Result<(), Error> {
                (**self).validate(n)
            }

            fn memory_len(&self, n: usize, d: usize) -> usize {
                (**self).memory_len(n, d)
            }

            fn is_mean(&self) -> bool {
                (**self).is_mean()
            }

            fn push(
                &self,
                pushed: &mut Pushed<'_, T>,
                weight: u32,
                add: Add<'_, T>,
            ) -> Result<(), Error> {
                (**self).push(pushed, weight, add)
            }

            fn finish<'m>(&self, pushed: &'m mut Pushed<'_, T>) -> Result<Combined<'m, T>, Error> {
                (**self).finish(pushed)
            }
        }
    };
}

behind!(&A);
#[cfg(feature = "alloc")]
behind!(alloc::boxed::Box<A>);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aggregate::{Mean, Median};

    /// Combines three numbers, one of them far away.
    fn combined(rule: impl Aggregator<f32>) -> (bool, f32) {
        let mut memory = [0.0; 4];
        let memory = &mut memory[..rule.memory_len(3, 1)];
        let mut pushed = rule.open(3, 1, memory).unwrap();
        for (weight, x) in [(2, 1.0), (1, 4.0), (1, 1002.0)] {
            rule.push_slice(&mut pushed, weight, &[x]).unwrap();
        }
        let Combined { sum, divisor } = rule.finish(&mut pushed).unwrap();
        let value = sum[0] / divisor;
        (rule.is_mean(), value)
    }

    #[test]
    fn an_aggregator_behind_any_pointer_combines_as_it_does() {
        let rules: [&dyn Aggregator<f32>; 2] = [&Mean, &Median];
        assert_eq!(rules.map(combined), [(true, 252.0), (false, 4.0)]);
        #[cfg(feature = "alloc")]
        {
            let rule: alloc::boxed::Box<dyn Aggregator<f32>> = alloc::boxed::Box::new(Median);
            assert_eq!(combined(rule), (false, 4.0));
        }
    }
}
