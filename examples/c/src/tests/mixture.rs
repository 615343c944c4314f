use super::*;
use crate::mixture::component_selection::*;
use crate::mixture::*;
use thalweg::matrix::MatrixRef;
use thalweg::mixture::component_selection::{self, Buffers, Config, Proposal, State, StepSize};
use thalweg::mixture::em;
use thalweg::mixture::gaussian::{Covariance, Mixture};

const SHAPE: MixtureShape = MixtureShape {
    components: 2,
    dim: 2,
    covariance: THALWEG_COVARIANCE_FULL,
};
const ROWS: usize = 6;
const DATA: [f64; 12] = [0.0, 0.5, 1.0, 0.0, 0.5, 1.5, 4.0, 4.5, 5.0, 4.0, 4.5, 5.5];

/// Parameters of two components, set by the functions of the interface.
fn params() -> [f64; 14] {
    let mut params = [9.0; 14];
    let (to, null) = (params.as_mut_ptr(), null_mut());
    let sigma = [2.0, 9.0, 0.5, 1.0];
    let mut room = [0.0; 8];
    // SAFETY: the lengths are those of the shape.
    unsafe {
        assert_eq!(thalweg_mixture_init_f64(&SHAPE, to, null), Status::Ok);
        let weights = [1.0, 3.0];
        let status = thalweg_mixture_set_weights_f64(&SHAPE, to, weights.as_ptr(), null);
        assert_eq!(status, Status::Ok);
        for (j, mean) in [[0.0, 0.0], [3.0, 3.0]].iter().enumerate() {
            let (m, s) = (mean.as_ptr(), sigma.as_ptr());
            let room = room.as_mut_ptr();
            let status = thalweg_mixture_set_component_f64(&SHAPE, to, j, m, s, room, 8, null);
            assert_eq!(status, Status::Ok);
        }
    }
    params
}

fn reference() -> Mixture<[f64; 14]> {
    let mut mixture = Mixture::new(Covariance::Full, 2, 2, [0.0; 14]).unwrap();
    mixture.set_weights(&[1.0, 3.0]).unwrap();
    for (j, mean) in [[0.0, 0.0], [3.0, 3.0]].iter().enumerate() {
        let sigma = [2.0, 9.0, 0.5, 1.0];
        mixture
            .set_component(j, mean, &sigma, &mut [0.0; 8])
            .unwrap();
    }
    mixture
}

fn data() -> MatrixRef<'static, f64> {
    MatrixRef::new(&DATA, ROWS, 2).unwrap()
}

#[test]
fn densities_and_em_have_the_bits_of_the_rust_functions() {
    let mut params = params();
    let mut same = reference();
    assert_eq!(params, *same.params());
    let (mut l, mut r, mut density, mut mean) = ([0.0; 2], [0.0; 2], 0.0, 0.0);
    let mut found = EmOutcome::default();
    let mut lengths = MixtureLengths::default();
    let null = null_mut();
    let x = [1.0, 2.0];
    // SAFETY: the lengths are those that the first call tells.
    unsafe {
        let status = thalweg_mixture_lengths(&SHAPE, ROWS, &mut lengths, null);
        assert_eq!((status, lengths.params), (Status::Ok, 14));
        let (p, at) = (params.as_ptr(), x.as_ptr());
        let status = thalweg_mixture_log_joints_f64(&SHAPE, p, at, l.as_mut_ptr(), null);
        assert_eq!(status, Status::Ok);
        let to = r.as_mut_ptr();
        let status = thalweg_mixture_responsibilities_f64(&SHAPE, p, at, to, &mut density, null);
        assert_eq!(status, Status::Ok);
        let (rows, mut room) = (DATA.as_ptr(), [0.0; 2]);
        let room = room.as_mut_ptr();
        let status =
            thalweg_mixture_mean_log_likelihood_f64(&SHAPE, p, rows, ROWS, room, &mut mean, null);
        assert_eq!(status, Status::Ok);
        let mut scratch = vec![0.0; lengths.em_scratch];
        let status = thalweg_em_step_f64(
            &thalweg_em_config(),
            &SHAPE,
            params.as_mut_ptr(),
            rows,
            ROWS,
            scratch.as_mut_ptr(),
            lengths.em_scratch,
            &mut found,
            null,
        );
        assert_eq!(status, Status::Ok);
    }
    let mut out = [0.0; 2];
    same.view().log_joints_into(&x, &mut out).unwrap();
    assert_eq!(out, l);
    let expected = same.view().responsibilities_into(&x, &mut out).unwrap();
    assert_eq!((out, expected), (r, density));
    let expected = same
        .view()
        .mean_log_likelihood(data(), &mut [0.0; 2])
        .unwrap();
    assert_eq!(expected, mean);
    let mut scratch = vec![0.0; lengths.em_least_scratch];
    let expected = em::step(&em::Config::default(), &mut same, data(), &mut scratch).unwrap();
    assert_eq!(found.mean_log_likelihood, expected.mean_log_likelihood);
    assert_eq!((found.evaluations, found.kept), (12, 0));
    assert_eq!(params, *same.params());
}

/// A config in both languages.
fn configs(proposal: u32) -> (ComponentSelectionConfig, Config) {
    let code = ComponentSelectionConfig {
        batch_size: 4,
        step_size: 0.0,
        reg_covar: 0.25,
        table_rate: 0.25,
        table_floor: 0.5,
        proposal,
        current: THALWEG_CURRENT_CACHED,
        ..thalweg_component_selection_config(7)
    };
    let config = Config {
        batch_size: 4,
        step_size: StepSize::RobbinsMonro {
            offset: 2.0,
            exponent: 0.6,
        },
        reg_covar: 0.25,
        proposal: [
            Proposal::Uniform,
            Proposal::Table {
                rate: 0.25,
                floor: 0.5,
            },
            Proposal::Posterior,
            Proposal::All,
        ][proposal as usize],
        current: component_selection::Current::Cached,
        ..Config::new(7)
    };
    (code, config)
}

#[test]
fn selection_steps_have_the_bits_of_the_rust_function() {
    for proposal in 0..4 {
        let (code, config) = configs(proposal);
        let (mut params, mut same) = (params(), reference());
        let (mut labels, mut statistics) = ([9; ROWS], [9.0; 14]);
        let (mut cache, mut table) = ([9.0; ROWS], [9.0; 2 * ROWS]);
        let mut state = ComponentSelectionState {
            labels: labels.as_mut_ptr(),
            statistics: statistics.as_mut_ptr(),
            cache: cache.as_mut_ptr(),
            table: table.as_mut_ptr(),
            factor: 0.0,
            steps: 9,
            evaluations: 9,
        };
        let mut scratch = [0.0; 12];
        let mut words = [0; 14];
        assert_eq!(thalweg_component_selection_words(4, 2), 14);
        let buffers = Buffers {
            labels: [0; ROWS],
            statistics: [0.0; 14],
            cache: [0.0; ROWS],
            table: [0.0; 2 * ROWS],
        };
        let mut chains = State::new(&same.view(), data(), 7, buffers, &mut scratch).unwrap();
        let mut found = ComponentSelectionOutcome::default();
        // SAFETY: the lengths are those of the shape and the rows.
        unsafe {
            let status = thalweg_component_selection_init_f64(
                7,
                &SHAPE,
                params.as_ptr(),
                &mut state,
                DATA.as_ptr(),
                ROWS,
                scratch.as_mut_ptr(),
                12,
                null_mut(),
            );
            assert_eq!((status, state.factor), (Status::Ok, 1.0));
            for _ in 0..5 {
                let status = thalweg_component_selection_step_f64(
                    &code,
                    &SHAPE,
                    params.as_mut_ptr(),
                    &mut state,
                    DATA.as_ptr(),
                    ROWS,
                    words.as_mut_ptr(),
                    14,
                    scratch.as_mut_ptr(),
                    12,
                    &mut found,
                    null_mut(),
                );
                assert_eq!(status, Status::Ok);
                let same = component_selection::step(
                    &config,
                    &mut same,
                    &mut chains,
                    data(),
                    &mut words,
                    &mut scratch,
                )
                .unwrap();
                assert_eq!(
                    (
                        found.accepted,
                        found.repeated,
                        found.evaluations,
                        found.kept
                    ),
                    (
                        same.accepted,
                        same.repeated,
                        same.evaluations,
                        same.kept as u64
                    )
                );
            }
        }
        assert_eq!(params, *same.params());
        assert_eq!(
            (&labels[..], &statistics[..]),
            (chains.labels(), chains.statistics())
        );
        assert_eq!(
            (state.factor, &table[..]),
            (chains.factor(), chains.table())
        );
        assert_eq!((state.steps, state.evaluations), (5, chains.evaluations()));
        assert!(state.evaluations > 0);
    }
}

/// The refusal of a step, with what it says; the parameters are as before.
fn refuse(
    change: impl FnOnce(&mut ComponentSelectionConfig, &mut MixtureShape, &mut ComponentSelectionState),
    words_len: usize,
) -> (Status, String) {
    let (mut config, _) = configs(THALWEG_PROPOSAL_UNIFORM);
    let (mut params, mut of) = (params(), SHAPE);
    let before = params;
    let (mut labels, mut statistics, mut cache) = ([0; ROWS], [0.5; 14], [0.0; ROWS]);
    let mut state = ComponentSelectionState {
        labels: labels.as_mut_ptr(),
        statistics: statistics.as_mut_ptr(),
        cache: cache.as_mut_ptr(),
        table: null_mut(),
        factor: 1.0,
        steps: 3,
        evaluations: 0,
    };
    change(&mut config, &mut of, &mut state);
    let (mut words, mut scratch) = ([0; 14], [0.0; 12]);
    let mut found = ComponentSelectionOutcome::default();
    let mut error = EMPTY;
    // SAFETY: the lengths are those of the shape and the rows, or are refused.
    let status = unsafe {
        thalweg_component_selection_step_f64(
            &config,
            &of,
            params.as_mut_ptr(),
            &mut state,
            DATA.as_ptr(),
            ROWS,
            words.as_mut_ptr(),
            words_len,
            scratch.as_mut_ptr(),
            12,
            &mut found,
            &mut error,
        )
    };
    assert_eq!((params, state.steps), (before, 3));
    assert_eq!((labels, statistics), ([0; ROWS], [0.5; 14]));
    (status, super::words(&error))
}

#[test]
fn refusals_of_mixtures_have_a_status_and_words() {
    let text = |status, text: &str| (status, text.to_string());
    assert_eq!(
        refuse(|config, _, _| config.batch_size = 7, 14),
        text(
            Status::Parameter,
            "`batch_size` must be at most the number of rows"
        )
    );
    assert_eq!(
        refuse(|config, _, _| config.moves = 0, 14),
        text(Status::Parameter, "`moves` must be positive")
    );
    let listed = "must be one of the values that the header lists";
    assert_eq!(
        refuse(|config, _, _| config.proposal = 4, 14),
        (Status::Parameter, std::format!("`proposal` {listed}"))
    );
    assert_eq!(
        refuse(|config, _, _| config.current = 2, 14),
        (Status::Parameter, std::format!("`current` {listed}"))
    );
    assert_eq!(
        refuse(|_, of, _| of.covariance = 4, 14),
        (Status::Parameter, std::format!("`covariance` {listed}"))
    );
    assert_eq!(
        refuse(|config, _, _| config.proposal = THALWEG_PROPOSAL_TABLE, 14),
        text(Status::Length, "`state.table` has length 0, expected 12")
    );
    assert_eq!(
        refuse(|_, _, state| state.cache = null_mut(), 14),
        text(Status::Length, "`state.cache` has length 0, expected 6")
    );
    assert_eq!(
        refuse(|_, _, state| state.labels = null_mut(), 14),
        text(Status::Null, "`labels` is null")
    );
    assert_eq!(
        refuse(|_, of, _| of.dim = usize::MAX, 14),
        text(Status::Pointer, "`params` is not aligned, or too long")
    );
    assert_eq!(
        refuse(|_, of, _| of.components = 0, 14),
        text(Status::Parameter, "`k` must be positive")
    );
    assert_eq!(
        refuse(|_, _, state| state.factor = 0.0, 14),
        text(
            Status::Parameter,
            "`state.factor` must be finite and positive"
        )
    );
    assert_eq!(
        refuse(|_, _, _| (), 13),
        text(Status::Length, "`words` has length 13, expected 14")
    );
    let (params, mut error, mut out) = (params(), EMPTY, 0.0);
    let (nan, mut l) = ([0.0, f64::NAN], [7.0; 2]);
    let p = params.as_ptr();
    // SAFETY: the lengths are those of the shape; nothing is read through null.
    unsafe {
        let to = l.as_mut_ptr();
        let status = thalweg_mixture_log_joints_f64(&SHAPE, p, nan.as_ptr(), to, &mut error);
        assert_eq!(status, Status::NonFinite);
        let status = thalweg_mixture_log_joints_f64(&SHAPE, p, null(), to, &mut error);
        assert_eq!((status, l), (Status::Null, [7.0; 2]));
        let rows = DATA.as_ptr();
        let status =
            thalweg_mixture_mean_log_likelihood_f64(&SHAPE, p, rows, 0, to, &mut out, &mut error);
        assert_eq!(status, Status::Parameter);
        let (mut other, mut room) = (params, [0.0; 8]);
        let status = thalweg_mixture_set_component_f64(
            &SHAPE,
            other.as_mut_ptr(),
            1,
            nan.as_ptr().cast(),
            [0.0; 4].as_ptr(),
            room.as_mut_ptr(),
            8,
            &mut error,
        );
        assert_eq!((status, other), (Status::NonFinite, params));
        let status = thalweg_mixture_set_component_f64(
            &SHAPE,
            other.as_mut_ptr(),
            1,
            [0.0; 2].as_ptr(),
            [1.0; 4].as_ptr(),
            room.as_mut_ptr(),
            8,
            &mut error,
        );
        assert_eq!((status, other), (Status::Singular, params));
    }
    assert_eq!(
        super::words(&error),
        "`covariance` is singular to working precision at row 1"
    );
}
