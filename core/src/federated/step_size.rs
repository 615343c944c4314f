//! Step sizes of the theory, from the constants of the problem and of the compressor.
//!
//! ```text
//! L_-   |grad f(x) - grad f(y)| <= L_- |x - y|
//! L_+   mean |grad f_i(x) - grad f_i(y)|^2 <= L_+^2 |x - y|^2
//! L_+-  mean |grad f_i(x) - grad f_i(y)|^2 - |grad f(x) - grad f(y)|^2 <= L_+-^2 |x - y|^2
//! ```
//! The methods guarantee their rate at the step returned; practice multiplies it by powers of two and keeps the best
//! that does not diverge.

use crate::compress::Ab;

/// Gradient descent: `1 / L_-`.
///
/// ```
/// assert_eq!(thalweg::federated::step_size::gradient_descent(4.0), 0.25);
/// ```
#[must_use]
pub fn gradient_descent(l_minus: f64) -> f64 {
    1.0 / l_minus
}

/// MARINA: `1 / (L_- + sqrt((1-p)/p ((A-B) L_+^2 + B L_+-^2)))`.
///
/// `probability` is that of a full round, in `(0, 1]`; `ab` with `A >= B` is the compressor's
/// [`ab`](crate::compress::Unbiased::ab). Szlendak, Tyurin, Richtarik 2022, Theorem 4.
///
/// ```
/// use thalweg::compress::Ab;
/// use thalweg::federated::step_size::marina;
/// // PermK with d >= n: A = B = 1, p = 1/n, so the step is 1/(L_- + sqrt(n-1) L_+-).
/// let step = marina(1.0127, 1.0217, 0.1349, 0.1, Ab { a: 1.0, b: 1.0 });
/// assert!((step - 0.7055).abs() < 5e-4);
/// // Equal Hessians: the step of gradient descent, whatever p.
/// assert_eq!(marina(2.0, 2.0, 0.0, 0.01, Ab { a: 1.0, b: 1.0 }), 0.5);
/// ```
#[must_use]
pub fn marina(l_minus: f64, l_plus: f64, l_plus_minus: f64, probability: f64, ab: Ab) -> f64 {
    let spread = (ab.a - ab.b) * l_plus * l_plus + ab.b * l_plus_minus * l_plus_minus;
    1.0 / (l_minus + libm::sqrt((1.0 - probability) / probability * spread))
}

/// EF21: `1 / (L_- + L~ sqrt(beta/theta))`, `sqrt(beta/theta) = sqrt(1-alpha) / (1 - sqrt(1-alpha))`.
///
/// `l_tilde` is the root mean square of the clients' Lipschitz constants, `alpha` the compressor's
/// [`alpha`](crate::compress::Contractive::alpha) in `(0, 1]`. Richtarik, Sokolov, Fatkhullin 2021, Theorem 1.
///
/// ```
/// use thalweg::federated::step_size::ef21;
/// assert_eq!(ef21(2.0, 3.0, 1.0), 0.5);
/// assert!((1.0 / ef21(0.0, 1.0, 0.5) - 2.41421).abs() < 1e-5);
/// assert!((1.0 / ef21(0.0, 1.0, 0.1) - 18.48683).abs() < 1e-5);
/// assert!((1.0 / ef21(0.0, 1.0, 0.01) - 198.49874).abs() < 1e-4);
/// ```
#[must_use]
pub fn ef21(l_minus: f64, l_tilde: f64, alpha: f64) -> f64 {
    let root = libm::sqrt(1.0 - alpha);
    // alpha > 0, so root < 1.
    1.0 / (l_minus + l_tilde * root / (1.0 - root))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_those_of_the_formulas() {
        assert_eq!(gradient_descent(4.0), 0.25);
        assert_eq!(gradient_descent(0.5), 2.0);
        // sqrt(1 - 3/4) = 1/2, sqrt(beta/theta) = (1/2)/(1/2): 1/(2 + 6). With alpha = 1 - 1/16, (1/4)/(3/4): 1/(2 + 2).
        assert_eq!(ef21(2.0, 6.0, 0.75), 0.125);
        assert_eq!(ef21(2.0, 6.0, 0.9375), 0.25);
        assert_eq!(ef21(2.0, 6.0, 1.0), 0.5);
        // (1 - p)/p = 4, (3 - 1) 3^2 + 1 (2^2) = 22: 1/(2 + sqrt(88)).
        let found = marina(2.0, 3.0, 2.0, 0.2, Ab { a: 3.0, b: 1.0 });
        assert!((1.0 / found - 2.0 - 88.0_f64.sqrt()).abs() < 1e-14);
    }
}
