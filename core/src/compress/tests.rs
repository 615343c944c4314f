//! Constants of the compressors, by the formulas of the table in the module.

use super::rand_k::Pool;
use super::{perm_k::Table, *};

fn lengths(values: usize, indices: usize, levels: usize) -> Lengths {
    Lengths {
        values,
        indices,
        levels,
    }
}

/// What a compressor states of vectors of 100 numbers in `f32`.
fn states(c: &impl Compressor<f32>) -> (u64, Lengths, Option<usize>) {
    c.validate(100).unwrap();
    (c.bits(100), c.lengths(100), c.clients())
}

#[test]
fn messages_have_the_stated_bits_and_buffers() {
    let none = Lengths::default();
    assert_eq!(states(&Identity), (3200, none, None));
    assert_eq!(states(&Lazy { p: 0.5 }), (3201, none, None));
    assert_eq!(states(&Sign), (32 + 100, none, None));
    assert_eq!(states(&Natural), (9 * 100, lengths(100, 0, 0), None));
    assert_eq!(Compressor::<f64>::bits(&Natural, 100), 12 * 100);
    // ceil(log2 100) = 7.
    let top = states(&TopK { k: 5 });
    assert_eq!(top, (5 * (32 + 7), lengths(5, 5, 0), None));
    let five = (5 * 32, lengths(5, 0, 0), None);
    assert_eq!(states(&RandK::new(5)), five);
    assert_eq!(states(&RandSeqK::new(5)), five);
    assert_eq!(states(&Pool::new([0_u32; 100], 5).unwrap()), five);
    assert_eq!(states(&Contracted(RandK::new(5))), five);
    // Eight clients: twelve numbers or thirteen.
    let block = (13 * 32, lengths(13, 0, 0), Some(8));
    let table = Table::new([0_u32; 100], [0_u32; 8]).unwrap();
    assert_eq!(states(&PermK::new(8)), block);
    assert_eq!(states(&table), block);
    assert_eq!(states(&Contracted(PermK::new(8))), block);
    assert_eq!(states(&PermK::contiguous(8)), (13 * 32, none, Some(8)));
    // A sign, and ceil(log2 5) = 3 or ceil(log2 4) = 2 bits of a level.
    let levels = lengths(0, 0, 100);
    let dithered = states(&Dithering::qsgd(4));
    assert_eq!(dithered, (32 + 100 * (1 + 3), levels, None));
    let natural = NaturalDithering {
        levels: 3,
        norm: dithering::Norm::Two,
    };
    assert_eq!(states(&natural), (32 + 100 * (1 + 2), levels, None));
}

#[test]
fn parameters_that_do_not_fit_the_dimension_are_refused() {
    fn refuses(c: &impl Compressor<f32>, d: usize) -> bool {
        c.validate(d).is_err()
    }
    let norm = dithering::Norm::Max;
    assert!(refuses(&Contracted(RandK::new(5)), 4));
    assert!(refuses(&RandK::new(5), 4) && refuses(&RandSeqK::new(5), 4));
    assert!(refuses(&TopK { k: 5 }, 4));
    assert!(refuses(&Sign, 0));
    assert!(refuses(&PermK::new(0), 4) && refuses(&PermK::new(2), 0));
    assert!(refuses(&Pool::new([0_u32; 4], 2).unwrap(), 5));
    assert!(refuses(&Table::new([0_u32; 4], [0_u32; 2]).unwrap(), 5));
    assert!(refuses(&Dithering { levels: 0, norm }, 4));
    assert!(refuses(&NaturalDithering { levels: 65, norm }, 4));
    let config = |learning_rate| error_feedback::Config::<f64> { learning_rate };
    assert_eq!(config(0.0).validate(), Ok(()));
    for rate in [-0.5, f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
        assert!(config(rate).validate().is_err(), "{rate}");
    }
}

#[test]
fn omega_and_alpha_are_those_of_the_formulas() {
    fn omega(c: &impl Unbiased, d: usize) -> f64 {
        c.omega(d)
    }
    assert_eq!(omega(&Identity, 100), 0.0);
    assert_eq!(omega(&Lazy { p: 0.25 }, 100), 3.0);
    assert_eq!(omega(&Natural, 100), 0.125);
    assert_eq!(omega(&RandK::new(5), 100), 19.0);
    // Eight clients: as many as own a number, less one.
    let table = Table::new([0_u32; 100], [0_u32; 8]).unwrap();
    assert_eq!(omega(&PermK::new(8), 100), 7.0);
    assert_eq!(omega(&table, 100), 7.0);
    assert_eq!(omega(&PermK::new(8), 4), 3.0);
    // min(d/s^2, sqrt(d)/s), and in the largest norm (sqrt(d) - 1)/2 at one level, else min(d/(4 s^2), sqrt(d)/s).
    let (two, max) = (dithering::Norm::Two, dithering::Norm::Max);
    for (norm, levels, expected) in [
        (two, 4, 2.5),
        (two, 20, 0.25),
        (max, 1, 4.5),
        (max, 2, 5.0),
        (max, 10, 0.25),
    ] {
        let found = omega(&Dithering { levels, norm }, 100);
        assert_eq!(found, expected, "{norm:?} {levels}");
    }
    // 1/8 + c min(c, 1) with c = sqrt(d)/2^(s-1).
    for (d, expected) in [(100, 0.125 + 2.5), (4, 0.125 + 0.25)] {
        let c = NaturalDithering {
            levels: 3,
            norm: two,
        };
        assert_eq!(omega(&c, d), expected);
    }
    fn alpha(c: &impl Contractive) -> f64 {
        c.alpha(100)
    }
    assert_eq!(alpha(&Identity), 1.0);
    assert_eq!(alpha(&Sign), 0.01);
    assert_eq!(alpha(&TopK { k: 5 }), 0.05);
    assert_eq!(alpha(&Contracted(RandK::new(5))), 0.05);
}

#[test]
fn the_pair_of_ab_is_that_of_independent_or_of_shared_draws() {
    let ab = |a, b| Ab { a, b };
    assert_eq!(Natural.ab(100, 4), ab(1.0 / 32.0, 0.0));
    assert_eq!(Natural.ab(100, 0), ab(0.125, 0.0));
    // One client sends everything: no error at all, which A = B = 1 states.
    for (clients, d) in [(1, 5), (1, 1), (5, 5), (7, 5), (2, 9)] {
        let found = PermK::new(clients).ab(d, clients);
        assert_eq!(found, ab(1.0, 1.0), "{clients} clients, d = {d}");
    }
    // Ten clients, two owners each: (10 - 2) / (2 (10 - 1)).
    let found = PermK::new(10).ab(5, 10);
    assert_eq!(found, ab(4.0 / 9.0, 4.0 / 9.0));
}

#[test]
fn only_messages_without_elements_are_empty() {
    let (values, levels) = (&[1.0_f32, -1.0][..], &[2, 0, -1][..]);
    let (norm, most) = (1.0, 2);
    for (message, len) in [
        (Message::Dense(values), 2),
        (Message::PermK(&[]), 0),
        (Message::Dithered { norm, most, levels }, 3),
        (Message::NaturalDithered { norm, most, levels }, 3),
        (Message::Nothing, 0),
    ] {
        assert_eq!((message.len(), message.is_empty()), (len, len == 0));
    }
}

#[test]
fn weights_that_divide_by_zero_are_refused() {
    for weight in [Weight::Value(2.0_f64), Weight::Mean(2)] {
        assert!(weight.times(1, 0).is_err() && weight.over(0.0).is_err());
        assert!(weight.over(-1.0).is_err() && weight.over(f64::NAN).is_err());
    }
    assert!(Weight::<f64>::Mean(0).times(1, 1).is_err());
    assert!(Weight::<f64>::Mean(0).over(1.0).is_err());
    assert_eq!(Weight::Value(2.0_f64).over(4.0), Ok(0.5));
    assert_eq!(Weight::<f64>::Mean(2).over(4.0), Ok(0.125));
}

#[test]
fn a_ratio_gives_at_least_one_coordinate_and_at_most_all() {
    for (ratio, k) in [
        (0.01, 10),
        (0.5, 500),
        (0.0, 1),
        (-1.0, 1),
        (2.0, 1000),
        (f64::NAN, 1),
    ] {
        assert_eq!(k_from_ratio(1000, ratio), k, "{ratio}");
    }
    assert_eq!(k_from_ratio(0, 0.5), 1);
}

#[test]
fn clients_and_coordinates_are_permuted_by_different_streams() {
    let order =
        |p: crate::random::Permutation| core::array::from_fn::<_, 64, _>(|i| p.forward(i as u64));
    let key = Key::default();
    let clients = order(draw::clients(key, 64).unwrap());
    let shared = order(draw::coordinates(key, draw::SHARED, 64).unwrap());
    let own = order(draw::coordinates(key, u64::from(key.client), 64).unwrap());
    assert!(clients != shared && clients != own && shared != own);
    assert!(draw::clients(key, 0).is_err());
}
