//! Values that are not finite, and saved states that no run has written.

use super::*;

/// The saved state with eight bytes of field `index` (of fields of one `u64` or `f64` each before it) replaced, and its check made good.
fn tampered(state: &impl Snapshot, index: usize, word: u64) -> Vec<u8> {
    tampered_behind(state, 0, index, word)
}

/// The same where a field before it holds `more` further bytes.
fn tampered_behind(state: &impl Snapshot, more: usize, index: usize, word: u64) -> Vec<u8> {
    let mut bytes = vec![0; state.snapshot_len()];
    state.save(&mut bytes).unwrap();
    let field = crate::snapshot::FIELD_HEADER + 8;
    let at = crate::snapshot::HEADER + field * index + crate::snapshot::FIELD_HEADER + more;
    bytes[at..at + 8].copy_from_slice(&word.to_le_bytes());
    let end = bytes.len() - 4;
    let check = crate::wire::crc32c(&bytes[..end]);
    bytes[end..].copy_from_slice(&check.to_le_bytes());
    bytes
}

#[test]
fn a_monitor_refuses_step_sizes_that_equal_none_and_stays_as_it_was() {
    let mut monitor = Monitor::new(32).unwrap();
    monitor.observe(0.1, 1.0, &[1.0], &[0.5]).unwrap();
    let before = monitor;
    for rate in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.1] {
        for error in [
            monitor.observe(rate, 1.0, &[1.0], &[0.5]).unwrap_err(),
            monitor
                .observe_after(rate, 1.0, &[1.0], &[0.5])
                .unwrap_err(),
        ] {
            let expected = Error::Parameter {
                name: "learning_rate",
                rule: "must be finite and at least 0",
            };
            assert_eq!(error, expected);
        }
        assert_eq!(monitor, before);
    }
    for (loss, x, g, name) in [
        (f64::NAN, 1.0, 1.0, "loss"),
        (1.0, f64::INFINITY, 0.0, "params"),
        (1.0, 1e200, 0.0, "params"),
        (1.0, 1.0, f64::NAN, "grad"),
    ] {
        let error = monitor.observe(0.1, loss, &[x], &[g]).unwrap_err();
        assert_eq!(
            error,
            Error::NonFinite {
                name,
                at: crate::At::Step(1)
            }
        );
        assert_eq!(monitor, before);
    }
    assert_eq!((monitor.samples(), monitor.resets()), (1, 0));
    // A schedule may end at zero.
    monitor.observe(0.0, 1.0, &[1.0], &[0.5]).unwrap();
    assert_eq!((monitor.samples(), monitor.resets()), (1, 1));
    assert_eq!(monitor.norm_ratio(), None);
}

#[test]
fn gradients_that_are_not_finite_are_refused_by_the_noise() {
    let mut noise = Noise::<[f64; 2]>::new();
    noise.push(&[3.0_f64, 4.0]).unwrap();
    let before = noise;
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let error = noise.push(&[0.0, bad]).unwrap_err();
        let name = "grad";
        assert_eq!(
            error,
            Error::NonFinite {
                name,
                at: crate::At::Element(1)
            }
        );
        assert_eq!(noise, before);
    }
    noise.push(&[0.0_f64, 0.0]).unwrap();
    assert_eq!(noise.estimate().unwrap().biased, 6.25);
}

#[test]
fn windows_with_values_that_are_not_finite_are_never_stationary() {
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        for place in [0, 40, 63] {
            let mut x = ar1(0.0, 64, 5);
            x[place] = bad;
            let report = compare(&window(&x), &window(&ar1(0.0, 64, 6)), 1).unwrap();
            assert_eq!(report.verdict, Verdict::Inconclusive, "{bad} at {place}");
            assert!(!report.rejects_mean());
        }
    }
}

/// Restores states whose counts no state writes: an error by name, and the state as before.
#[track_caller]
fn refused<S: Snapshot + Copy + PartialEq + core::fmt::Debug>(
    state: S,
    index: usize,
    words: &[u64],
    name: &str,
) {
    for &word in words {
        let mut other = state;
        let error = other.restore(&tampered(&state, index, word)).unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with(&std::format!("`{name}`")),
            "{word}: {text}"
        );
        assert_eq!(other, state);
    }
}

#[test]
fn saved_counts_that_no_state_has_are_refused() {
    let mut means = BatchMeans::new();
    (0..77).for_each(|i| means.push(f64::from(i)));
    // Slots of 4: 19 and one sample.
    assert_eq!((means.slot_len(), means.slots().len()), (4, 19));
    let far = [1 << 53, 1 << 63, u64::MAX];
    refused(means, 0, &[0, 3, 5, 6, 1000], "len");
    refused(means, 0, &far, "len");
    refused(means, 1, &[32, 33, u64::MAX], "fill");
    refused(means, 2, &[4, 5, u64::MAX], "count");

    let mut window = Window::new();
    (0..77).for_each(|i| window.push(f64::from(i)));
    refused(window, 0, &[0, 1, 76], "samples");
    // Fields 2 to 4, behind a pair: length, slots and open samples of the first moments, smaller than those of the second.
    for (index, word) in [(2, 2), (3, 18), (4, 0)] {
        let mut other = window;
        let bytes = tampered_behind(&window, 8, index, word);
        let error = other.restore(&bytes).unwrap_err();
        assert!(error.to_string().starts_with("`samples`"), "{error}");
        assert_eq!(other, window);
    }

    let mut monitor = Monitor::new(32).unwrap();
    (0..40).for_each(|_| monitor.observe(0.1, 1.0, &[1.0], &[1.0]).unwrap());
    let rates = [f64::NAN, f64::INFINITY, -1.0].map(f64::to_bits);
    refused(monitor, 4, &rates, "learning_rate");
    let mut noise = Noise::<[f64; 1]>::new();
    noise.push(&[1.0_f64]).unwrap();
    refused(noise, 1, &[f64::NAN, -1.0].map(f64::to_bits), "squares");
}

/// Counts at the end of `u64` stay there.
#[test]
fn counts_near_the_end_do_not_overflow() {
    let mut window = Window::new();
    (0..40).for_each(|i| window.push(f64::from(i)));
    window.restore(&tampered(&window, 0, u64::MAX)).unwrap();
    (0..40).for_each(|i| window.push(f64::from(i)));
    assert_eq!(window.samples(), u64::MAX);
    let copy = window;
    window.merge(&copy);
    assert_eq!(window.samples(), u64::MAX);

    let mut means = BatchMeans::new();
    (0..20).for_each(|i| means.push(f64::from(i)));
    means.restore(&tampered(&means, 0, 1 << 52)).unwrap();
    means.restore(&tampered(&means, 2, (1 << 52) - 1)).unwrap();
    let mut other = means;
    for _ in 0..20 {
        other.merge(&means);
        means.push(1.0);
    }
    assert_eq!(means.slots().len(), 21);

    let mut monitor = Monitor::new(32).unwrap();
    monitor.observe(0.1, 1.0, &[1.0], &[1.0]).unwrap();
    for index in [1, 2, 3] {
        monitor
            .restore(&tampered(&monitor, index, u64::MAX))
            .unwrap();
    }
    monitor.observe(0.1, 1.0, &[1.0], &[1.0]).unwrap();
    assert_eq!((monitor.samples(), monitor.resets()), (u64::MAX, u64::MAX));
    monitor.observe(0.2, 1.0, &[1.0], &[1.0]).unwrap();
    assert_eq!((monitor.samples(), monitor.resets()), (1, u64::MAX));

    let mut noise = Noise::<[f64; 1]>::new();
    noise.restore(&tampered(&noise, 0, u64::MAX)).unwrap();
    noise.push(&[1.0_f64]).unwrap();
    assert!(noise.estimate().is_some());
}
