//! FedProx: local training that is held near the model of the round.
//!
//! ```text
//! client i minimises F_i(y) + (mu / 2) |y - x^r|^2 from x^r, and the server averages as in FedAvg
//! ```
//! Messages and server are those of [`fed_avg`](super::fed_avg); only the gradient of the local steps has a term more. With `mu = 0` it is FedAvg.
//!
//! Reference: Li, Sahu, Zaheer, Sanjabi, Talwalkar, Smith, *Federated optimization in heterogeneous networks*, MLSys 2020, equation 2.

use crate::error::{check, check_length};
use crate::{Error, Real};

/// Adds `mu (y - x)` to the gradient at `y`, for the model `x` of the round.
///
/// # Errors
/// [`Error::Parameter`] unless `mu` is finite and not negative; [`Error::Length`] when the lengths differ. `gradient` is unchanged.
///
/// ```
/// use thalweg::federated::fed_prox::add_proximal_gradient;
/// let mut gradient = [1.0_f32, 0.0];
/// add_proximal_gradient(0.5, &[3.0, 1.0], &[1.0, 1.0], &mut gradient)?;
/// assert_eq!(gradient, [2.0, 0.0]);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn add_proximal_gradient<T: Real>(
    mu: T,
    y: &[T],
    x: &[T],
    gradient: &mut [T],
) -> Result<(), Error> {
    let rule = "must be finite and not negative";
    check("mu", mu.is_finite() && mu >= T::ZERO, rule)?;
    check_length("x", y.len(), x.len())?;
    check_length("gradient", y.len(), gradient.len())?;
    for ((g, &y), &x) in gradient.iter_mut().zip(y).zip(x) {
        *g += mu * (y - x);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_term_pulls_back_to_the_model_of_the_round() {
        let mut gradient = [0.25_f64, -1.0, 3.0];
        add_proximal_gradient(0.5, &[3.0, 1.0, 2.0], &[1.0, 5.0, 2.0], &mut gradient).unwrap();
        // 0.5 (3 - 1), 0.5 (1 - 5), 0
        assert_eq!(gradient, [1.25, -3.0, 3.0]);
    }
}
