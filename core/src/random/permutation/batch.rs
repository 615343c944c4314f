//! 32 images side by side.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "digits of fixed width; no divisor is zero"
)]

use super::{Permutation, add, hash, scaled};
use crate::simd::{Kernel, LANES, Simd};

/// 32 indices side by side, in plain arrays that the compiler puts in the registers of the level.
pub(super) struct Batch<'a> {
    pub(super) permutation: &'a Permutation,
    pub(super) start: u64,
    pub(super) out: &'a mut [u32],
}

impl Kernel for Batch<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let p = self.permutation;
        let (rows, rest) = self.out.as_chunks_mut::<LANES>();
        let mut next = p.digits(self.start);
        for row in rows {
            *row = p.row(&mut next, LANES);
        }
        if !rest.is_empty() {
            let stored = rest.len();
            for (out, i) in rest.iter_mut().zip(p.row(&mut next, stored)) {
                *out = i;
            }
        }
    }
}

impl Permutation {
    /// Where the next 32 indices go; `d` is at most 2^32, so that the radices are at most 2^16.
    ///
    /// Only the first `stored` lanes walk: an index past the end may lie on a cycle that is never in range.
    #[inline(always)]
    fn row(&self, next: &mut [u32; 2], stored: usize) -> [u32; LANES] {
        let (a1, b1) = (self.a1, self.b1);
        let (mut x, mut y) = ([0; LANES], [0; LANES]);
        let [nx, ny] = next;
        for (x, y) in x.iter_mut().zip(&mut y) {
            (*x, *y) = (*nx, *ny);
            if *ny == b1 {
                // Wraps past the last index, where no lane is stored.
                (*nx, *ny) = (if *nx == a1 { 0 } else { *nx + 1 }, 0);
            } else {
                *ny += 1;
            }
        }
        let mut r = 0;
        while r < self.rounds {
            let (kx, ky) = (self.key(r), self.key(r + 1));
            for (x, y) in x.iter_mut().zip(&y) {
                *x = add(*x, scaled(hash(y.wrapping_add(kx)), a1), a1);
            }
            for (y, x) in y.iter_mut().zip(&x) {
                *y = add(*y, scaled(hash(x.wrapping_add(ky)), b1), b1);
            }
            r += 2;
        }
        let b = b1.wrapping_add(1);
        let d1 = self.d.wrapping_sub(1) as u32;
        let mut i = [0; LANES];
        let mut outside = self.wraps();
        for (i, (x, y)) in i.iter_mut().zip(x.iter().zip(&y)) {
            *i = x.wrapping_mul(b).wrapping_add(*y);
            outside |= *i > d1;
        }
        if outside {
            for (i, (x, y)) in i.iter_mut().zip(x.iter().zip(&y)).take(stored) {
                if self.join(*x, *y) >= self.d {
                    *i = self.walk(*x, *y) as u32;
                }
            }
        }
        i
    }
}
