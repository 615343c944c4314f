//! Empirical tangent kernel of a finite network, and the steps of weights that go with it.
//!
//! ```text
//! J_ic = df_c(x_i)/dw                                N x C x P
//! H_ij = (1/C) sum_c <J_ic, J_jc>                    N x N
//! K_(ic)(jc') = <J_ic, J_jc'>                        N C x N C;   H_ij = (1/C) sum_c K_(ic)(jc)
//! sum_ic S_ic J_ic                                   P
//! ```
//!
//! # Without the Jacobian
//! A weight of layer `l` has the slope `D_l[ic] a_(l-1)[i]^T`, a bias `D_l[ic]`, where `D_l = df/dz_l`. So
//!
//! ```text
//! K_(ic)(jc') = sum_l (<a_(l-1)[i], a_(l-1)[j]> + 1) <D_l[ic], D_l[jc']>
//! D_L[ic] = e_c,   D_(L-1)[ic] = W_L[c] * h'(z_(L-1)[i]),   D_l[ic] = (W_(l+1)^T D_(l+1)[ic]) * h'(z_l[i])
//! ```
//!
//! and for one hidden layer, with `a = h(z)`, `m = h'(z)` and `s_u = (1/C) sum_c W_2[c, u]^2`, in matrices
//!
//! ```text
//! H = (A A^T + 1) + (X X^T + 1) * (M diag(s) M^T)
//! ```
//!
//! [`kernel_into`] and [`full_kernel_into`] multiply these out at any depth and for each activation, a tile of `H` at a time. The layer
//! below the outputs takes the second form, so that `C` is in its cost only where the layers beneath it need each output by itself. Cost:
//! `N^2 sum_l (w_(l-1) + C w_l)` flops, no `C` for `l = L-1`; for the full kernel `N^2 (sum_l w_(l-1) + C^2 w_l)`.
//!
//! # From Jacobians that clients have sent
//! [`add_jacobian_kernel`] and [`add_jacobian_kernel_between`] fill in the blocks of `H` that belong to one client or to two, and
//! [`add_transposed_product`] the step of the weights. With the inputs at hand that step is a back-propagation,
//! [`Outputs::jacobian_transpose_times_into`](crate::model::Outputs::jacobian_transpose_times_into).
//!
//! Reference: Yue et al., *Neural tangent kernel empowered federated learning* (arXiv 2110.03681, 2022); Jacot, Gabriel and Hongler, *Neural
//! tangent kernel* (2018); Novak, Sohl-Dickstein and Schoenholz, *Fast finite width neural tangent kernel* (2022), section 3.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "counts of rows that are slices in memory"
)]

mod explicit;
mod structured;

pub use explicit::{
    add_jacobian_kernel, add_jacobian_kernel_between, add_transposed_product,
    jacobian_kernel_scratch_len,
};
pub(super) use structured::{AddHadamard, AddNext};
pub use structured::{full_kernel_into, full_kernel_scratch_len, kernel_into, kernel_scratch_len};

use core::ops::Range;

use crate::matrix::{MatrixMut, MatrixRef, Product, Upper, gemm, syrk};
use crate::{Error, Real};

/// Some rows of a matrix.
type Part<'a, T> = (MatrixRef<'a, T>, &'a Range<usize>);

/// Products of rows of `x` with rows of `y`; of a square of the diagonal only the lower triangle.
fn gram<T: Real>(
    how: Product<T>,
    [x, y]: [Part<'_, T>; 2],
    is_square: bool,
    out: MatrixMut<'_, T>,
    pack: &mut [T],
) -> Result<(), Error> {
    let a = x.0.block(x.1.clone(), 0..x.0.columns())?;
    if is_square {
        return syrk(how, a, Upper::Leave, out, pack);
    }
    let b = y.0.block(y.1.clone(), 0..y.0.columns())?;
    gemm(how, a, b.t(), out, pack)
}
