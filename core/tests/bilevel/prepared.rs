//! What `prepare` writes lasts until x changes, in every driver.

use super::*;

/// Ridge that reads x from where `prepare` left it, and spoils the scratch in its outer functions.
struct Remembering<'a>(&'a ridge::Problem<'a, f64>);

/// `x` as prepared, and the scratch of the ridge.
fn remembered(scratch: &mut [f64]) -> (&[f64], &mut [f64]) {
    let (x, rest) = scratch.split_at_mut(12);
    (x, rest)
}

impl Problem<f64> for Remembering<'_> {
    fn outer_dim(&self) -> usize {
        self.0.outer_dim()
    }
    fn inner_dim(&self) -> usize {
        self.0.inner_dim()
    }
    fn scratch_len(&self) -> usize {
        12 + self.0.scratch_len()
    }
    fn prepare(&self, x: &[f64], scratch: &mut [f64]) -> Result<(), Error> {
        scratch[..12].copy_from_slice(x);
        Ok(())
    }
    fn inner_gradient_into(
        &self,
        at: Place<'_, f64>,
        grad_y: &mut [f64],
        scratch: &mut [f64],
    ) -> Result<(), Error> {
        let Place { y, draw, .. } = at;
        let (x, scratch) = remembered(scratch);
        self.0
            .inner_gradient_into(Place::new(x, y, draw), grad_y, scratch)
    }
    fn outer_value(&self, at: Place<'_, f64>, scratch: &mut [f64]) -> Result<f64, Error> {
        let Place { x, y, draw } = at;
        scratch.fill(f64::NAN);
        self.0.outer_value(Place::new(x, y, draw), scratch)
    }
    fn outer_gradients_into(
        &self,
        at: Place<'_, f64>,
        grad_x: &mut [f64],
        grad_y: &mut [f64],
        scratch: &mut [f64],
    ) -> Result<f64, Error> {
        let Place { x, y, draw } = at;
        scratch.fill(f64::NAN);
        let problem = self.0;
        problem.outer_gradients_into(Place::new(x, y, draw), grad_x, grad_y, scratch)
    }
}

impl SecondOrder<f64> for Remembering<'_> {
    fn hessian_product_into(
        &self,
        at: Place<'_, f64>,
        v: &[f64],
        out: &mut [f64],
        scratch: &mut [f64],
    ) -> Result<(), Error> {
        let Place { y, draw, .. } = at;
        let (x, scratch) = remembered(scratch);
        self.0
            .hessian_product_into(Place::new(x, y, draw), v, out, scratch)
    }
    fn mixed_product_into(
        &self,
        at: Place<'_, f64>,
        v: &[f64],
        out: &mut [f64],
        scratch: &mut [f64],
    ) -> Result<(), Error> {
        let Place { y, draw, .. } = at;
        let (x, scratch) = remembered(scratch);
        self.0
            .mixed_product_into(Place::new(x, y, draw), v, out, scratch)
    }
}

#[test]
fn every_driver_prepares_before_gradients_and_products() {
    with_ridge(|ridge, x| {
        let (inner, y0) = (gd(9, 0.2), vec![0.0; 12]);
        let other = Remembering(ridge);
        for estimate_of in [Estimate::Response, Estimate::OuterValue] {
            let config = Config {
                directions: 3,
                difference: Difference::Central,
                estimate: estimate_of,
                ..Config::new(inner)
            };
            let expected = estimate(&config, ridge, x, &y0);
            assert_eq!(estimate(&config, &other, x, &y0), expected);
        }
        let expected = itd_gradient(ridge, &inner, x, &y0);
        assert_eq!(itd_gradient(&other, &inner, x, &y0), expected);
        for solver in [
            Solver::ConjugateGradients,
            Solver::FixedPoint { step_size: 0.2 },
        ] {
            let config = aid::Config {
                inner,
                products: 4,
                solver,
            };
            let expected = aid_gradient(ridge, &config, x, &y0);
            assert_eq!(aid_gradient(&other, &config, x, &y0), expected);
        }
    });
}
