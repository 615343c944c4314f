//! Diffusion on the unit circle, whose laws have closed forms.

use super::*;

/// `h(theta) (r - 1)^2 / 2` with `h = (1 + a cos theta)^{-2}`: the minimisers are the unit circle, the normal eigenvalue is `h`.
struct Circle {
    a: f64,
}

impl Circle {
    /// `r`, the unit vectors along it and across, `h` and two derivatives.
    fn at(&self, x: &[f64]) -> (f64, [f64; 2], [f64; 2], [f64; 3]) {
        let r = x[0].hypot(x[1]);
        let (c, s) = (x[0] / r, x[1] / r);
        let (g, g1, g2) = (1.0 + self.a * c, -self.a * s, -self.a * c);
        let h = [
            g.powi(-2),
            -2.0 * g1 * g.powi(-3),
            6.0 * g1 * g1 * g.powi(-4) - 2.0 * g2 * g.powi(-3),
        ];
        (r, [c, s], [-s, c], h)
    }
}

impl SmoothLoss<f64> for Circle {
    fn dim(&self) -> usize {
        2
    }
    fn gradient_into(&mut self, x: &[f64], out: &mut [f64]) -> Result<(), Error> {
        let (r, along, across, [h, h1, _]) = self.at(x);
        let (radial, angular) = (h * (r - 1.0), 0.5 * h1 * (r - 1.0).powi(2) / r);
        for (i, out) in out.iter_mut().enumerate() {
            *out = radial * along[i] + angular * across[i];
        }
        Ok(())
    }
    fn hessian_into(&mut self, x: &[f64], mut out: MatrixMut<'_, f64>) -> Result<(), Error> {
        let (r, along, across, [h, h1, h2]) = self.at(x);
        let q = (r - 1.0) / r;
        let (mixed, angular) = (h1 * q - 0.5 * h1 * q * q, h * q + 0.5 * h2 * q * q);
        for (i, row) in out.row_iter_mut().enumerate() {
            for (k, out) in row.iter_mut().enumerate() {
                *out = h * along[i] * along[k]
                    + mixed * (along[i] * across[k] + across[i] * along[k])
                    + angular * across[i] * across[k];
            }
        }
        Ok(())
    }
}

/// `theta' = theta + dt (-1/4 (ln h)') + dW` in the limit, and `-x / 2` keeps it on the circle.
#[test]
fn the_drift_of_isotropic_noise_on_a_circle_has_its_closed_form() {
    let mut circle = Circle { a: 0.6 };
    for theta in [0.0_f64, 0.7, 2.0, -1.3, 3.0] {
        let x = [theta.cos(), theta.sin()];
        let mut memory = [0.0; basis_len(2)];
        let basis = HessianBasis::new(&mut circle, &x, &mut memory).unwrap();
        let (mut scratch, mut out) = ([0.0; drift_scratch_len(2)], [0.0; 2]);
        let noise = Noise::Isotropic(1.0);
        drift_into(&mut circle, &x, &basis, noise, &mut out, &mut scratch).unwrap();
        // ln h = -2 ln (1 + a cos theta).
        let slope = 2.0 * 0.6 * x[1] / (1.0 + 0.6 * x[0]);
        let expected = [
            -0.5 * x[0] + 0.25 * slope * x[1],
            -0.5 * x[1] - 0.25 * slope * x[0],
        ];
        assert_close(&out, &expected, 1e-8);
    }
}

/// A path of `steps` Euler steps with isotropic noise; `watch` sees each place.
fn diffuse(circle: &mut Circle, seed: u64, dt: f64, steps: usize, mut watch: impl FnMut([f64; 2])) {
    let mut rng = random::stream(seed, 0, 0, Purpose::NOISE);
    let mut x = [1.0, 0.0];
    let mut scratch = [0.0; step_scratch_len(2)];
    for _ in 0..steps {
        let increment = [(); 2].map(|()| dt.sqrt() * random::normal::<f64>(&mut rng));
        let noise = Noise::Isotropic(1.0);
        step(circle, &mut x, noise, dt, &increment, &mut scratch).unwrap();
        watch(x);
    }
}

/// Mean of independent values, and its standard error.
fn mean_and_error(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|x| (x - mean).powi(2)).sum();
    (mean, (squares / (n - 1.0) / n).sqrt())
}

/// Brownian motion on the circle: `E cos k theta_t = e^{-k^2 t / 2}`.
#[test]
fn isotropic_noise_on_a_round_circle_is_brownian_motion() {
    let (dt, steps) = (0.01, 50);
    let mut ends = [Vec::new(), Vec::new()];
    for seed in 0..1500 {
        let mut last = [0.0; 2];
        diffuse(&mut Circle { a: 0.0 }, seed, dt, steps, |x| last = x);
        assert!((last[0].hypot(last[1]) - 1.0).abs() < 1e-12);
        let theta = last[1].atan2(last[0]);
        ends[0].push(theta.cos());
        ends[1].push((2.0 * theta).cos());
    }
    for (k, values) in [1.0, 2.0].into_iter().zip(&ends) {
        let (mean, error) = mean_and_error(values);
        let expected = (-0.5 * k * k * dt * steps as f64).exp();
        // Half a hundredth for the steps.
        assert!(
            (mean - expected).abs() < 4.0 * error + 0.005,
            "{k}: {mean} {error} {expected}"
        );
    }
}

/// With a normal eigenvalue `h` the law is `h^{-1/2} = 1 + a cos theta` over `2 pi`: `E cos theta = a / 2`, `E cos 2 theta = 0`.
#[test]
fn isotropic_noise_prefers_flat_places_by_the_root_of_the_eigenvalue() {
    let mut means = [Vec::new(), Vec::new()];
    for seed in 0..60 {
        let (mut sums, mut k) = ([0.0; 2], 0);
        diffuse(&mut Circle { a: 0.6 }, seed, 0.02, 1600, |x| {
            k += 1;
            if k > 400 {
                let theta = x[1].atan2(x[0]);
                sums = [sums[0] + theta.cos(), sums[1] + (2.0 * theta).cos()];
            }
        });
        means[0].push(sums[0] / 1200.0);
        means[1].push(sums[1] / 1200.0);
    }
    for (values, expected) in means.iter().zip([0.3, 0.0]) {
        let (mean, error) = mean_and_error(values);
        assert!(
            (mean - expected).abs() < 4.0 * error + 0.005,
            "{mean} {error} {expected}"
        );
        assert!(error < 0.05);
    }
}

#[test]
fn an_increment_across_the_manifold_moves_nothing() {
    let mut circle = Circle { a: 0.6 };
    let (start, mut x) = ([0.6, 0.8], [0.6, 0.8]);
    let mut scratch = [0.0; step_scratch_len(2)];
    let normal = [0.3 * 0.6, 0.3 * 0.8];
    // Without the projection the way back is not that of the way there: h differs off the circle's own radius.
    for increment in [normal, normal.map(|x| -x)] {
        step(
            &mut circle,
            &mut x,
            Noise::Label(0.0),
            0.0,
            &increment,
            &mut scratch,
        )
        .unwrap();
        assert_close(&x, &start, 1e-14);
    }
    let mut map = Map::random(2);
    let start = point(&mut map);
    let mut memory = [0.0; basis_len(4)];
    let basis = HessianBasis::new(&mut map, &start, &mut memory).unwrap();
    let (mut tangent, mut x) = ([0.0; 4], start);
    basis.tangent_into(&DIRECTIONS[1], &mut tangent).unwrap();
    let normal: [f64; 4] = core::array::from_fn(|i| 0.2 * (DIRECTIONS[1][i] - tangent[i]));
    assert!(vector::norm2(&normal) > 0.05);
    let mut scratch = [0.0; step_scratch_len(4)];
    step(
        &mut map,
        &mut x,
        Noise::Label(0.0),
        0.0,
        &normal,
        &mut scratch,
    )
    .unwrap();
    assert_close(&x, &start, 1e-12);
}

#[test]
fn a_step_that_goes_wrong_is_an_error_and_leaves_the_place() {
    let start = [0.6, 0.8];
    let mut scratch = [0.0; step_scratch_len(2)];
    let mut refused = |x: [f64; 2], noise: Noise<'_, f64>, dt: f64, increment: &[f64]| {
        let mut moved = x;
        let outcome = step(
            &mut Circle { a: 0.6 },
            &mut moved,
            noise,
            dt,
            increment,
            &mut scratch,
        );
        let same = moved.map(f64::to_bits) == x.map(f64::to_bits);
        assert!(same, "{moved:?} {outcome:?}");
        outcome.unwrap_err()
    };
    let quiet = Noise::Label(0.0);
    for bad in [f64::NAN, f64::INFINITY] {
        for noise in [Noise::Label(bad), Noise::Isotropic(bad)] {
            let error = refused(start, noise, 0.1, &[]);
            assert!(matches!(error, Error::NonFinite { name: "noise", .. }));
        }
        let sigma = [1.0, 0.0, 0.0, bad];
        let noise = Noise::Covariance(MatrixRef::new(&sigma, 2, 2).unwrap());
        let error = refused(start, noise, 0.1, &[]);
        let name = "noise";
        assert_eq!(
            error,
            Error::NonFinite {
                name,
                at: crate::At::Element(3)
            }
        );
        let error = refused(start, quiet, 0.1, &[0.0, bad]);
        let name = "increment";
        assert_eq!(
            error,
            Error::NonFinite {
                name,
                at: crate::At::Element(1)
            }
        );
        let error = refused([0.6, bad], quiet, 0.1, &[]);
        assert_eq!(
            error,
            Error::NonFinite {
                name: "x",
                at: crate::At::Element(1)
            }
        );
    }
    assert!(matches!(
        refused(start, Noise::Label(-1.0), 0.1, &[]),
        Error::Parameter { name: "noise", .. }
    ));
    // Along the tangent by ten and by a thousand radii, where no Newton step of the basis at the start leads back.
    for length in [10.0, 1e3, 1e200] {
        let error = refused(start, quiet, 0.0, &[-0.8 * length, 0.6 * length]);
        assert!(
            matches!(
                error,
                Error::NoConvergence {
                    name: "retraction",
                    ..
                } | Error::NonFinite { .. }
            ),
            "{error:?}"
        );
    }
    // The drift overflows.
    let error = refused(start, Noise::Isotropic(f64::MAX), 1e10, &[]);
    assert!(matches!(error, Error::NonFinite { .. }), "{error:?}");
}
