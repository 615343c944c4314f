//! A network in two parts: all layers but the last, and the last.
//!
//! ```text
//! features(x) = h(trunk(x)),   f(x) = head(features(x))        params = (params of the trunk, params of the head)
//! ```

#![allow(
    clippy::arithmetic_side_effects,
    reason = "rows and columns of a slice; the divisor is at least 1"
)]

use super::Model;
use crate::model::Batch;
use crate::{Error, Real};

impl<'a, T: Real> Model<'a, T> {
    /// All layers but the last, as a network whose outputs are the features before their activation.
    ///
    /// ```
    /// use thalweg::model::mlp::Model;
    /// assert_eq!(Model::<f32>::new(&[64, 16, 10]).trunk().sizes, [64, 16]);
    /// ```
    #[must_use]
    pub const fn trunk(&self) -> Self {
        let sizes = match self.sizes {
            [below @ .., _] => below,
            [] => &[],
        };
        Self { sizes, ..*self }
    }

    /// The last layer, as a network on the features.
    ///
    /// ```
    /// use thalweg::model::mlp::Model;
    /// assert_eq!(Model::<f32>::new(&[64, 16, 10]).head().sizes, [16, 10]);
    /// ```
    #[allow(clippy::disallowed_methods, reason = "there are two sizes at least")]
    #[must_use]
    pub const fn head(&self) -> Self {
        let sizes = match self.sizes {
            [.., _, _] => {
                let (_, last) = self.sizes.split_at(self.sizes.len() - 2);
                last
            }
            sizes => sizes,
        };
        Self { sizes, ..*self }
    }

    /// Writes what the last layer reads: rows x units of the last hidden layer. `params` are those of the trunk.
    ///
    /// # Errors
    /// As [`outputs_into`](Self::outputs_into); a network without hidden layers.
    ///
    /// ```
    /// use thalweg::model::{Batch, Labels, mlp::Model};
    /// let model = Model::<f32>::new(&[1, 2, 1]);
    /// let batch = Batch::new(&[3.0], 1, Labels::None)?;
    /// let (mut scratch, mut out) = ([0.0; 7], [0.0; 2]);
    /// model.features_into(&[1.0, -1.0, 0.5, 0.0], &batch, &mut out, &mut scratch)?;
    /// assert_eq!(out, [3.5, 0.0]); // relu of 3.5 and -3
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn features_into(
        &self,
        params: &[T],
        batch: &Batch<'_, T>,
        out: &mut [T],
        scratch: &mut [T],
    ) -> Result<(), Error> {
        self.trunk().outputs_into(params, batch, out, scratch)?;
        self.activation.apply(out);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::each_model;
    use crate::model::tests::painted;
    use crate::model::{Batch, Labels};
    use std::vec;

    #[test]
    fn the_head_of_the_features_is_the_network() {
        each_model(|model| {
            let (trunk, head) = (model.trunk(), model.head());
            let (x, params) = (painted(3 * model.inputs(), 1), painted(model.dim(), 2));
            let batch = Batch::new(&x, model.inputs(), Labels::None).unwrap();
            let mut scratch = vec![f64::NAN; model.scratch_len(3)];
            let mut expected = vec![0.0; 3 * model.outputs()];
            model
                .outputs_into(&params, &batch, &mut expected, &mut scratch)
                .unwrap();
            let mut features = vec![0.0; 3 * head.inputs()];
            let (below, above) = params.split_at(params.len() - head.dim());
            let done = model.features_into(below, &batch, &mut features, &mut scratch);
            if trunk.sizes.len() < 2 {
                return assert!(done.is_err());
            }
            done.unwrap();
            let mut found = vec![0.0; expected.len()];
            let features = Batch::new(&features, head.inputs(), Labels::None).unwrap();
            head.outputs_into(above, &features, &mut found, &mut scratch)
                .unwrap();
            assert_eq!(found, expected);
        });
    }
}
