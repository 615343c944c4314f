//! What has a closed form: one particle's direction, the Stein identity, the fixed point of an affine kernel.

use std::array::from_fn;

use thalweg::Error;
use thalweg::particle::stein::general::{self, Recipe, direction_into};
use thalweg::random::{Purpose, normal, stream};

use crate::cli::Claims;

/// M of SGHMC and of SGRHMC in one dimension, on z = (theta, r).
#[derive(Clone, Copy)]
enum Dynamics {
    /// Friction 0.7.
    Sghmc,
    /// `S = (1 + theta^2)^(-1/2)`; with its divergence or without.
    Sgrhmc { has_divergence: bool },
}

impl Recipe<f64> for Dynamics {
    fn apply(&self, z: &[f64], v: &[f64], out: &mut [f64]) {
        if let (&[theta, _], &[a, b], [x, y]) = (z, v, out) {
            (*x, *y) = match self {
                Self::Sghmc => (-b, a + 0.7 * b),
                Self::Sgrhmc { .. } => {
                    let s = 1.0 / (1.0 + theta * theta).sqrt();
                    (-s * b, s * a + s * s * b)
                }
            };
        }
    }

    fn add_divergence(&self, z: &[f64], out: &mut [f64]) {
        if let (
            Self::Sgrhmc {
                has_divergence: true,
            },
            &[theta, _],
            [_, y],
        ) = (self, z, out)
        {
            let q = 1.0 + theta * theta;
            *y -= theta / (q * q.sqrt());
        }
    }

    fn is_constant(&self) -> bool {
        matches!(self, Self::Sghmc)
    }
}

/// One particle's direction in closed form; the Stein identity by quadrature.
pub(super) fn formulas(claims: &mut Claims) -> Result<(), Error> {
    let direction = |dynamics: Dynamics, z: &[f64], gradients: &[f64]| {
        let (mut phi, mut scratch) = ([0.0; 4], [0.0; 128]);
        let out = phi.get_mut(..z.len()).unwrap_or_default();
        let width = 1.1;
        direction_into(
            &general::Config::new(2, width),
            &dynamics,
            z,
            gradients,
            out,
            &mut scratch,
        )?;
        Ok::<_, Error>([phi[0], phi[1]])
    };
    // p = exp(-theta^2 - r^2/2) at (0.3, -0.4).
    let [x, y] = direction(Dynamics::Sghmc, &[0.3, -0.4], &[-0.6, 0.4])?;
    claims.at_most("one particle: theta' against -0.4", (x + 0.4).abs(), 1e-15);
    claims.at_most("one particle: r' against -0.32", (y + 0.32).abs(), 1e-15);

    let gradient = |theta: f64, r: f64| [-(theta + 0.4 * theta * theta * theta), -r];
    let at = [0.4, -0.7];
    let [g0, g1] = gradient(at[0], at[1]);
    let mean = |dynamics: Dynamics| {
        let own = direction(dynamics, &at, &[g0, g1])?;
        let (mut sum, mut total) = ([0.0; 2], 0.0);
        for i in 0..=400 {
            for j in 0..=400 {
                let (theta, r) = (-8.0 + 0.04 * f64::from(i), -8.0 + 0.04 * f64::from(j));
                let square = theta * theta;
                let p = (-0.5 * square - 0.1 * square * square - 0.5 * r * r).exp();
                let [a, b] = gradient(theta, r);
                // Of two particles the first feels half of itself and half of the other.
                let both = direction(dynamics, &[at[0], at[1], theta, r], &[g0, g1, a, b])?;
                for ((sum, both), own) in sum.iter_mut().zip(both).zip(own) {
                    *sum += p * (2.0 * both - own);
                }
                total += p;
            }
        }
        Ok::<_, Error>(sum.map(|sum| sum / total))
    };
    for (name, dynamics) in [
        ("constant M", Dynamics::Sghmc),
        (
            "SGRHMC",
            Dynamics::Sgrhmc {
                has_divergence: true,
            },
        ),
    ] {
        let found = mean(dynamics)?;
        let figure = format!("Stein identity by quadrature, {name}");
        claims.at_most(&figure, found[0].hypot(found[1]), 1e-14);
    }
    let found = mean(Dynamics::Sgrhmc {
        has_divergence: false,
    })?;
    let figure = "Stein identity without Gamma against (0, 0.0335)";
    claims.at_most(figure, found[0].hypot(found[1].abs() - 0.0335), 5e-5);
    Ok(())
}

/// Stein SGHMC under `k = 1 + z . z'`: `phi(z) = M [ mean g + mean(g z^T) z + z ]` rests where the moments are those of the Gaussian.
pub(super) fn affine(claims: &mut Claims, seed: u64) {
    const N: usize = 12;
    const STEP: f64 = 0.02;
    let mut rng = stream(seed, 0, 0, Purpose::INIT);
    let mut z: [[f64; 4]; N] = [[0.0; 4]; N];
    z.as_flattened_mut().fill_with(|| normal(&mut rng));
    let mean = |rows: &[[f64; 4]; N], f: &dyn Fn(usize, &[f64; 4]) -> f64| {
        let each = rows.iter().enumerate();
        each.map(|(j, row)| f(j, row)).sum::<f64>() / N as f64
    };
    // Momenta (the last two) on even half steps, positions on odd ones.
    for half in 0..12_000 {
        let at = z;
        // Target N((0.5, -1), [[1, 0.8], [0.8, 1]]), momenta N(0, I).
        let g = at.map(|[x, y, r, s]| {
            let (x, y) = (x - 0.5, y + 1.0);
            [(0.8 * y - x) / 0.36, (0.8 * x - y) / 0.36, -r, -s]
        });
        let drift: [f64; 4] = from_fn(|a| mean(&g, &|_, g| g[a]));
        let cross: [[f64; 4]; 4] = from_fn(|a| from_fn(|b| mean(&g, &|j, g| g[a] * at[j][b])));
        for z in &mut z {
            let inner: [f64; 4] = from_fn(|a| {
                let product = cross[a].iter().zip(&*z).map(|(c, z)| c * z);
                drift[a] + product.sum::<f64>() + z[a]
            });
            let [x, y, r, s] = inner;
            if half % 2 == 0 {
                z[2] += STEP * (x + r);
                z[3] += STEP * (y + s);
            } else {
                z[0] -= STEP * r;
                z[1] -= STEP * s;
            }
        }
    }
    let centre: [f64; 4] = from_fn(|c| mean(&z, &|_, z| z[c]));
    let covariance = |a: usize, b: usize| mean(&z, &|_, z| (z[a] - centre[a]) * (z[b] - centre[b]));
    for (name, found, exact) in [
        ("first mean", centre[0], 0.5),
        ("second mean", centre[1], -1.0),
        ("first variance", covariance(0, 0), 1.0),
        ("covariance", covariance(0, 1), 0.8),
        ("second variance", covariance(1, 1), 1.0),
        ("momentum variance", covariance(2, 2), 1.0),
    ] {
        let figure = format!("affine kernel: {name} against {exact}");
        claims.at_most(&figure, (found - exact).abs(), 0.02);
    }
}
