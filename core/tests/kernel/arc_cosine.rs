//! Kernels against published values, mpmath, and finite networks.

use thalweg::error::At;
use thalweg::kernel::arc_cosine::{
    Config, Order, nngp_between_into, nngp_into, nngp_of_cosines, scratch_len,
    tangent_between_into, tangent_into, tangent_of_gaps,
};
use thalweg::matrix::{MatrixMut, MatrixRef};
use thalweg::random::{Purpose, normal, stream};
use thalweg::{Arithmetic, Error, Real};

const GOLDEN: &str = include_str!("../golden/kernel.txt");

fn number(bits: &str) -> f64 {
    f64::from_bits(u64::from_str_radix(bits, 16).unwrap())
}

fn of_cosine(depth: usize, c: f64) -> f64 {
    let mut x = [c];
    nngp_of_cosines(&Config::new(depth), &mut x).unwrap();
    x[0]
}

#[test]
fn one_layer_has_the_published_values() {
    assert!((of_cosine(2, 0.4) - 0.544_131_8).abs() < 5e-8);
    assert!((of_cosine(2, 0.0) - std::f64::consts::FRAC_1_PI).abs() < 5e-8);
    assert_eq!(of_cosine(2, -1.0), 0.0);
    assert_eq!(of_cosine(2, 1.0), 1.0);
    // Rounding past 1, as inner products do.
    assert_eq!(of_cosine(2, 1.0 + 1e-7), 1.0);
    assert_eq!(of_cosine(2, -1.0 - 1e-7), 0.0);
    assert!(of_cosine(2, f64::NAN).is_nan());
}

#[test]
fn deep_networks_have_the_published_values() {
    let cosines = [-1.0, -0.5, 0.0, 0.5, 0.9, 0.99];
    let two = [
        0.0,
        0.108_998,
        std::f64::consts::FRAC_1_PI,
        0.608_998,
        0.909_538,
        0.990_300,
    ];
    let seven = [
        0.735_946, 0.748_179, 0.777_229, 0.835_462, 0.941_325, 0.991_615,
    ];
    for ((c, two), seven) in cosines.into_iter().zip(two).zip(seven) {
        assert!((of_cosine(2, c) - two).abs() < 5.1e-7, "{c}");
        assert!((of_cosine(7, c) - seven).abs() < 5.1e-7, "{c}");
        assert_eq!(of_cosine(1, c), c);
    }
    assert!((of_cosine(20, 0.0) - 0.944_493).abs() < 5.1e-7);
}

/// Largest errors of K of order 0 and 1 and of Theta in units of `EPSILON` times the value.
fn worst<T: Real>() -> [f64; 3] {
    let mut worst = [0.0_f64; 3];
    for line in GOLDEN.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        if words[0] != "gap" {
            continue;
        }
        let depth = words[1].parse().unwrap();
        let gap = T::from_f64(number(words[2]));
        let expected = [3, 4, 5].map(|at: usize| number(words[at]));
        let (mut k, mut theta) = ([gap], [T::NAN]);
        tangent_of_gaps(&Config::new(depth), &mut k, &mut theta).unwrap();
        // Order 0 takes cosines: those that hold the gap.
        let sign = if gap.to_f64().is_sign_negative() {
            -1.0
        } else {
            1.0
        };
        let cosine = sign * (1.0 - gap.to_f64().abs());
        let is_exact =
            1.0 - cosine.abs() == gap.to_f64().abs() && T::from_f64(cosine).to_f64() == cosine;
        let mut step = [T::from_f64(cosine)];
        let config = Config {
            order: Order::Zero,
            ..Config::new(depth)
        };
        nngp_of_cosines(&config, &mut step).unwrap();
        let found = [
            if is_exact {
                step[0].to_f64()
            } else {
                expected[0]
            },
            k[0].to_f64(),
            theta[0].to_f64(),
        ];
        for ((found, expected), worst) in found.into_iter().zip(expected).zip(&mut worst) {
            let error = (found - expected).abs();
            // The linear kernel of a right angle is 0.
            let unit = T::EPSILON.to_f64() * expected.abs().max(1e-30);
            assert!(error <= 12.0 * unit, "{line}: {found:e} for {expected:e}");
            *worst = worst.max(error / unit);
        }
    }
    worst
}

#[test]
fn values_at_angles_down_to_zero_and_up_to_pi_are_those_of_mpmath() {
    for (name, worst) in [("f32", worst::<f32>()), ("f64", worst::<f64>())] {
        println!("{name}: {worst:?}");
        assert!(
            worst[0] <= 3.0 && worst[1] <= 3.0 && worst[2] <= 6.0,
            "{name} {worst:?}"
        );
    }
}

const ROWS: usize = 7;
const D: usize = 3;

fn rows<T: Real>() -> [T; ROWS * D] {
    let step = |k: i32| 2.0_f64.powi(-k);
    [
        3.0,
        -1.0,
        0.5,
        3.0,
        -1.0,
        0.5 + step(16),
        -3.0,
        1.0,
        -0.5 + step(14),
        0.25,
        2.0,
        -1.0,
        -1.0,
        -1.0,
        4.0,
        6.0,
        -2.0,
        1.0,
        3.0 + step(5),
        -1.0,
        0.5,
    ]
    .map(T::from_f64)
}

fn view<T: Real>(a: &mut [T; ROWS * ROWS]) -> MatrixMut<'_, T> {
    MatrixMut::new(a, ROWS, ROWS).unwrap()
}

fn rows_match<T: Real>(arithmetic: Arithmetic) {
    let data = rows::<T>();
    let x = MatrixRef::new(&data, ROWS, D).unwrap();
    for depth in [2, 5] {
        let config = Config {
            arithmetic,
            ..Config::new(depth)
        };
        let (mut k, mut theta) = ([T::NAN; ROWS * ROWS], [T::NAN; ROWS * ROWS]);
        let mut scratch = vec![T::NAN; scratch_len(ROWS, ROWS, D)];
        tangent_into(&config, x, view(&mut k), view(&mut theta), &mut scratch).unwrap();
        let mut lines = GOLDEN
            .lines()
            .filter_map(|line| line.strip_prefix(&format!("rows {depth} ")));
        for i in 0..ROWS {
            assert_eq!(
                (k[i * ROWS + i], theta[i * ROWS + i]),
                (T::ONE, T::from_usize(depth))
            );
            for j in i + 1..ROWS {
                let mut words = lines.next().unwrap().split(' ').map(number);
                for found in [&k, &theta] {
                    let (a, b) = (found[i * ROWS + j], found[j * ROWS + i]);
                    let expected = words.next().unwrap();
                    let bound = 8.0 * T::EPSILON.to_f64() * expected.max(0.05);
                    assert_eq!(a, b);
                    assert!(
                        (a.to_f64() - expected).abs() <= bound,
                        "{i} {j} {a} {expected}"
                    );
                }
            }
        }
        // A row and twice that row.
        assert_eq!(k[5], T::ONE);
        // The other forms: the kernel alone, and between sets.
        let (mut other, mut cross, mut cross_theta) = (k, k, theta);
        other.fill(T::NAN);
        cross.fill(T::NAN);
        cross_theta.fill(T::NAN);
        nngp_into(&config, x, view(&mut other), &mut scratch).unwrap();
        assert_eq!(other, k);
        nngp_between_into(&config, x, x, view(&mut cross), &mut scratch).unwrap();
        let near = |a: T, b: T| (a - b).abs() <= T::EPSILON * T::from_f64(8.0);
        assert!(cross.iter().zip(k).all(|(a, b)| near(*a, b)));
        let again = cross;
        tangent_between_into(
            &config,
            x,
            x,
            view(&mut cross),
            view(&mut cross_theta),
            &mut scratch,
        )
        .unwrap();
        assert_eq!(cross, again);
        assert!(cross_theta.iter().zip(theta).all(|(a, b)| near(*a, b)));
        // The least scratch.
        if arithmetic == Arithmetic::Portable {
            nngp_into(&config, x, view(&mut other), &mut scratch[..ROWS * D]).unwrap();
            assert_eq!(other, k);
        }
    }
}

#[test]
fn gram_matrices_of_rows_are_those_of_mpmath() {
    rows_match::<f32>(Arithmetic::Portable);
    rows_match::<f64>(Arithmetic::Portable);
    rows_match::<f32>(Arithmetic::Fast);
}

#[test]
fn scale_and_extreme_magnitudes_of_rows_do_not_matter() {
    let data = rows::<f32>();
    let gram = |data: &[f32]| {
        let mut k = [f32::NAN; ROWS * ROWS];
        let x = MatrixRef::new(data, ROWS, D).unwrap();
        let out = MatrixMut::new(&mut k, ROWS, ROWS).unwrap();
        nngp_into(&Config::new(3), x, out, &mut [0.0; scratch_len(ROWS, 0, D)]).unwrap();
        k
    };
    let plain = gram(&data);
    for power in [-130, -60, 60, 124] {
        // Below 2^-126 the rows lose digits themselves, so only their large numbers are compared.
        let scaled = data.map(|x| x * 2.0_f32.powi(power / 2) * 2.0_f32.powi(power - power / 2));
        let bound = if power < -120 { 0.02 } else { 1e-6 };
        for (a, b) in gram(&scaled).iter().zip(plain) {
            assert!((a - b).abs() <= bound, "2^{power}: {a} {b}");
        }
    }
    let huge = data.map(|x| x * (f32::MAX / 6.0));
    assert!(
        gram(&huge)
            .iter()
            .zip(plain)
            .all(|(a, b)| (a - b).abs() < 1e-6)
    );
}

#[test]
fn bad_arguments_are_named_and_write_nothing() {
    let data = [1.0, 2.0, 0.0, 0.0, f64::NAN, 1.0];
    let x = |rows: std::ops::Range<usize>| {
        MatrixRef::new(&data[2 * rows.start..2 * rows.end], rows.len(), 2).unwrap()
    };
    let mut k = [7.0; 4];
    let mut theta = [7.0; 4];
    let mut scratch = [0.0; 200];
    let config = Config::new(2);
    macro_rules! view {
        ($a:ident) => {
            MatrixMut::new(&mut $a, 2, 2).unwrap()
        };
    }
    let zero = nngp_into(&config, x(0..2), view!(k), &mut scratch);
    assert_eq!(
        zero,
        Err(Error::NonFinite {
            name: "direction of x",
            at: At::Row(1)
        })
    );
    let nan = nngp_into(&config, x(1..3), view!(k), &mut scratch);
    assert_eq!(
        nan,
        Err(Error::NonFinite {
            name: "direction of x",
            at: At::Row(0)
        })
    );
    let other = nngp_between_into(
        &config,
        x(0..1),
        x(2..3),
        MatrixMut::new(&mut k[..1], 1, 1).unwrap(),
        &mut scratch,
    );
    assert_eq!(
        other,
        Err(Error::NonFinite {
            name: "y",
            at: At::Row(0)
        })
    );
    let depth = nngp_into(&Config::new(0), x(0..2), view!(k), &mut scratch);
    assert!(matches!(depth, Err(Error::Parameter { name: "depth", .. })));
    let order = Config {
        order: Order::Zero,
        ..config
    };
    let step = tangent_into(&order, x(0..2), view!(k), view!(theta), &mut scratch);
    assert!(matches!(step, Err(Error::Parameter { name: "order", .. })));
    let short = nngp_into(&config, x(0..2), view!(k), &mut scratch[..3]);
    assert_eq!(
        short,
        Err(Error::Length {
            name: "scratch",
            expected: 4,
            found: 3
        })
    );
    let shape = tangent_into(
        &config,
        x(0..1),
        MatrixMut::new(&mut k[..1], 1, 1).unwrap(),
        view!(theta),
        &mut scratch,
    );
    assert!(matches!(
        shape,
        Err(Error::Length {
            name: "rows of ntk",
            ..
        })
    ));
    assert_eq!((k, theta), ([7.0; 4], [7.0; 4]));
    // Nothing in, nothing out.
    let none = MatrixRef::new(&data[..0], 0, 2).unwrap();
    nngp_into(
        &config,
        none,
        MatrixMut::new(&mut k[..0], 0, 0).unwrap(),
        &mut [],
    )
    .unwrap();
    nngp_between_into(
        &config,
        none,
        x(0..1),
        MatrixMut::new(&mut k[..0], 0, 1).unwrap(),
        &mut scratch,
    )
    .unwrap();
    let mut gaps = [1.5, f64::NAN];
    tangent_of_gaps(&config, &mut gaps, &mut [0.0; 2]).unwrap();
    assert!(gaps[0].is_nan() && gaps[1].is_nan());
}

/// Covariance of outputs of finite networks with normal weights.
#[test]
fn wide_random_networks_have_this_covariance() {
    const WIDTH: usize = 48;
    const SAMPLES: usize = 6000;
    let inputs = [
        [1.0, 1.0, 1.0, 1.0],
        [1.6, -0.4, 0.4, 1.058_300_524_425_836],
        [-1.0, 1.0, -1.0, -1.0],
    ];
    let flat: Vec<f64> = inputs.iter().flatten().copied().collect();
    let x = MatrixRef::new(&flat, 3, 4).unwrap();
    let mut k = [0.0; 9];
    nngp_into(
        &Config::new(3),
        x,
        MatrixMut::new(&mut k, 3, 3).unwrap(),
        &mut [0.0; scratch_len(3, 0, 4)],
    )
    .unwrap();
    let mut rng = stream(1, 0, 0, Purpose::INIT);
    let mut sums = [0.0; 9];
    for _ in 0..SAMPLES {
        let mut h: Vec<Vec<f64>> = inputs.iter().map(|x| x.to_vec()).collect();
        for out in [WIDTH, WIDTH, 1] {
            let inner = h[0].len();
            let mut next = vec![vec![0.0; out]; 3];
            for unit in 0..out {
                for p in 0..inner {
                    let w = normal::<f64>(&mut rng) / (inner as f64).sqrt();
                    for (next, h) in next.iter_mut().zip(&h) {
                        next[unit] += w * h[p];
                    }
                }
            }
            if out > 1 {
                next.iter_mut()
                    .flatten()
                    .for_each(|v| *v = v.max(0.0) * 2.0_f64.sqrt());
            }
            h = next;
        }
        for i in 0..3 {
            for j in 0..3 {
                sums[3 * i + j] += h[i][0] * h[j][0] / SAMPLES as f64;
            }
        }
    }
    // Standard error 1/sqrt(6000) times at most sqrt(2) and the kurtosis of width 48: five of them.
    for (found, k) in sums.iter().zip(k) {
        assert!((found - k).abs() < 0.1, "{found} {k}");
    }
}
