//! The loops as one writes them, and the same source compiled for AVX2.
//!
//! `native_*` is what a build with native flags makes of a loop on an AVX2 machine; Rust never contracts, so it has no fused
//! multiply-add. Elsewhere it is the plain loop again.

/// A loop, and the same loop compiled for AVX2 and FMA.
macro_rules! plain {
    ($(#[$doc:meta])* fn $name:ident / $native:ident ($($arg:ident: $t:ty),*) $body:block) => {
        $(#[$doc])*
        #[inline(always)]
        pub fn $name($($arg: $t),*) $body

        $(#[$doc])*
        ///
        /// Compiled for AVX2 and FMA; the plain loop on machines without them.
        pub fn $native($($arg: $t),*) {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma")]
                fn inner($($arg: $t),*) {
                    $name($($arg),*);
                }
                if thalweg::simd::Level::Avx2.is_available() {
                    // SAFETY: the level has AVX2 and FMA, and this machine has the level.
                    return unsafe { inner($($arg),*) };
                }
            }
            $name($($arg),*);
        }
    };
}

/// The learning rate of every loop: small, so that a bench never leaves the normal range.
pub const RATE: f32 = 1e-6;

plain! {
    /// Gradient descent.
    fn sgd / native_sgd(x: &mut [f32], g: &[f32]) {
        for (x, g) in x.iter_mut().zip(g) {
            *x -= RATE * g;
        }
    }
}

plain! {
    /// Heavy ball.
    fn momentum / native_momentum(x: &mut [f32], b: &mut [f32], g: &[f32]) {
        for ((x, b), g) in x.iter_mut().zip(b).zip(g) {
            *b = 0.9 * *b + g;
            *x -= RATE * *b;
        }
    }
}

plain! {
    /// Adam with the corrections worked out once a step: one root and one division an element.
    fn adam / native_adam(x: &mut [f32], m: &mut [f32], v: &mut [f32], g: &[f32], t: i32) {
        let root = (1.0 - 0.999_f64.powi(t)).sqrt();
        let rate = (f64::from(RATE) * root / (1.0 - 0.9_f64.powi(t))) as f32;
        let eps = (1e-8 * root) as f32;
        for (((x, m), v), g) in x.iter_mut().zip(m).zip(v).zip(g) {
            *m = 0.9 * *m + 0.1 * g;
            *v = 0.999 * *v + 0.001 * g * g;
            *x -= rate * *m / (v.sqrt() + eps);
        }
    }
}

plain! {
    /// Lion with decoupled decay.
    fn lion / native_lion(x: &mut [f32], m: &mut [f32], g: &[f32]) {
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
    fn rmsprop / native_rmsprop(x: &mut [f32], v: &mut [f32], g: &[f32]) {
        for ((x, v), g) in x.iter_mut().zip(v).zip(g) {
            *v = 0.99 * *v + 0.01 * g * g;
            *x -= RATE * g / (v.sqrt() + 1e-8);
        }
    }
}

plain! {
    /// Adagrad.
    fn adagrad / native_adagrad(x: &mut [f32], s: &mut [f32], g: &[f32]) {
        for ((x, s), g) in x.iter_mut().zip(s).zip(g) {
            *s += g * g;
            *x -= RATE * g / (s.sqrt() + 1e-10);
        }
    }
}

plain! {
    /// The traffic of a step without moments: two arrays read, one of them written.
    fn traffic2 / native_traffic2(x: &mut [f32], g: &[f32]) {
        for (x, g) in x.iter_mut().zip(g) {
            *x = f32::from_bits(x.to_bits() ^ (g.to_bits() & 1));
        }
    }
}

plain! {
    /// The traffic of a step with one moment: three arrays read, two of them written.
    fn traffic3 / native_traffic3(x: &mut [f32], b: &mut [f32], g: &[f32]) {
        for ((x, b), g) in x.iter_mut().zip(b).zip(g) {
            let bit = g.to_bits() & 1;
            *x = f32::from_bits(x.to_bits() ^ bit);
            *b = f32::from_bits(b.to_bits() ^ bit);
        }
    }
}

plain! {
    /// The traffic of Adam: four arrays read, three of them written.
    fn traffic4 / native_traffic4(x: &mut [f32], m: &mut [f32], v: &mut [f32], g: &[f32]) {
        for (((x, m), v), g) in x.iter_mut().zip(m).zip(v).zip(g) {
            let bit = g.to_bits() & 1;
            *x = f32::from_bits(x.to_bits() ^ bit);
            *m = f32::from_bits(m.to_bits() ^ bit);
            *v = f32::from_bits(v.to_bits() ^ bit);
        }
    }
}

/// The plain way to TopK: pairs, `select_nth_unstable`, the first `k` in order of coordinate.
pub fn select_nth(x: &[f32], k: usize, pairs: &mut Vec<(u32, u32)>) -> u32 {
    pairs.clear();
    let magnitude = |x: f32| !(x.abs().to_bits());
    pairs.extend(x.iter().zip(0..).map(|(&x, i)| (magnitude(x), i)));
    let (top, _, _) = pairs.select_nth_unstable(k);
    top.sort_unstable_by_key(|pair| pair.1);
    top.first().map_or(0, |pair| pair.1)
}
