//! Lengths that callers ask for: with counts up to the largest they saturate; a sum that overflowed would ask for a short buffer in a release
//! build and end a debug build.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use thalweg::bilevel::{aid, descent, es_jacobian, itd, stoc_bio};
use thalweg::compress::perm_k;
use thalweg::dynamics::{label_noise, limit_flow};
use thalweg::federated::ntk;
use thalweg::kernel::{arc_cosine, evolution, orthant, tangent};
use thalweg::mixture::{component_selection, em, gaussian::Covariance};
use thalweg::model::{autoencoder, mlp, softmax};
use thalweg::optim::{self, Layer, adam, muon, nero};
use thalweg::particle::{bandwidth::Bandwidth, hmc, matrix_svgd, rule::Rule, stein, svgd};
use thalweg::snapshot::{self, Field};
use thalweg::wire::{self, Dtype, Kind};
use thalweg::{federated, matrix, pairs, random, solve};

const COUNTS: [usize; 11] = [
    0,
    1,
    2,
    64,
    65,
    1 << 16,
    u32::MAX as usize,
    usize::MAX / 3,
    usize::MAX / 2 + 1,
    usize::MAX - 1,
    usize::MAX,
];

/// A length as a function of four counts at most, under the name of its file and its own.
type Length = (&'static str, Box<dyn Fn([usize; 4]) -> usize>);

fn length(name: &'static str, f: impl Fn([usize; 4]) -> usize + 'static) -> Length {
    (name, Box::new(f))
}

const MEDIAN: Bandwidth = Bandwidth::Median {
    scale: 1.0,
    floor: 1e-12,
};
const COVARIANCES: [Covariance; 4] = [
    Covariance::Full,
    Covariance::Diagonal,
    Covariance::Spherical,
    Covariance::Tied,
];

/// The largest of one length over several configurations.
fn largest<C: Copy>(of: impl IntoIterator<Item = C>, len: impl Fn(C) -> usize) -> usize {
    of.into_iter().map(len).fold(0, usize::max)
}

fn svgds() -> [svgd::Config; 2] {
    [Bandwidth::Fixed(1.0), MEDIAN].map(|bandwidth| svgd::Config {
        bandwidth,
        ..svgd::Config::new(0.1)
    })
}

fn inner(steps: usize) -> descent::Config {
    descent::Config {
        steps: steps as u64,
        method: descent::Method::Adam(adam::Config::default()),
    }
}

fn optimisers() -> Vec<Length> {
    fn layers(rows: usize, columns: usize) -> [Layer; 2] {
        [Layer::Matrix { rows, columns }, Layer::Vector(columns)]
    }
    vec![
        length("optim/optimiser params_len", |[n, m, ..]| {
            optim::params_len(&layers(n, m))
        }),
        length("optim/optimiser state_len", |[n, ..]| {
            adam::Config::default().state_len(n)
        }),
        length("optim/nero layers_len", |[n, m, ..]| {
            nero::Config::default().layers_len(&layers(n, m))
        }),
        length("optim/muon layers_len", |[n, m, ..]| {
            muon::Config::new(0.1).layers_len(&layers(n, m))
        }),
        length("optim/muon workspace_len", |[n, m, ..]| {
            muon::Config::new(0.1).workspace_len(&layers(n, m))
        }),
        length("model/autoencoder scratch_len", |[n, m, k, _]| {
            autoencoder::Model::<f64>::new(n, m).scratch_len(k)
        }),
        length("model/autoencoder least_scratch_len", |[n, m, k, _]| {
            autoencoder::Model::<f64>::new(n, m).least_scratch_len(k)
        }),
        length("model/softmax scratch_len", |[n, m, k, _]| {
            softmax::Model::<f64>::new(n, m).scratch_len(k)
        }),
        length("model/softmax least_scratch_len", |[n, m, k, _]| {
            softmax::Model::<f64>::new(n, m).least_scratch_len(k)
        }),
        length("model/mlp scratch_len", |[n, m, k, rows]| {
            mlp::Model::<f64>::new(&[n, m, k]).scratch_len(rows)
        }),
        length("model/mlp least_scratch_len", |[n, m, k, rows]| {
            mlp::Model::<f64>::new(&[n, m, k]).least_scratch_len(rows)
        }),
        length("model/mlp jacobian_scratch_len", |[n, m, k, _]| {
            mlp::Model::<f64>::new(&[n, m, k]).jacobian_scratch_len()
        }),
        length("bilevel/descent state_len", |[n, steps, ..]| {
            inner(steps).method.state_len(n)
        }),
        length("bilevel/descent scratch_len", |[n, steps, ..]| {
            descent::scratch_len(&inner(steps), n)
        }),
        length("bilevel/aid scratch_len", |[n, m, k, products]| {
            let config = aid::Config {
                inner: inner(9),
                products,
                solver: aid::Solver::ConjugateGradients,
            };
            aid::scratch_len(&config, n, m, k)
        }),
        length("bilevel/stoc_bio scratch_len", |[n, m, k, products]| {
            let config = stoc_bio::Config {
                inner: inner(9),
                products,
                eta: 0.1,
            };
            stoc_bio::scratch_len(&config, n, m, k)
        }),
        // None where no memory is large enough.
        length("bilevel/itd scratch_len", |[n, m, k, steps]| {
            itd::scratch_len(steps as u64, n, m, k).unwrap_or(usize::MAX)
        }),
        length("bilevel/es_jacobian path_len", |[n, m, k, steps]| {
            es_jacobian::path_len(&es_jacobian::Config::new(inner(steps)), n, m, k)
        }),
        length("bilevel/es_jacobian scratch_len", |[n, m, k, steps]| {
            es_jacobian::scratch_len(&es_jacobian::Config::new(inner(steps)), n, m, k)
        }),
    ]
}

fn particles() -> Vec<Length> {
    fn stein(len: impl Fn(&stein::sghmc::Config) -> usize) -> usize {
        len(&stein::sghmc::Config::new(0.1))
    }
    vec![
        length("pairs field_scratch_len", |[n, m, d, _]| {
            largest([false, true], |w| pairs::field_scratch_len(n, m, d, w))
        }),
        length("pairs least_field_scratch_len", |[n, m, d, _]| {
            largest([false, true], |w| {
                pairs::least_field_scratch_len(n, m, d, w)
            })
        }),
        length("particle/svgd scratch_len", |[n, d, ..]| {
            largest(svgds(), |c| c.scratch_len(n, d))
        }),
        length("particle/svgd least_scratch_len", |[n, d, ..]| {
            largest(svgds(), |c| c.least_scratch_len(n, d))
        }),
        length("particle/bandwidth scratch_len", |[n, d, ..]| {
            MEDIAN.scratch_len(n, d)
        }),
        length("particle/bandwidth least_scratch_len", |[n, d, ..]| {
            MEDIAN.least_scratch_len(n, d)
        }),
        length("particle/rule state_len", |[n, ..]| {
            Rule::Adam {
                beta1: 0.9,
                beta2: 0.999,
                fudge: 1e-8,
            }
            .state_len(n)
        }),
        length("particle/hmc scratch_len", |[d, ..]| hmc::scratch_len(d)),
        length("particle/stein/sgrhmc scratch_len", |[n, d, ..]| {
            stein(|c| stein::sgrhmc::scratch_len(c, n, d))
        }),
        length("particle/stein/sgrhmc least_scratch_len", |[n, d, ..]| {
            stein::sgrhmc::least_scratch_len(n, d)
        }),
        length("particle/stein/sgnht scratch_len", |[n, d, ..]| {
            stein(|c| stein::sgnht::scratch_len(c, n, d))
        }),
        length("particle/stein/sgnht least_scratch_len", |[n, d, ..]| {
            stein::sgnht::least_scratch_len(n, d)
        }),
        length("particle/stein/riemannian scratch_len", |[n, d, ..]| {
            largest(svgds(), |c| stein::riemannian::scratch_len(&c, n, d))
        }),
        length(
            "particle/stein/riemannian least_scratch_len",
            |[n, d, ..]| stein::riemannian::least_scratch_len(n, d),
        ),
        length("particle/stein/sghmc scratch_len", |[n, d, ..]| {
            stein(|c| c.scratch_len(n, d))
        }),
        length("particle/stein/sghmc least_scratch_len", |[n, d, ..]| {
            stein(|c| c.least_scratch_len(n, d))
        }),
        length("particle/stein/general scratch_len", |[n, m, ..]| {
            stein::general::scratch_len(n, m)
        }),
        length("particle/stein/general least_scratch_len", |[n, m, ..]| {
            stein::general::least_scratch_len(n, m)
        }),
        length("particle/matrix_svgd scratch_len", |[n, d, ..]| {
            largest(svgds(), |c| matrix_svgd::scratch_len(&c, n, d))
        }),
        length("particle/matrix_svgd least_scratch_len", |[n, d, ..]| {
            matrix_svgd::least_scratch_len(n, d)
        }),
    ]
}

fn others() -> Vec<Length> {
    vec![
        length("random/integer sample_scratch_len", |[k, ..]| {
            random::sample_scratch_len(k)
        }),
        length("dynamics/label_noise state_len", |[d, ..]| {
            label_noise::state_len(d)
        }),
        length(
            "dynamics/label_noise/sparse check_interpolates_scratch_len",
            |[n, ..]| label_noise::check_interpolates_scratch_len(n),
        ),
        length("dynamics/limit_flow/drift drift_scratch_len", |[d, ..]| {
            limit_flow::drift_scratch_len(d)
        }),
        length("dynamics/limit_flow/drift step_scratch_len", |[d, ..]| {
            limit_flow::step_scratch_len(d)
        }),
        length("dynamics/limit_flow/manifold basis_len", |[d, ..]| {
            limit_flow::basis_len(d)
        }),
        length(
            "dynamics/limit_flow/manifold gradient_flow_scratch_len",
            |[d, ..]| limit_flow::gradient_flow_scratch_len(d),
        ),
        length(
            "dynamics/limit_flow/manifold retract_scratch_len",
            |[d, ..]| limit_flow::retract_scratch_len(d),
        ),
        length("dynamics/limit_flow/exact exact_len", |[n, d, ..]| {
            limit_flow::exact_len(n, d)
        }),
        length(
            "dynamics/limit_flow/exact exact_scratch_len",
            |[n, d, ..]| limit_flow::exact_scratch_len(n, d),
        ),
        length(
            "kernel/tangent/structured kernel_scratch_len",
            |[n, m, k, rows]| {
                tangent::kernel_scratch_len(&mlp::Model::<f64>::new(&[n, m, k]), rows)
            },
        ),
        length(
            "kernel/tangent/structured full_kernel_scratch_len",
            |[n, m, k, rows]| {
                tangent::full_kernel_scratch_len(&mlp::Model::<f64>::new(&[n, m, k]), rows)
            },
        ),
        length(
            "kernel/tangent/explicit jacobian_kernel_scratch_len",
            |[n, m, ..]| tangent::jacobian_kernel_scratch_len(n, m),
        ),
        length("federated/ntk/server server_len", |[p, c, times, n]| {
            ntk::server::server_len(p, c, times, n)
        }),
        length("federated/ntk/server scratch_len", |[p, c, n, _]| {
            ntk::server::scratch_len(p, c, n)
        }),
        length("kernel/evolution follow_scratch_len", |[n, c, ..]| {
            evolution::follow_scratch_len(n, c)
        }),
        length("kernel/evolution least_follow_scratch_len", |[n, c, ..]| {
            evolution::least_follow_scratch_len(n, c)
        }),
        length("kernel/evolution spectrum_len", |[n, ..]| {
            evolution::spectrum_len(n)
        }),
        length("kernel/evolution spectrum_scratch_len", |[n, c, ..]| {
            evolution::spectrum_scratch_len(n, c)
        }),
        length("kernel/orthant scratch_len", |[n, ..]| {
            orthant::scratch_len(n)
        }),
        length("kernel/arc_cosine scratch_len", |[n, m, d, _]| {
            arc_cosine::scratch_len(n, m, d)
        }),
        length("mixture/em/start start_scratch_len", |[n, k, d, _]| {
            largest(COVARIANCES, |c| em::start_scratch_len(c, n, k, d))
        }),
        length("mixture/gaussian factors_len", |[k, d, ..]| {
            largest(COVARIANCES, |c| c.factors_len(k, d))
        }),
        length("mixture/em scratch_len", |[n, k, d, _]| {
            largest(COVARIANCES, |c| em::scratch_len(c, n, k, d))
        }),
        length("mixture/em least_scratch_len", |[k, d, ..]| {
            largest(COVARIANCES, |c| em::least_scratch_len(c, k, d))
        }),
        length(
            "mixture/component_selection/state statistics_len",
            |[k, d, ..]| {
                largest(COVARIANCES, |c| {
                    component_selection::statistics_len(c, k, d)
                })
            },
        ),
        length("mixture/gaussian factor_len", |[d, ..]| {
            largest(COVARIANCES, |c| c.factor_len(d))
        }),
        length("mixture/gaussian covariance_len", |[d, ..]| {
            largest(COVARIANCES, |c| c.covariance_len(d))
        }),
        length("mixture/gaussian scratch_len", |[d, ..]| {
            largest(COVARIANCES, |c| c.scratch_len(d))
        }),
        length("mixture/gaussian params_len", |[k, d, ..]| {
            largest(COVARIANCES, |c| {
                thalweg::mixture::gaussian::params_len(c, k, d)
            })
        }),
        length(
            "mixture/component_selection words_len",
            |[k, batch_size, ..]| {
                component_selection::Config {
                    batch_size,
                    ..component_selection::Config::new(7)
                }
                .words_len(k)
            },
        ),
        length("mixture/component_selection scratch_len", |[k, d, ..]| {
            largest(COVARIANCES, |c| component_selection::scratch_len(c, k, d))
        }),
        length("matrix/gemm gemm_scratch", |[n, m, k, _]| {
            matrix::gemm_scratch(n, m, k)
        }),
        length("matrix/distance gram_distances_scratch", |[n, m, d, _]| {
            matrix::gram_distances_scratch(n, m, d)
        }),
        length("matrix/eigen symmetric_eigen_scratch", |[n, ..]| {
            matrix::symmetric_eigen_scratch(n)
        }),
        length(
            "solve/dormand_prince dormand_prince_scratch_len",
            |[d, ..]| solve::dormand_prince_scratch_len(d),
        ),
        length("solve/power power_scratch_len", |[d, ..]| {
            solve::power_scratch_len(d)
        }),
        length("solve/lanczos lanczos_scratch_len", |[d, steps, ..]| {
            solve::lanczos_scratch_len(d, steps)
        }),
        length("compress/perm_k message_len", |[d, clients, ..]| {
            perm_k::message_len(d, clients)
        }),
        length("snapshot/field saved_len", |[n, m, ..]| {
            snapshot::saved_len(&[Field::words::<u64>(n), Field::words::<u8>(m)])
        }),
        // Counts of a frame are below 2^32 by their type.
        length("wire payload_len", |[d, k, ..]| {
            largest(Kind::ALL, |kind| {
                wire::payload_len(kind, Dtype::F64, word(d), word(k)) as usize
            })
        }),
        length("wire encoded_len", |[d, k, ..]| {
            largest(Kind::ALL, |kind| {
                wire::encoded_len(kind, Dtype::F64, word(d), word(k))
            })
        }),
        length("federated/message frame_len", |[d, ..]| {
            federated::frame_len::<f64>(word(d))
        }),
    ]
}

fn word(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn lengths() -> Vec<Length> {
    let mut all = optimisers();
    all.extend(particles());
    all.extend(others());
    all
}

#[test]
fn no_counts_overflow_a_length_and_the_largest_ask_for_the_most() {
    for (name, len) in lengths() {
        for a in COUNTS {
            for b in COUNTS {
                for c in COUNTS {
                    for d in COUNTS {
                        let counts = [a, b, c, d];
                        let found =
                            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| len(counts)));
                        assert!(found.is_ok(), "{name}{counts:?}");
                    }
                }
            }
        }
        let equal = COUNTS.map(|count| len([count; 4]));
        // Sizes of blocks may change in between.
        assert_eq!(equal.iter().max(), equal.last(), "{name}: {equal:?}");
    }
}

/// Functions of the sources that are not lengths of the caller's memory by counts.
const NOT_BY_COUNTS: [&str; 5] = [
    // Samples of a state that exists.
    "dynamics/invariant_measure/batch_means slot_len",
    // Of a sum over particles that exist.
    "pairs scratch_len",
    // Of a frame or a message in memory.
    "wire frame_len",
    "wire/message frame_len",
    // Bytes of a snapshot, with the erase size of a chip.
    "snapshot/slots buffer_len",
];

#[test]
fn every_length_of_the_sources_is_tested_here() {
    fn find(folder: &Path, root: &Path, names: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                find(&path, root, names);
                continue;
            }
            let file = path.strip_prefix(root).unwrap().with_extension("");
            let text = fs::read_to_string(&path).unwrap();
            for line in text.lines() {
                let Some(rest) = line.trim_start().strip_prefix("pub const fn ") else {
                    continue;
                };
                let name: String = rest
                    .chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect();
                if name != "check_scratch"
                    && ["_len", "_scratch"].iter().any(|end| name.ends_with(end))
                {
                    names.insert(format!("{} {name}", file.display()));
                }
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = BTreeSet::new();
    find(&root, &root, &mut found);
    let tested = lengths().into_iter().map(|(name, _)| name.to_string());
    let tested: BTreeSet<_> = tested.chain(NOT_BY_COUNTS.map(String::from)).collect();
    assert_eq!(found, tested);
}
