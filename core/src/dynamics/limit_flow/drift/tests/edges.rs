//! Ranges and lengths of arguments, what is asked of a landscape, and when a step counts as back on the manifold.

use super::*;

#[test]
fn noises_are_equal_when_their_kinds_and_numbers_are() {
    let (a, b) = ([1.0, 0.0, 0.0, 2.0], [1.0, 0.0, 0.0, 3.0]);
    let full = |s| Noise::Covariance(MatrixRef::new(s, 2, 2).unwrap());
    let all = [
        Noise::Isotropic(1.0),
        Noise::Isotropic(2.0),
        Noise::Label(1.0),
        Noise::Label(2.0),
        full(&a),
        full(&b),
    ];
    for (i, x) in all.iter().enumerate() {
        for (j, y) in all.iter().enumerate() {
            assert_eq!(x == y, i == j, "{x:?} {y:?}");
        }
    }
}

/// The valley, and the number of its Hessians that were asked for.
struct Counted(usize);
impl SmoothLoss<f64> for Counted {
    fn dim(&self) -> usize {
        2
    }
    fn gradient_into(&mut self, x: &[f64], out: &mut [f64]) -> Result<(), Error> {
        Valley.gradient_into(x, out)
    }
    fn hessian_into(&mut self, x: &[f64], out: MatrixMut<'_, f64>) -> Result<(), Error> {
        self.0 += 1;
        Valley.hessian_into(x, out)
    }
}

#[test]
fn label_noise_takes_half_the_third_derivatives() {
    let x = [0.75, 0.0];
    let mut memory = [0.0; basis_len(2)];
    let basis = HessianBasis::new(&mut Valley, &x, &mut memory).unwrap();
    let hessians = |noise| {
        let (mut counted, mut out) = (Counted(0), [0.0; 2]);
        let mut scratch = [0.0; drift_scratch_len(2)];
        drift_into(&mut counted, &x, &basis, noise, &mut out, &mut scratch).unwrap();
        counted.0
    };
    let label = hessians(Noise::Label(1.0));
    assert!(label > 0);
    assert_eq!(hessians(Noise::Isotropic(1.0)), 2 * label);
}

#[test]
fn the_reach_of_a_third_derivative_grows_with_its_place() {
    // d_a H_bb = 2 a, from a Hessian of size a^2: with a reach that does not grow, rounding is eps a^2.
    let (x, s) = ([1e4, 0.0], [0.0, 0.0, 0.0, 1.0]);
    let (mut scratch, mut out) = ([0.0; 6], [0.0; 2]);
    let s = MatrixRef::new(&s, 2, 2).unwrap();
    Valley.third_into(&x, s, &mut out, &mut scratch).unwrap();
    assert!((out[0] / 2e4 - 1.0).abs() < 1e-9, "{out:?}");
    assert_eq!(out[1], 0.0);
}

#[test]
fn times_that_lead_nowhere_are_named() {
    let start = [0.75_f64, 0.0];
    let mut x = start;
    let mut scratch = [0.0; step_scratch_len(2)];
    for bad in [-0.1, f64::INFINITY, f64::NAN] {
        let outcome = step(
            &mut Valley,
            &mut x,
            Noise::Label(1.0),
            bad,
            &[],
            &mut scratch,
        );
        let (name, rule) = ("dt", "must be finite and at least 0");
        assert_eq!(outcome, Err(Error::Parameter { name, rule }));
    }
    for bad in [0.0, -0.1, f64::INFINITY, f64::NAN] {
        let outcome = follow_gradient_flow(&mut Valley, &mut x, bad, 0.0, 1, &mut scratch);
        let (name, rule) = ("dt", "must be finite and positive");
        assert_eq!(outcome, Err(Error::Parameter { name, rule }));
    }
    assert_eq!(x, start);
}

#[test]
fn memories_have_their_stated_lengths_and_not_one_less() {
    let lengths = [3, 4].map(|d| [gradient_flow_scratch_len(d), retract_scratch_len(d)]);
    // 4 d; d^2 + 6 d.
    assert_eq!(lengths, [[12, 27], [16, 40]]);
    let mut x = [0.75_f64, 0.0];
    let mut scratch = [0.0; 16];
    let name = "scratch";
    for (len, found) in [
        (
            8,
            follow_gradient_flow(&mut Valley, &mut x, 0.1, 0.0, 1, &mut scratch[..7]).map(drop),
        ),
        (
            16,
            retract(&mut Valley, &mut x, 1, 0.0, 1, &mut scratch[..15]).map(drop),
        ),
    ] {
        let short = Error::Length {
            name,
            expected: len,
            found: len - 1,
        };
        assert_eq!(found, Err(short));
    }
    assert_eq!(
        follow_gradient_flow(&mut Valley, &mut x, 0.1, 0.0, 1, &mut scratch[..8]),
        Ok(0)
    );
    assert_eq!(
        retract(&mut Valley, &mut x, 1, 0.0, 1, &mut scratch),
        Ok(0.0)
    );
}

/// No gradient, and no Hessian.
struct Level;
impl SmoothLoss<f64> for Level {
    fn dim(&self) -> usize {
        2
    }
    fn gradient_into(&mut self, _: &[f64], out: &mut [f64]) -> Result<(), Error> {
        out.fill(0.0);
        Ok(())
    }
    fn hessian_into(&mut self, _: &[f64], _: MatrixMut<'_, f64>) -> Result<(), Error> {
        let (name, index) = ("hessian", 0);
        Err(Error::Singular { name, index })
    }
}

#[test]
fn a_point_of_the_manifold_is_retracted_without_a_hessian() {
    let mut x = [1.0, 2.0];
    let mut scratch = [0.0; retract_scratch_len(2)];
    assert_eq!(
        retract(&mut Level, &mut x, 1, 0.0, 5, &mut scratch),
        Ok(0.0)
    );
    assert_eq!(x, [1.0, 2.0]);
}

/// Curvature 4 along the second axis, and along it a gradient that is the same everywhere: no Newton step helps.
struct Tilted(f64);
impl SmoothLoss<f64> for Tilted {
    fn dim(&self) -> usize {
        2
    }
    fn gradient_into(&mut self, _: &[f64], out: &mut [f64]) -> Result<(), Error> {
        out.copy_from_slice(&[0.0, self.0]);
        Ok(())
    }
    fn hessian_into(&mut self, _: &[f64], out: MatrixMut<'_, f64>) -> Result<(), Error> {
        out.into_data().copy_from_slice(&[0.0, 0.0, 0.0, 4.0]);
        Ok(())
    }
}

/// The gradient that may be left is `4 (sqrt(eps) length + 1024 eps |x|)`, with `sqrt(eps) = 1.49e-8` and `1024 eps = 2.27e-13`.
#[test]
fn a_step_ends_on_the_manifold_to_a_share_of_its_length_and_of_the_rounding() {
    for (place, length, left, holds) in [
        // 6e-8.
        (0.0, 1.0, 5.5e-8, true),
        (0.0, 1.0, 6.5e-8, false),
        (0.0, 1.0, 1.0, false),
        // 6e-11.
        (0.0, 1e-3, 5.5e-11, true),
        (0.0, 1e-3, 1e-6, false),
        // No length: 9.1e-7.
        (1e6, 0.0, 8e-7, true),
        (1e6, 0.0, 1e-6, false),
        // Nothing is left, and nothing may be.
        (0.0, 0.0, 0.0, true),
    ] {
        let mut x = [place, 0.0];
        let mut scratch = [0.0; step_scratch_len(2)];
        let (increment, noise) = ([length, 0.0], Noise::Label(0.0));
        let increment = if length > 0.0 { &increment[..] } else { &[] };
        let outcome = step(
            &mut Tilted(left),
            &mut x,
            noise,
            0.0,
            increment,
            &mut scratch,
        );
        let expected = Error::NoConvergence {
            name: "retraction",
            iterations: 8,
        };
        let expected = if holds { Ok(()) } else { Err(expected) };
        assert_eq!(outcome, expected, "{place} {length} {left}");
    }
}
