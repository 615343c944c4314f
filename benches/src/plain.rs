//! The loops as one writes them, compiled for an instruction set.
//!
//! A loop is asked for by [`Level`]: what a build with native flags makes of the same source on a machine of that level, or the
//! plain build at any other level. Rust never contracts, so none has a fused multiply-add.

use thalweg::simd::Level;

/// The learning rate of every loop: small, so that a bench never leaves the normal range.
pub const RATE: f64 = 1e-6;

/// Inputs of a neuron in the loop of Nero.
pub const ROW: usize = 100;

/// A loop at every level, for one type.
macro_rules! plain {
    ($(#[$doc:meta])* fn $name:ident ($($arg:ident: $t:ty),*) $body:block) => {
        $(#[$doc])*
        #[must_use]
        pub fn $name(level: Level) -> fn($($t),*) {
            #[inline(always)]
            fn plain($($arg: $t),*) $body

            #[cfg(target_arch = "x86_64")]
            {
                fn avx2($($arg: $t),*) {
                    #[target_feature(enable = "avx2,fma")]
                    fn inner($($arg: $t),*) {
                        plain($($arg),*);
                    }
                    // SAFETY: given out below where this machine has the level.
                    unsafe { inner($($arg),*) }
                }
                fn avx512($($arg: $t),*) {
                    #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
                    fn inner($($arg: $t),*) {
                        plain($($arg),*);
                    }
                    // SAFETY: given out below where this machine has the level.
                    unsafe { inner($($arg),*) }
                }
                if level.is_available() && level == Level::Avx2 {
                    return avx2;
                }
                if level.is_available() && level == Level::Avx512 {
                    return avx512;
                }
            }
            let _ = level;
            plain
        }
    };
}

macro_rules! loops {
    ($(#[$doc:meta])* $module:ident, $t:ident) => {
        $(#[$doc])*
        pub mod $module {
            use super::*;

            const RATE: $t = super::RATE as $t;

            plain! {
                /// Gradient descent.
                fn sgd(x: &mut [$t], g: &[$t]) {
                    for (x, g) in x.iter_mut().zip(g) {
                        *x -= RATE * g;
                    }
                }
            }

            plain! {
                /// Heavy ball.
                fn momentum(x: &mut [$t], b: &mut [$t], g: &[$t]) {
                    for ((x, b), g) in x.iter_mut().zip(b).zip(g) {
                        *b = 0.9 * *b + g;
                        *x -= RATE * *b;
                    }
                }
            }

            plain! {
                /// Adam with the corrections worked out once a step: one root and one division an element.
                fn adam(x: &mut [$t], m: &mut [$t], v: &mut [$t], g: &[$t], t: i32) {
                    let root = (1.0 - 0.999_f64.powi(t)).sqrt();
                    let rate = (super::RATE * root / (1.0 - 0.9_f64.powi(t))) as $t;
                    let eps = (1e-8 * root) as $t;
                    for (((x, m), v), g) in x.iter_mut().zip(m).zip(v).zip(g) {
                        *m = 0.9 * *m + 0.1 * g;
                        *v = 0.999 * *v + 0.001 * g * g;
                        *x -= rate * *m / (v.sqrt() + eps);
                    }
                }
            }

            plain! {
                /// LAMB on one layer.
                fn lamb(x: &mut [$t], m: &mut [$t], v: &mut [$t], g: &[$t], t: i32) {
                    let unbiased1 = (1.0 / (1.0 - 0.9_f64.powi(t))) as $t;
                    let unbiased2 = (1.0 / (1.0 - 0.999_f64.powi(t))) as $t;
                    let direction = |m: $t, v: $t| unbiased1 * m / ((unbiased2 * v).sqrt() + 1e-6);
                    let (mut x2, mut r2): ($t, $t) = (0.0, 0.0);
                    for (((x, m), v), g) in x.iter().zip(&mut *m).zip(&mut *v).zip(g) {
                        *m = 0.9 * *m + 0.1 * g;
                        *v = 0.999 * *v + 0.001 * g * g;
                        let r = direction(*m, *v);
                        x2 += x * x;
                        r2 += r * r;
                    }
                    let rate = RATE * (x2 / r2).sqrt();
                    for ((x, m), v) in x.iter_mut().zip(m).zip(v) {
                        *x -= rate * direction(*m, *v);
                    }
                }
            }

            plain! {
                /// Nero on rows of [`ROW`].
                fn nero(x: &mut [$t], v: &mut [$t], g: &[$t], t: i32) {
                    let correction = ((1.0 - 0.999_f64.powi(t)).sqrt()) as $t;
                    for ((x, v), g) in x.chunks_mut(ROW).zip(v).zip(g.chunks(ROW)) {
                        let g2: $t = g.iter().map(|g| g * g).sum();
                        *v = 0.999 * *v + 0.001 * g2;
                        let rate = RATE * correction / v.sqrt();
                        let mut sum: $t = 0.0;
                        for (x, g) in x.iter_mut().zip(g) {
                            *x -= rate * g;
                            sum += *x;
                        }
                        let (mean, mut norm): ($t, $t) = (sum / ROW as $t, 0.0);
                        for x in &mut *x {
                            *x -= mean;
                            norm += *x * *x;
                        }
                        let norm = norm.sqrt();
                        for x in x {
                            *x /= norm;
                        }
                    }
                }
            }

            plain! {
                /// Lion with decoupled decay.
                fn lion(x: &mut [$t], m: &mut [$t], g: &[$t]) {
                    for ((x, m), g) in x.iter_mut().zip(m).zip(g) {
                        let c = 0.9 * *m + 0.1 * g;
                        let sign = if c == 0.0 { c } else { c.signum() };
                        *x -= RATE * (sign + 1e-3 * *x);
                        *m = 0.99 * *m + 0.01 * g;
                    }
                }
            }

            plain! {
                /// RMSprop.
                fn rmsprop(x: &mut [$t], v: &mut [$t], g: &[$t]) {
                    for ((x, v), g) in x.iter_mut().zip(v).zip(g) {
                        *v = 0.99 * *v + 0.01 * g * g;
                        *x -= RATE * g / (v.sqrt() + 1e-8);
                    }
                }
            }

            plain! {
                /// Adagrad.
                fn adagrad(x: &mut [$t], s: &mut [$t], g: &[$t]) {
                    for ((x, s), g) in x.iter_mut().zip(s).zip(g) {
                        *s += g * g;
                        *x -= RATE * g / (s.sqrt() + 1e-10);
                    }
                }
            }

            plain! {
                /// The traffic of a step without moments: two arrays read, one of them written.
                fn traffic2(x: &mut [$t], g: &[$t]) {
                    for (x, g) in x.iter_mut().zip(g) {
                        *x = $t::from_bits(x.to_bits() ^ (g.to_bits() & 1));
                    }
                }
            }

            plain! {
                /// The traffic of a step with one moment: three arrays read, two of them written.
                fn traffic3(x: &mut [$t], b: &mut [$t], g: &[$t]) {
                    for ((x, b), g) in x.iter_mut().zip(b).zip(g) {
                        let bit = g.to_bits() & 1;
                        *x = $t::from_bits(x.to_bits() ^ bit);
                        *b = $t::from_bits(b.to_bits() ^ bit);
                    }
                }
            }

            plain! {
                /// The traffic of Adam: four arrays read, three of them written.
                fn traffic4(x: &mut [$t], m: &mut [$t], v: &mut [$t], g: &[$t]) {
                    for (((x, m), v), g) in x.iter_mut().zip(m).zip(v).zip(g) {
                        let bit = g.to_bits() & 1;
                        *x = $t::from_bits(x.to_bits() ^ bit);
                        *m = $t::from_bits(m.to_bits() ^ bit);
                        *v = $t::from_bits(v.to_bits() ^ bit);
                    }
                }
            }
        }
    };
}
loops!(
    /// The loops on `f32`.
    single, f32
);
loops!(
    /// The loops on `f64`.
    double, f64
);

/// The plain way to TopK: pairs, `select_nth_unstable`, the first `k` in order of coordinate.
pub fn select_nth(x: &[f32], k: usize, pairs: &mut Vec<(u32, u32)>) -> u32 {
    pairs.clear();
    let magnitude = |x: f32| !(x.abs().to_bits());
    pairs.extend(x.iter().zip(0..).map(|(&x, i)| (magnitude(x), i)));
    let (top, _, _) = pairs.select_nth_unstable(k);
    top.sort_unstable_by_key(|pair| pair.1);
    top.first().map_or(0, |pair| pair.1)
}
