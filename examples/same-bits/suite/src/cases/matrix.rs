//! Views, products, distances, factorisations.

use thalweg::matrix::{
    Factor, MatrixMut, MatrixRef, Product, Upper, add_diagonal, cholesky, cholesky_solve,
    cholesky_solve_vector, gemm, gemm_scratch, gemv, gemv_transposed, gram_distances_into,
    gram_distances_scratch, gram_self_distances_into, log_determinant, solve_lower,
    solve_lower_transposed, squared_distances_into, symmetric_eigen, symmetric_eigen_scratch,
    symmetrize, syrk, trace, transpose_into,
};
use thalweg::{Arithmetic, Real};

use crate::{Hash, MISSING, Outcome, paint};

const FORMS: [Arithmetic; 2] = [Arithmetic::Fast, Arithmetic::Portable];

/// Scratch of the packed products at the sizes of these cases.
const SCRATCH: usize = 448;

pub(super) fn products<T: Real>(hash: &mut Hash) -> Outcome {
    const SHAPE: [usize; 3] = [7, 11, 9];
    let [m, n, k] = SHAPE;
    let (mut a, mut b, mut c) = ([T::ZERO; 63], [T::ZERO; 99], [T::ZERO; 77]);
    let mut scratch = [T::ZERO; SCRATCH];
    paint(&mut a, 6);
    paint(&mut b, 7);
    hash.size(gemm_scratch(m, n, k));
    for case in 0..8_u32 {
        let a: Factor<'_, T> = match case & 1 {
            0 => MatrixRef::new(&a, m, k)?.into(),
            _ => MatrixRef::new(&a, k, m)?.t(),
        };
        let b: Factor<'_, T> = match case & 2 {
            0 => MatrixRef::new(&b, k, n)?.into(),
            _ => MatrixRef::new(&b, n, k)?.t(),
        };
        // Without scratch the plain loops run.
        let scratch: &mut [T] = if case & 4 == 0 { &mut scratch } else { &mut [] };
        for arithmetic in FORMS {
            paint(&mut c, 8);
            let view = MatrixMut::new(&mut c, m, n)?;
            let (alpha, beta) = (T::from_f64(0.7), T::from_f64(-0.3));
            gemm(
                Product {
                    arithmetic,
                    alpha,
                    beta,
                },
                a,
                b,
                view,
                scratch,
            )?;
        }
        hash.reals(&c);
    }
    let mut square = [T::ZERO; 49];
    for upper in [Upper::Leave, Upper::Mirror] {
        for arithmetic in FORMS {
            paint(&mut square, 9);
            let (a, view) = (
                MatrixRef::new(&a, m, k)?,
                MatrixMut::new(&mut square, m, m)?,
            );
            syrk(
                Product {
                    arithmetic,
                    beta: T::from_f64(0.5),
                    ..Product::PLAIN
                },
                a,
                upper,
                view,
                &mut scratch,
            )?;
        }
        hash.reals(&square);
    }
    let a = MatrixRef::new(&a, m, k)?;
    let (x, y) = c.split_at_mut_checked(k).ok_or(MISSING)?;
    let y = y.get_mut(..m).ok_or(MISSING)?;
    gemv(T::from_f64(0.7), a, x, T::from_f64(-0.3), y)?;
    hash.reals(y);
    gemv_transposed(T::from_f64(0.7), a, y, T::ONE, x)?;
    hash.reals(x);
    Ok(())
}

pub(super) fn views<T: Real>(hash: &mut Hash) -> Outcome {
    let mut data = [T::ZERO; 60];
    paint(&mut data, 15);
    let mut a = MatrixMut::with_stride(&mut data, 6, 7, 9)?;
    hash.size(a.rows() * a.columns() * a.stride());
    for row in a.row_iter_mut() {
        if let Some(x) = row.last_mut() {
            *x = T::ONE;
        }
    }
    if let (Some(x), Some([y, ..])) = (a.get_mut(2, 2).map(|x| *x), a.row_mut(1)) {
        *y = x;
    }
    a.block_mut(2..4, 1..3)?.fill(T::from_f64(0.25));
    let (above, below) = a.split_rows_at(4);
    hash.reals(above.into_data());
    hash.reals(below.view().data());

    let a = MatrixRef::with_stride(&data, 6, 7, 9)?;
    let block = a.block(1..5, 2..6)?;
    hash.size(block.rows() * block.columns() * block.stride());
    for row in block.row_iter() {
        hash.reals(row);
    }
    hash.reals(block.row(3).ok_or(MISSING)?);
    hash.reals(&[block.get(1, 2).ok_or(MISSING)?, trace(block)?]);
    let turned = a.t().row_range(1..4)?;
    hash.size(turned.rows() * turned.columns());
    hash.reals(&[
        turned.get(1, 2).ok_or(MISSING)?,
        turned.t().get(2, 1).ok_or(MISSING)?,
    ]);
    a.as_nalgebra().iter().for_each(|&x| hash.reals(&[x]));

    let mut other = [T::ZERO; 42];
    transpose_into(a, MatrixMut::new(&mut other, 7, 6)?)?;
    hash.reals(&other);
    let mut square = MatrixMut::new(other.get_mut(..36).ok_or(MISSING)?, 6, 6)?;
    add_diagonal(T::from_f64(0.5), square.reborrow())?;
    symmetrize(square.reborrow())?;
    square.into_nalgebra().iter_mut().for_each(|x| *x += T::ONE);
    hash.reals(&other);
    let mut fixed = nalgebra::Matrix2x3::from_fn(|i, j| T::from_usize(i * 3 + j));
    if let Some(x) = MatrixMut::transpose_of(&mut fixed).get_mut(2, 1) {
        *x = T::from_f64(0.75);
    }
    hash.reals(MatrixRef::transpose_of(&fixed).data());
    hash.size(Factor::from(&fixed).columns());
    Ok(())
}

pub(super) fn distances<T: Real>(hash: &mut Hash) -> Outcome {
    const SHAPE: [usize; 3] = [5, 6, 11];
    let [n, m, d] = SHAPE;
    let (mut x, mut y, mut out) = ([T::ZERO; 55], [T::ZERO; 66], [T::ZERO; 30]);
    let mut scratch = [T::ZERO; SCRATCH];
    paint(&mut x, 16);
    paint(&mut y, 17);
    hash.size(gram_distances_scratch(n, m, d));
    let (x, y) = (MatrixRef::new(&x, n, d)?, MatrixRef::new(&y, m, d)?);
    squared_distances_into(x, y, MatrixMut::new(&mut out, n, m)?)?;
    hash.reals(&out);
    for arithmetic in FORMS {
        gram_distances_into(
            arithmetic,
            x,
            y,
            MatrixMut::new(&mut out, n, m)?,
            &mut scratch,
        )?;
    }
    hash.reals(&out);
    let out = out.get_mut(..25).ok_or(MISSING)?;
    for arithmetic in FORMS {
        gram_self_distances_into(arithmetic, x, MatrixMut::new(out, n, n)?, &mut scratch)?;
    }
    hash.reals(out);
    Ok(())
}

pub(super) fn factors<T: Real>(hash: &mut Hash) -> Outcome {
    const N: usize = 9;
    let (mut a, mut b, mut l) = ([T::ZERO; N * N], [T::ZERO; N * 4], [T::ZERO; N * N]);
    paint(&mut a, 18);
    paint(&mut b, 19);
    let view = MatrixMut::new(&mut l, N, N)?;
    let factor = MatrixRef::new(&a, N, N)?;
    let upper = Upper::Mirror;
    syrk(Product::PLAIN, factor, upper, view, &mut [])?;
    add_diagonal(T::ONE, MatrixMut::new(&mut l, N, N)?)?;
    a = l;
    cholesky(MatrixMut::new(&mut l, N, N)?)?;
    let factor = MatrixRef::new(&l, N, N)?;
    hash.reals(&l);
    hash.reals(&[log_determinant(factor)?]);
    for solve in [solve_lower, solve_lower_transposed, cholesky_solve] {
        solve(factor, MatrixMut::new(&mut b, N, 4)?)?;
        hash.reals(&b);
    }
    let x = b.get_mut(..N).ok_or(MISSING)?;
    cholesky_solve_vector(factor, x)?;
    hash.reals(x);
    let (mut values, mut scratch) = ([T::ZERO; N], [T::ZERO; symmetric_eigen_scratch(N)]);
    symmetric_eigen(MatrixMut::new(&mut a, N, N)?, &mut values, &mut scratch)?;
    hash.reals(&a);
    hash.reals(&values);
    Ok(())
}
