//! The kernel of a network from its activations and their slopes, tile by tile.

use core::ops::Range;

use super::gram;
use crate::error::{check_length, check_scratch};
use crate::kernel::Kernels as _;
use crate::matrix::{MatrixMut, MatrixRef, Product, gemm_scratch, symmetrize};
use crate::memory::{InRows, cut, must};
use crate::model::dense::Dense;
use crate::model::{Batch, mlp};
use crate::simd::{Lanes, Update};
use crate::{Error, Real};

/// Most rows of a tile.
const TILE: usize = 256;

/// Error for a scratch that an arithmetic slip has cut too short; lengths are checked before.
const SHORT: Error = Error::Parameter {
    name: "scratch",
    rule: "must have the stated length",
};

/// Which kernel.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `H`, a number for each pair of samples.
    Trace,
    /// `K`, a square of `C` for each pair of samples.
    Full,
}

/// Lengths of the parts of the scratch.
struct Lengths {
    /// Rows of the kernel for each sample.
    block: usize,
    /// Samples of a tile.
    tile: usize,
    /// Mean slopes, then slopes of each output.
    deltas: [usize; 2],
    /// Products of activations, products of slopes, a row of the former with each element `block` times.
    tiles: [usize; 3],
    pack: usize,
}

impl Lengths {
    const fn new<T: Real>(model: &mlp::Model<'_, T>, form: Form, n: usize) -> Self {
        let outputs = model.outputs();
        let block = match form {
            Form::Trace => 1,
            Form::Full => outputs,
        };
        let most = match TILE.checked_div(block) {
            Some(most) if most > 0 => most,
            _ => 1,
        };
        let tile = if n < most { n } else { most };
        let each = n.saturating_mul(outputs).saturating_mul(model.hidden());
        let deltas = match (form, model.sizes) {
            (_, [] | [_] | [_, _]) => [0, 0],
            (Form::Trace, [_, last, _]) => [n.saturating_mul(*last), 0],
            (Form::Trace, [.., last, _]) => [n.saturating_mul(*last), each],
            (Form::Full, _) => [0, each],
        };
        let side = tile.saturating_mul(block);
        let tiles = [tile.saturating_mul(tile), side.saturating_mul(side), side];
        let (mut sizes, mut pack) = (model.sizes, 0);
        while let [inputs, rest @ ..] = sizes {
            let units = match rest {
                [units, ..] => *units,
                [] => outputs,
            };
            // Forward, backward, products of activations and of slopes.
            let lengths = [
                gemm_scratch(n, units, *inputs),
                gemm_scratch(n.saturating_mul(outputs), *inputs, units),
                gemm_scratch(tile, tile, *inputs),
                gemm_scratch(side, side, inputs.saturating_mul(outputs)),
            ];
            let mut left: &[usize] = &lengths;
            while let [len, others @ ..] = left {
                pack = if *len > pack { *len } else { pack };
                left = others;
            }
            sizes = rest;
        }
        Self {
            block,
            tile,
            deltas,
            tiles,
            pack,
        }
    }

    /// Without packing.
    const fn least<T: Real>(&self, model: &mlp::Model<'_, T>, n: usize) -> usize {
        let [mean, each] = self.deltas;
        let [t1, t2, row] = self.tiles;
        n.saturating_mul(model.inputs().saturating_add(model.hidden()))
            .saturating_add(mean)
            .saturating_add(each)
            .saturating_add(t1)
            .saturating_add(t2)
            .saturating_add(row)
    }
}

/// Elements of scratch of [`kernel_into`] on `n` rows, at full speed; with less, down to the same without the last term, products are plain loops.
///
/// `n (inputs + hidden + last)`, where `last` are the units of the last hidden layer, and `n C hidden` where there are two or more hidden
/// layers; two tiles and a row of them, of `min(n, 256)`; at most 299,023 for packing.
///
/// ```
/// use thalweg::kernel::tangent::kernel_scratch_len;
/// use thalweg::model::mlp::Model;
/// let len = kernel_scratch_len(&Model::<f32>::new(&[784, 100, 10]), 4000);
/// assert!(len > 4000 * (784 + 100 + 100) && len < 4000 * 1200);
/// assert_eq!(kernel_scratch_len(&Model::<f32>::new(&[784, 100, 10]), usize::MAX), usize::MAX);
/// ```
#[must_use]
pub const fn kernel_scratch_len<T: Real>(model: &mlp::Model<'_, T>, n: usize) -> usize {
    let lengths = Lengths::new(model, Form::Trace, n);
    lengths.least(model, n).saturating_add(lengths.pack)
}

/// Elements of scratch of [`full_kernel_into`] on `n` rows, at full speed; as [`kernel_scratch_len`], with `n C hidden` at any depth.
///
/// ```
/// use thalweg::kernel::tangent::full_kernel_scratch_len;
/// use thalweg::model::mlp::Model;
/// assert!(full_kernel_scratch_len(&Model::<f32>::new(&[784, 100, 10]), 256) > 256 * (784 + 100 + 1000));
/// ```
#[must_use]
pub const fn full_kernel_scratch_len<T: Real>(model: &mlp::Model<'_, T>, n: usize) -> usize {
    let lengths = Lengths::new(model, Form::Full, n);
    lengths.least(model, n).saturating_add(lengths.pack)
}

/// Writes `H`, the tangent kernel with the mean over outputs, of the rows of a batch: `n x n`, symmetric.
///
/// Labels, loss and penalty of the model have no part in it; its arithmetic is that of all products. Scratch: [`kernel_scratch_len`]; the
/// bits do not depend on its length with [`Arithmetic::Portable`](crate::Arithmetic::Portable). Softmax regression is
/// [`softmax::Model::network`](crate::model::softmax::Model::network).
///
/// # Errors
/// Wrong lengths or settings; an empty batch. `h` is unchanged.
///
/// ```
/// use thalweg::kernel::tangent::{kernel_into, kernel_scratch_len};
/// use thalweg::matrix::MatrixMut;
/// use thalweg::model::{Batch, Labels, mlp};
/// // f(x) = 3 relu(2 x - 1) + 0.5 has the slopes (3 x, 3, a, 1), at x = 0 (0, 0, 0, 1).
/// let model = mlp::Model::<f64>::new(&[1, 1, 1]);
/// let batch = Batch::new(&[1.0, 0.0, 2.0], 1, Labels::None)?;
/// let (mut h, mut scratch) = ([0.0; 9], [0.0; kernel_scratch_len(&mlp::Model::<f64>::new(&[1, 1, 1]), 3)]);
/// kernel_into(&model, &[2.0, -1.0, 3.0, 0.5], &batch, MatrixMut::new(&mut h, 3, 3)?, &mut scratch)?;
/// assert_eq!(h, [20.0, 1.0, 31.0, 1.0, 1.0, 1.0, 31.0, 1.0, 55.0]);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn kernel_into<T: Real>(
    model: &mlp::Model<'_, T>,
    params: &[T],
    batch: &Batch<'_, T>,
    h: MatrixMut<'_, T>,
    scratch: &mut [T],
) -> Result<(), Error> {
    form_into(model, Form::Trace, (params, batch), h, scratch)
}

/// Writes `K`, the tangent kernel between all outputs of the rows of a batch: `n C x n C`, symmetric, row `i C + c` for output `c` of row `i`.
///
/// As [`kernel_into`]; scratch: [`full_kernel_scratch_len`].
///
/// # Errors
/// As [`kernel_into`].
///
/// ```
/// use thalweg::kernel::tangent::{full_kernel_into, full_kernel_scratch_len};
/// use thalweg::matrix::MatrixMut;
/// use thalweg::model::{Batch, Labels, mlp};
/// // Without a hidden layer outputs share no parameters: x^2 + 1 for each of them.
/// let model = mlp::Model::<f32>::new(&[1, 2]);
/// let batch = Batch::new(&[3.0], 1, Labels::None)?;
/// let (mut k, mut scratch) = ([9.0; 4], [0.0; full_kernel_scratch_len(&mlp::Model::<f32>::new(&[1, 2]), 1)]);
/// full_kernel_into(&model, &[0.5; 4], &batch, MatrixMut::new(&mut k, 2, 2)?, &mut scratch)?;
/// assert_eq!(k, [10.0, 0.0, 0.0, 10.0]);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn full_kernel_into<T: Real>(
    model: &mlp::Model<'_, T>,
    params: &[T],
    batch: &Batch<'_, T>,
    k: MatrixMut<'_, T>,
    scratch: &mut [T],
) -> Result<(), Error> {
    form_into(model, Form::Full, (params, batch), k, scratch)
}

/// A term of the kernel: `(<a[i], a[j]> + 1) weight <D[i], D[j]>`.
#[derive(Clone, Copy)]
struct Term<'a, T> {
    /// `a_(l-1)`.
    below: MatrixRef<'a, T>,
    /// `D_l` and a factor; the unit vectors of the outputs where there is none.
    slopes: Option<(MatrixRef<'a, T>, T)>,
}

fn form_into<T: Real>(
    model: &mlp::Model<'_, T>,
    form: Form,
    (params, batch): (&[T], &Batch<'_, T>),
    mut h: MatrixMut<'_, T>,
    scratch: &mut [T],
) -> Result<(), Error> {
    model.check_inputs(params, batch)?;
    let n = batch.len();
    let lengths = Lengths::new(model, form, n);
    let size = n.saturating_mul(lengths.block);
    check_length("rows of the kernel", size, h.rows())?;
    check_length("columns of the kernel", size, h.columns())?;
    check_scratch("scratch", lengths.least(model, n), scratch.len())?;
    let ([mean, each], [t1, t2, row]) = (lengths.deltas, lengths.tiles);
    let parts = [
        n.saturating_mul(model.inputs()),
        n.saturating_mul(model.hidden()),
        mean,
        each,
        t1,
        t2,
        row,
    ];
    let ([gathered, acts, mean, each, t1, t2, row], pack) = cut(scratch, parts)?;
    let x = batch.block(0, n, gathered);
    let mut dense = Dense {
        arithmetic: model.arithmetic,
        pack,
    };
    model
        .activations_into(params, x, n, acts, &mut dense)
        .ok_or(SHORT)?;
    if !mean.is_empty() {
        model.mean_deltas_into(params, acts, mean).ok_or(SHORT)?;
    }
    if !each.is_empty() {
        model
            .deltas_into(params, n, acts, each, &mut dense)
            .ok_or(SHORT)?;
    }
    let source = Source {
        model,
        form,
        x,
        acts,
        mean,
        each,
    };
    let mut tile = Tile {
        block: lengths.block,
        t1,
        t2,
        row,
        pack: dense.pack,
    };
    for i in (0..n).step_by(lengths.tile.max(1)) {
        let rows = i..n.min(i + lengths.tile);
        for j in (0..=i).step_by(lengths.tile.max(1)) {
            let columns = j..n.min(j + lengths.tile);
            let scaled =
                |range: &Range<usize>| range.start * lengths.block..range.end * lengths.block;
            let mut out = h.block_mut(scaled(&rows), scaled(&columns))?;
            out.fill(T::ZERO);
            source.terms(n, |term| tile.add(model, term, [&rows, &columns], &mut out))?;
        }
    }
    symmetrize(h)
}

/// What the terms of all layers are made from.
struct Source<'a, T> {
    model: &'a mlp::Model<'a, T>,
    form: Form,
    x: &'a [T],
    acts: &'a [T],
    mean: &'a [T],
    each: &'a [T],
}

impl<T: Real> Source<'_, T> {
    /// Hands the terms to `visit`, from the first layer to the last.
    fn terms(
        &self,
        n: usize,
        mut visit: impl FnMut(Term<'_, T>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let outputs = self.model.outputs();
        let (mut below, mut acts, mut each) = (self.x, self.acts, self.each);
        for (inputs, units) in self.model.layers() {
            let is_trace = self.form == Form::Trace;
            let slopes = if acts.is_empty() {
                None
            } else if is_trace && acts.len() == n * units {
                Some((MatrixRef::new(self.mean, n, units)?, T::ONE))
            } else {
                let (d, rest) = each.split_at_checked(n * outputs * units).ok_or(SHORT)?;
                each = rest;
                Some(if is_trace {
                    let weight = T::ONE / T::from_usize(outputs);
                    (MatrixRef::new(d, n, outputs * units)?, weight)
                } else {
                    (MatrixRef::new(d, n * outputs, units)?, T::ONE)
                })
            };
            visit(Term {
                below: MatrixRef::new(below, n, inputs)?,
                slopes,
            })?;
            if slopes.is_some() {
                (below, acts) = acts.split_at_checked(n * units).ok_or(SHORT)?;
            }
        }
        Ok(())
    }
}

/// Room for the products of a tile.
struct Tile<'a, T> {
    block: usize,
    t1: &'a mut [T],
    t2: &'a mut [T],
    row: &'a mut [T],
    pack: &'a mut [T],
}

impl<T: Real> Tile<'_, T> {
    /// Adds a term to a tile; of a tile of the diagonal only the lower triangle counts.
    fn add(
        &mut self,
        model: &mlp::Model<'_, T>,
        term: Term<'_, T>,
        [rows, columns]: [&Range<usize>; 2],
        out: &mut MatrixMut<'_, T>,
    ) -> Result<(), Error> {
        let block = self.block;
        let (height, width) = (rows.len(), columns.len());
        let is_square = rows == columns;
        let how = Product::plain(model.arithmetic);
        let t1 = must(self.t1.get_mut(..height * width));
        let view = MatrixMut::new(t1, height, width)?;
        let x = term.below;
        gram(how, [(x, rows), (x, columns)], is_square, view, self.pack)?;
        let Some((d, alpha)) = term.slopes else {
            let samples = t1.in_rows(width);
            let mut out = out.row_iter_mut();
            for t1 in samples {
                for (c, out) in out.by_ref().take(block).enumerate() {
                    if block == 1 {
                        T::Kernels::add_next(out, t1);
                        continue;
                    }
                    for (out, &t1) in out.iter_mut().skip(c).step_by(block).zip(t1) {
                        *out += t1 + T::ONE;
                    }
                }
            }
            return Ok(());
        };
        let (height, wide) = (height * block, width * block);
        let t2 = must(self.t2.get_mut(..height * wide));
        let view = MatrixMut::new(t2, height, wide)?;
        let scaled = |range: &Range<usize>| range.start * block..range.end * block;
        let how = Product { alpha, ..how };
        let places = [(d, &scaled(rows)), (d, &scaled(columns))];
        gram(how, places, is_square, view, self.pack)?;
        let mut rows = out.row_iter_mut().zip(t2.in_rows(wide));
        for t1 in t1.in_rows(width) {
            for (repeated, &t1) in self.row.in_rows_mut(block).zip(t1) {
                repeated.fill(t1);
            }
            for (out, t2) in rows.by_ref().take(block) {
                T::Kernels::add_hadamard(out, self.row, t2);
            }
        }
        Ok(())
    }
}

/// `h <- h + (t1 + 1) t2`.
#[derive(Clone, Copy)]
pub(in crate::kernel) struct AddHadamard;
impl<T: Real> Update<T, 1, 2> for AddHadamard {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [h]: [L; 1], [t1, t2]: [L; 2]) -> [L; 1] {
        [h + (t1 + h.constant(T::ONE)) * t2]
    }
}

/// `h <- h + (t1 + 1)`.
#[derive(Clone, Copy)]
pub(in crate::kernel) struct AddNext;
impl<T: Real> Update<T, 1, 1> for AddNext {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [h]: [L; 1], [t1]: [L; 1]) -> [L; 1] {
        [h + (t1 + h.constant(T::ONE))]
    }
}
