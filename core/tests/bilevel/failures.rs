//! Quantities that are not finite: each is named, with its place, and nothing is written.

use super::*;
use thalweg::bilevel::differences::{Differences, InnerSlope};
use thalweg::bilevel::stoc_bio;

/// What a problem spoils.
#[derive(Clone, Copy, PartialEq)]
enum Spoilt {
    Nothing,
    /// The inner gradient of this step.
    InnerGradient(u64),
    /// The same, for `x` other than the unperturbed one.
    PerturbedGradient(u64),
    Value,
    PerturbedValue,
    OuterX,
    OuterY,
    Hessian,
    Mixed,
}
use Spoilt::*;

const ROUND: Round = Round { seed: 4, number: 0 };
const X: [f64; 2] = [0.5, -0.25];
const Y0: [f64; 2] = [1.0, 2.0];

/// `g = |y - 2x|^2 / 2` and `f = <x, 1> + |y|^2 / 2` with `with` in one place.
#[derive(Clone, Copy)]
struct Faulty {
    spoilt: Spoilt,
    with: f64,
}

impl Faulty {
    fn at<T: Real>(&self, spoilt: Spoilt, place: &mut T) {
        if self.spoilt == spoilt {
            *place = T::from_f64(self.with);
        }
    }
}

fn is_base<T: Real>(x: &[T]) -> bool {
    x.iter().zip(X).all(|(x, base)| x.to_f64() == base)
}

impl<T: Real> Problem<T> for Faulty {
    fn outer_dim(&self) -> usize {
        2
    }
    fn inner_dim(&self) -> usize {
        2
    }
    fn scratch_len(&self) -> usize {
        0
    }
    fn inner_gradient_into(
        &self,
        at: Place<'_, T>,
        grad: &mut [T],
        _: &mut [T],
    ) -> Result<(), Error> {
        let Place { x, y, draw } = at;
        for ((g, &x), &y) in grad.iter_mut().zip(x).zip(y) {
            *g = y - x - x;
        }
        let (InnerGradient(step) | PerturbedGradient(step)) = self.spoilt else {
            return Ok(());
        };
        if *draw == ROUND.inner(step)
            && !(matches!(self.spoilt, PerturbedGradient(_)) && is_base(x))
        {
            grad[1] = T::from_f64(self.with);
        }
        Ok(())
    }
    fn outer_value(&self, at: Place<'_, T>, _: &mut [T]) -> Result<T, Error> {
        let Place { x, y, .. } = at;
        let mut value = vector::sum(x) + vector::norm2_squared(y) / T::from_f64(2.0);
        self.at(Value, &mut value);
        if !is_base(x) {
            self.at(PerturbedValue, &mut value);
        }
        Ok(value)
    }
    fn outer_gradients_into(
        &self,
        at: Place<'_, T>,
        grad_x: &mut [T],
        grad_y: &mut [T],
        scratch: &mut [T],
    ) -> Result<T, Error> {
        let Place { x, y, draw } = at;
        grad_x.fill(T::ONE);
        grad_y.copy_from_slice(y);
        self.at(OuterX, &mut grad_x[1]);
        self.at(OuterY, &mut grad_y[1]);
        self.outer_value(Place::new(x, y, draw), scratch)
    }
}

impl<T: Real> SecondOrder<T> for Faulty {
    fn hessian_product_into(
        &self,
        _: Place<'_, T>,
        v: &[T],
        out: &mut [T],
        _: &mut [T],
    ) -> Result<(), Error> {
        out.copy_from_slice(v);
        self.at(Hessian, &mut out[1]);
        Ok(())
    }
    fn mixed_product_into(
        &self,
        _: Place<'_, T>,
        v: &[T],
        out: &mut [T],
        _: &mut [T],
    ) -> Result<(), Error> {
        for (out, &v) in out.iter_mut().zip(v) {
            *out = -v - v;
        }
        self.at(Mixed, &mut out[1]);
        Ok(())
    }
}

impl<T: Real> InnerSlope<T> for Faulty {
    fn inner_slope_into(
        &self,
        at: Place<'_, T>,
        grad_x: &mut [T],
        _: &mut [T],
    ) -> Result<(), Error> {
        let Place { x, y, .. } = at;
        for ((g, &x), &y) in grad_x.iter_mut().zip(x).zip(y) {
            *g = -(y - x - x) - (y - x - x);
        }
        self.at(Mixed, &mut grad_x[1]);
        Ok(())
    }
}

fn named(name: &'static str, at: At) -> Option<Error> {
    Some(Error::NonFinite { name, at })
}

fn cast<T: Real, const N: usize>(x: [f64; N]) -> [T; N] {
    x.map(T::from_f64)
}

/// The error of a step of ESJ or HOZOG; checks that nothing is written then.
fn of_step<T: Real>(config: &Config, problem: &impl Problem<T>, y0: [f64; 2]) -> Option<Error> {
    let config = Config { seed: 4, ..*config };
    let mut state = State::from_storage(cast::<T, 2>(y0));
    let before = state;
    let mut scratch = vec![T::NAN; es_jacobian::scratch_len(&config, 2, 2, problem.scratch_len())];
    let mut h = cast::<T, 2>([7.0, 8.0]);
    let found = es_jacobian::step(
        &config,
        &mut state,
        problem,
        &cast::<T, 2>(X),
        &mut h,
        &mut scratch,
    );
    if found.is_err() {
        assert_eq!(h, cast([7.0, 8.0]));
        let bits = |state: &State<[T; 2]>| [0, 1].map(|i| state.y0()[i].to_bits_u64());
        assert_eq!((state.rounds(), bits(&state)), (0, bits(&before)));
    }
    found.err()
}

/// The others.
#[derive(Clone, Copy, Debug)]
enum Exact {
    Aid(Solver),
    Itd,
    Series,
}
const EXACT: [Exact; 4] = [
    Exact::Aid(Solver::ConjugateGradients),
    Exact::Aid(Solver::FixedPoint { step_size: 0.5 }),
    Exact::Itd,
    Exact::Series,
];

fn of_exact<T: Real>(
    which: Exact,
    inner: descent::Config,
    problem: &impl SecondOrder<T>,
    x: [f64; 2],
    y0: [f64; 2],
) -> Option<Error> {
    let (x, mut y, mut h) = (cast::<T, 2>(x), cast::<T, 2>(y0), cast::<T, 2>([7.0, 8.0]));
    let mut scratch = vec![T::NAN; 200];
    let (scratch, products) = (&mut scratch, 3);
    let found = match which {
        Exact::Itd => itd::hypergradient(
            &inner,
            ROUND,
            problem,
            Variables { x: &x, y: &mut y },
            &mut h,
            scratch,
        ),
        Exact::Aid(solver) => {
            let config = aid::Config {
                inner,
                products,
                solver,
            };
            aid::hypergradient(
                &config,
                ROUND,
                problem,
                Variables { x: &x, y: &mut y },
                &mut h,
                scratch,
            )
        }
        Exact::Series => {
            let config = stoc_bio::Config {
                inner,
                products,
                eta: 0.5,
            };
            stoc_bio::hypergradient(
                &config,
                ROUND,
                problem,
                Variables { x: &x, y: &mut y },
                &mut h,
                scratch,
            )
        }
    };
    if found.is_err() {
        let bits = |x: [T; 2]| x.map(T::to_bits_u64);
        assert_eq!(
            (bits(y), h),
            (bits(cast(y0)), cast([7.0, 8.0])),
            "{which:?}"
        );
    }
    found.err()
}

const BAD: [f64; 3] = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];

/// What every method reports of the part that all have in common.
fn common<T: Real>() {
    for with in BAD {
        for (spoilt, expected) in [
            (Nothing, None),
            (InnerGradient(0), named("inner path", At::Step(0))),
            (InnerGradient(3), named("inner path", At::Step(3))),
            (Value, named("outer value", At::Value)),
            (OuterX, named("outer gradient f_x", At::Element(1))),
            (OuterY, named("outer gradient f_y", At::Element(1))),
        ] {
            let problem = Faulty { spoilt, with };
            let base = Config::new(gd(5, 0.5));
            let momentum = sgd::Config {
                momentum: 0.5,
                ..sgd::Config::new(0.1)
            };
            let adam = Method::Adam(adam::Config::default());
            for method in [Method::gd(0.5), Method::Sgd(momentum), adam] {
                for estimate in [Estimate::Response, Estimate::OuterValue] {
                    for directions in [0, 2] {
                        let inner = descent::Config { steps: 5, method };
                        let config = Config {
                            directions,
                            estimate,
                            inner,
                            ..base
                        };
                        assert_eq!(of_step::<T>(&config, &problem, Y0), expected, "{with}");
                    }
                }
            }
            for which in EXACT {
                let found = of_exact::<T>(which, gd(5, 0.5), &problem, X, Y0);
                assert_eq!(found, expected, "{which:?} {with}");
                let products = Differences::new(&problem);
                let found = of_exact::<T>(which, gd(5, 0.5), &products, X, Y0);
                assert_eq!(found, expected, "{which:?} by differences, {with}");
            }
        }
    }
}

#[test]
fn paths_values_and_gradients_are_named_by_every_method_and_nothing_is_written() {
    common::<f32>();
    common::<f64>();
}

fn along_directions<T: Real>() {
    for with in BAD {
        for difference in [Difference::Forward, Difference::Central] {
            let base = Config {
                difference,
                directions: 3,
                ..Config::new(gd(5, 0.5))
            };
            let hozog = Config {
                estimate: Estimate::OuterValue,
                ..base
            };
            let problem = Faulty {
                spoilt: PerturbedGradient(2),
                with,
            };
            for config in [base, hozog] {
                let expected = named("perturbed inner path", At::Direction(0));
                assert_eq!(of_step::<T>(&config, &problem, Y0), expected);
            }
            let problem = Faulty {
                spoilt: PerturbedValue,
                with,
            };
            assert_eq!(
                of_step::<T>(&hozog, &problem, Y0),
                named("perturbed outer value", At::Direction(0))
            );
            assert_eq!(of_step::<T>(&base, &problem, Y0), None);
        }
    }
    // Slopes of a fifth of the largest number: finite, but not their product with a response of 2 per unit vector.
    let with = T::MAX.to_f64() / 5.0;
    let config = Config {
        direction: Direction::Basis,
        radius: 1.0,
        ..Config::new(gd(60, 0.5))
    };
    let steep = |with| Faulty {
        spoilt: OuterY,
        with,
    };
    // c_1 = 2 MAX / 5 is finite, but not its square.
    assert_eq!(
        of_step::<T>(&config, &steep(with), Y0),
        named("hypergradient", At::Element(1))
    );
    assert_eq!(
        of_step::<T>(&config, &steep(with * 4.0), Y0),
        named("coefficient", At::Direction(1))
    );
}

#[test]
fn what_a_direction_loses_is_named_with_its_number() {
    along_directions::<f32>();
    along_directions::<f64>();
}

fn products<T: Real>() {
    for with in BAD {
        let problem = Faulty {
            spoilt: Mixed,
            with,
        };
        let element = At::Element(1);
        for (which, at) in EXACT
            .into_iter()
            .zip([element, element, At::Step(4), element])
        {
            let expected = named("mixed product", at);
            let found = of_exact::<T>(which, gd(5, 0.5), &problem, X, Y0);
            assert_eq!(found, expected, "{which:?}");
        }
        let problem = Faulty {
            spoilt: Hessian,
            with,
        };
        let names = ["residual", "residual", "adjoint", "Neumann term"];
        for ((which, name), step) in EXACT.into_iter().zip(names).zip([0, 0, 4, 0]) {
            let found = of_exact::<T>(which, gd(5, 0.5), &problem, X, Y0);
            assert_eq!(found, named(name, At::Step(step)), "{which:?}");
        }
    }
    // f_x beyond the root of the largest number is finite; a hypergradient of it is not bounded.
    let with = T::MAX.to_f64() / 5.0;
    let problem = Faulty {
        spoilt: OuterX,
        with,
    };
    for which in EXACT {
        let found = of_exact::<T>(which, gd(5, 0.5), &problem, X, Y0);
        assert_eq!(found, named("hypergradient", At::Element(1)), "{which:?}");
    }
}

#[test]
fn products_and_hypergradients_are_named() {
    products::<f32>();
    products::<f64>();
}

fn arguments<T: Real>() {
    let problem = Faulty {
        spoilt: Nothing,
        with: 0.0,
    };
    for bad in BAD {
        let y0 = [1.0, bad];
        let config = Config::new(gd(0, 0.5));
        assert_eq!(
            of_step::<T>(&config, &problem, y0),
            named("state.y0", At::Element(1))
        );
        for which in EXACT {
            assert_eq!(
                of_exact::<T>(which, gd(2, 0.5), &problem, [bad, 0.0], Y0),
                named("x", At::Element(0))
            );
            assert_eq!(
                of_exact::<T>(which, gd(0, 0.5), &problem, X, y0),
                named("y", At::Element(1))
            );
        }
        let mut y = cast::<T, 2>(y0);
        let mut scratch = [T::ZERO; 4];
        let found = descent::run(
            &gd(0, 0.5),
            ROUND,
            &problem,
            &cast::<T, 2>(X),
            &mut y,
            &mut scratch,
        );
        assert_eq!(found.err(), named("y", At::Element(1)));
        let mut state = State::from_storage(cast::<T, 2>(Y0));
        assert_eq!(
            state.advance(Start::Warm, &y).err(),
            named("y_n", At::Element(1))
        );
        assert_eq!((state.y0(), state.rounds()), (&cast::<T, 2>(Y0)[..], 0));
        let mut h = [T::ONE; 2];
        let found = es_jacobian::add_direction(&config, T::from_f64(bad), &[T::ONE; 2], &mut h);
        assert_eq!((found.err(), h), (named("c", At::Value), [T::ONE; 2]));
    }
}

#[test]
fn arguments_that_are_not_finite_are_named() {
    arguments::<f32>();
    arguments::<f64>();
}

#[test]
fn a_lost_descent_leaves_its_start() {
    for method in [Method::gd(0.5), Method::Adam(adam::Config::default())] {
        let config = descent::Config { steps: 9, method };
        let problem = Faulty {
            spoilt: InnerGradient(7),
            with: f64::NAN,
        };
        let (mut y, mut scratch) = (Y0, [f64::NAN; 8]);
        let found = descent::run(&config, ROUND, &problem, &X, &mut y, &mut scratch);
        assert_eq!((found.err(), y), (named("inner path", At::Step(7)), Y0));
    }
}

#[test]
fn products_by_differences_are_named_and_leave_their_output() {
    for with in BAD {
        for spoilt in [InnerGradient(2), Mixed] {
            let problem = Faulty { spoilt, with };
            let products = Differences::new(&problem);
            let draw = ROUND.inner(2);
            let mut scratch = vec![f64::NAN; Problem::<f64>::scratch_len(&products)];
            let (mut h, mut m) = ([7.0; 2], [7.0; 2]);
            let hessian = products.hessian_product_into(
                Place::new(&X, &Y0, &draw),
                &[1.0; 2],
                &mut h,
                &mut scratch,
            );
            let mixed = products.mixed_product_into(
                Place::new(&X, &Y0, &draw),
                &[1.0; 2],
                &mut m,
                &mut scratch,
            );
            if spoilt == Mixed {
                assert_eq!(
                    (mixed.err(), m),
                    (named("mixed product", At::Element(1)), [7.0; 2])
                );
                assert!(hessian.is_ok() && h != [7.0; 2]);
            } else {
                assert_eq!(
                    (hessian.err(), h),
                    (named("Hessian product", At::Element(1)), [7.0; 2])
                );
                assert!(mixed.is_ok() && m != [7.0; 2]);
            }
        }
        let problem = Faulty {
            spoilt: Nothing,
            with,
        };
        let products = Differences::new(&problem);
        let (mut out, mut scratch, draw) = ([7.0; 2], [0.0; 6], ROUND.inner(0));
        for (name, y, v) in [("y", [with, 0.0], Y0), ("v", Y0, [with, 0.0])] {
            let found = products.hessian_product_into(
                Place::new(&X, &y, &draw),
                &v,
                &mut out,
                &mut scratch,
            );
            assert_eq!((found.err(), out), (named(name, At::Element(0)), [7.0; 2]));
            let found =
                products.mixed_product_into(Place::new(&X, &y, &draw), &v, &mut out, &mut scratch);
            assert_eq!((found.err(), out), (named(name, At::Element(0)), [7.0; 2]));
        }
    }
}

/// A ridge of one row whose penalty `e^{l + mu u}` makes the perturbed path diverge; the base is at rest at its minimum.
fn diverging<T: Real>(radius: f64, steps: u64) -> Result<(Vec<T>, T), Error> {
    let (features, targets) = ([T::ONE], [T::ONE]);
    let data = ridge::Data::new(MatrixRef::new(&features, 1, 1)?, &targets)?;
    let problem = ridge::Problem::new(data, data)?;
    let config = Config {
        radius,
        direction: Direction::Basis,
        ..Config::new(gd(steps, 0.2))
    };
    try_estimate(&config, &problem, &[T::ZERO], &[T::from_f64(0.5)])
}

#[test]
fn a_path_that_diverges_is_an_error_before_it_overflows() {
    // w - w* grows by |1 - (1 + e^mu) / 5| a step, from about a half: r^N against the root of the largest number.
    let growth = |mu: f64| (1.0 - 0.2 * (1.0 + mu.exp())).abs();
    for radius in [2.5, 3.0, 3.5, 4.0] {
        for steps in [20, 100, 200, 400, 800] {
            // Half a decade on each side is not decided by this estimate.
            let decades = growth(radius).log10() * steps as f64 + 0.5_f64.log10();
            let check = |found: Result<f64, Error>, half: f64| match found {
                Err(error) => {
                    let name = "perturbed inner path";
                    // The path, or the square of the hypergradient that it leads to.
                    let is_path = error
                        == Error::NonFinite {
                            name,
                            at: At::Direction(0),
                        };
                    let name = "hypergradient";
                    let is_sum = error
                        == Error::NonFinite {
                            name,
                            at: At::Element(0),
                        };
                    assert!(is_path || is_sum && decades < half + 0.5, "{error}");
                    assert!(decades > half - 1.5, "{radius} {steps}: {error}");
                }
                Ok(square) => assert!(
                    square.is_finite() && decades < half + 0.5,
                    "{radius} {steps}"
                ),
            };
            let wide = diverging::<f64>(radius, steps);
            check(
                wide.map(|(h, _)| vector::norm2_squared(&h)),
                f64::MAX.log10() / 2.0,
            );
            let narrow = diverging::<f32>(radius, steps);
            let square = narrow.map(|(h, _)| f64::from(vector::norm2_squared(&h)));
            check(square, f64::from(f32::MAX).log10() / 2.0);
        }
    }
}

#[test]
fn a_radius_whose_double_overflows_is_refused() {
    let config = |radius| Config {
        radius,
        ..Config::new(gd(1, 0.5))
    };
    assert!(config(1e308).validate::<f64>().is_err());
    assert!(config(8e307).validate::<f64>().is_ok());
    assert!(config(2e38).validate::<f32>().is_err());
}
