//! Steps against the core's, resumed runs against whole ones.

mod files;

use super::*;

use thalweg::optim::schedule::{CosineDecay, ReduceOnPlateau};
use thalweg::optim::{Layer, Optimiser as _, State, adagrad, clip, rmsprop, sgd};
use thalweg::{Error, Real};

/// Shapes that lie across blocks, of one element, and empty.
const SHAPES: [(&str, &[usize], &str); 5] = [
    ("0.weight", &[170, 61], "weights"),
    ("0.bias", &[50], "biases"),
    ("none", &[0, 7], "biases"),
    ("2.weight", &[3, 50], "weights"),
    ("2.bias", &[], "biases"),
];
const D: usize = FIRST + 50 + 150 + 1;
/// Elements of the first tensor: more than a block.
const FIRST: usize = 170 * 61;
const _: () = assert!(FIRST > trainer::BLOCK);

fn tensors() -> Vec<Tensor> {
    let tensor = |(name, shape, group): (&str, &[usize], &str)| Tensor::new(name, shape, group);
    SHAPES.map(tensor).to_vec()
}

/// Every optimiser, with and without each of its buffers.
fn optimisers() -> Vec<Optimiser> {
    let heavy = sgd::Config {
        momentum: 0.9,
        dampening: 0.5,
        ..sgd::Config::new(0.1)
    };
    let centered = rmsprop::Config {
        centered: true,
        ..Default::default()
    };
    let mut all: Vec<Optimiser> = [
        "sgd", "adam", "adamw", "amsgrad", "rmsprop", "adagrad", "lion", "lamb", "muon", "nero",
    ]
    .map(|name| name.parse().unwrap())
    .to_vec();
    all.extend([
        Optimiser::Sgd(heavy),
        Optimiser::RmsProp(centered),
        Optimiser::RmsProp(rmsprop::Config {
            momentum: 0.9,
            ..Default::default()
        }),
        Optimiser::RmsProp(rmsprop::Config {
            momentum: 0.9,
            ..centered
        }),
        Optimiser::Adagrad(adagrad::Config {
            initial_accumulator: 0.5,
            lr_decay: 0.1,
            ..Default::default()
        }),
    ]);
    all
}

/// Muon leaves biases to AdamW.
fn groups(optimiser: Optimiser) -> [Group; 2] {
    let of_biases = match optimiser {
        Optimiser::Muon(_) => Optimiser::adamw(),
        other => other,
    };
    [
        Group::new("weights", optimiser.with_weight_decay(0.1)),
        Group::new("biases", of_biases.with_weight_decay(0.0)),
    ]
}

fn trainer<T: Real>(optimiser: Optimiser) -> Trainer<T> {
    Trainer::new(&groups(optimiser), &tensors()).unwrap()
}

fn painted<T: Real>(n: usize, phase: usize) -> Vec<T> {
    let value = |i| T::from_f64(((i * 37 + phase * 53) % 251) as f64 / 64.0 - 1.95);
    (0..n).map(value).collect()
}

fn bits<T: Real>(x: &[T]) -> Vec<u64> {
    x.iter().map(|x| x.to_bits_u64()).collect()
}

/// The core's step on one tensor with a separate state, at a learning rate.
type Plain = Box<dyn FnMut(f64, &mut [f32], &[f32]) -> Result<(), Error>>;

fn plain(optimiser: Optimiser, shape: &[usize]) -> Plain {
    let layer = match *shape {
        [rows, columns] => Layer::Matrix { rows, columns },
        _ => Layer::Vector(shape.iter().product()),
    };
    macro_rules! stepped {
        ($config:ident) => {{
            let workspace = vec![0.0; $config.workspace_len(&[layer])];
            let memory = vec![0.0; $config.layers_memory_len(&[layer])];
            let mut state = State::new(memory).with_workspace(workspace);
            Box::new(move |rate, x, g| {
                $config.learning_rate = rate;
                $config.step_layers(&[layer], &mut state, x, g)
            })
        }};
    }
    match optimiser {
        Optimiser::Sgd(mut c) => stepped!(c),
        Optimiser::Adam(mut c) => stepped!(c),
        Optimiser::RmsProp(mut c) => stepped!(c),
        Optimiser::Adagrad(mut c) => stepped!(c),
        Optimiser::Lion(mut c) => stepped!(c),
        Optimiser::Lamb(mut c) => stepped!(c),
        Optimiser::Muon(mut c) => stepped!(c),
        Optimiser::Nero(mut c) => stepped!(c),
    }
}

/// Clips, then steps each tensor by itself, 20 times: past the sixteenth, where Adam flushes.
fn by_hand(optimiser: Optimiser, max_norm: Option<f32>, rates: &[f64]) -> Vec<f32> {
    let mut plain: Vec<(Plain, usize)> = tensors()
        .iter()
        .map(|tensor| {
            let n = tensor.shape.iter().product();
            let group = groups(optimiser)
                .into_iter()
                .find(|group| group.name == tensor.group);
            (plain(group.unwrap().optimiser, &tensor.shape), n)
        })
        .collect();
    let mut x = painted(D, 0);
    for (t, rate) in rates.iter().enumerate() {
        let mut grad = painted::<f32>(D, t + 1);
        let mut rest = &mut grad[..];
        let mut parts = Vec::new();
        for (_, n) in &plain {
            let (part, after) = rest.split_at_mut(*n);
            parts.push(part);
            rest = after;
        }
        if let Some(max_norm) = max_norm {
            clip::by_global_norm(max_norm, &mut parts).unwrap();
        }
        let mut x = &mut x[..];
        for ((plain, n), grad) in plain.iter_mut().zip(parts) {
            let (part, after) = std::mem::take(&mut x).split_at_mut(*n);
            plain(*rate, part, grad).unwrap();
            x = after;
        }
    }
    x
}

#[test]
fn a_step_has_the_bits_of_clip_then_step_on_each_tensor() {
    for optimiser in optimisers() {
        let rates = [optimiser.learning_rate(); 20];
        // The norm of the gradient is about 116.
        for max_norm in [None, Some(1.5), Some(1e9)] {
            let expected = by_hand(optimiser, max_norm, &rates);
            assert_ne!(bits(&expected), bits(&painted::<f32>(D, 0)));
            let new = || match max_norm {
                Some(max_norm) => trainer(optimiser).with_clip(f64::from(max_norm)).unwrap(),
                None => trainer::<f32>(optimiser),
            };
            let (mut flat, mut sliced) = (new(), new());
            let (mut x, mut y) = (painted::<f32>(D, 0), painted::<f32>(D, 0));
            for t in 0..rates.len() {
                let g = painted::<f32>(D, t + 1);
                let before = g.clone();
                let taken = flat.step(&mut x, &g).unwrap();
                assert_eq!(taken.is_clipped(), max_norm == Some(1.5));
                assert_eq!((taken.step, &g), (t as u64, &before));
                let (mut params, mut grads) = (Vec::new(), Vec::new());
                let (mut rest, mut g) = (&mut y[..], &g[..]);
                for tensor in tensors() {
                    let n = tensor.shape.iter().product();
                    let (part, after) = rest.split_at_mut(n);
                    params.push(part);
                    rest = after;
                    grads.push(&g[..n]);
                    g = &g[n..];
                }
                assert_eq!(sliced.step_slices(&mut params, &grads).unwrap(), taken);
            }
            assert_eq!(bits(&x), bits(&expected), "{optimiser} {max_norm:?}");
            assert_eq!(bits(&y), bits(&expected), "{optimiser} {max_norm:?}");
        }
    }
}

#[test]
fn schedules_multiply_the_rate_of_every_group() {
    let schedule = CosineDecay {
        init: 1.0,
        steps: 10,
        alpha: 0.0,
        exponent: 1.0,
    };
    let optimiser = Optimiser::adamw().with_learning_rate(0.5);
    // (1 + cos(pi t / 10)) / 2, by Python's math.cos.
    let factors = [
        1.0,
        0.975_528_258_147_576_8,
        0.904_508_497_187_473_7,
        0.793_892_626_146_236_6,
    ];
    let rates = factors.map(|factor| 0.5 * factor);
    let expected = by_hand(optimiser, None, &rates);
    let mut trainer = trainer(optimiser).with_schedule(schedule).unwrap();
    let mut x = painted::<f32>(D, 0);
    for (t, factor) in factors.into_iter().enumerate() {
        assert!((trainer.rate_factor() - factor).abs() < 1e-15);
        trainer.step(&mut x, &painted(D, t + 1)).unwrap();
    }
    // The last bits of a cosine may differ.
    for (found, expected) in x.iter().zip(&expected) {
        assert!((found - expected).abs() < 1e-5);
    }
    let config = ReduceOnPlateau {
        patience: 0,
        factor: 0.25,
        ..Default::default()
    };
    let mut trainer = trainer.with_plateau(config).unwrap();
    let before = trainer.rate_factor();
    trainer.observe(1.0).unwrap();
    trainer.observe(2.0).unwrap();
    assert_eq!(trainer.rate_factor(), 0.25 * before);
}

/// What a run on a file, resumed in the middle, ends with, and what one without a break does.
fn resumed<T: Real>(optimiser: Optimiser) {
    let config = ReduceOnPlateau {
        patience: 1,
        ..Default::default()
    };
    let schedule = CosineDecay {
        init: 1.0,
        steps: 40,
        alpha: 0.0,
        exponent: 1.0,
    };
    let new = || {
        let trainer = trainer::<T>(optimiser).with_clip(20.0).unwrap();
        let trainer = trainer.with_schedule(schedule).unwrap();
        trainer.with_plateau(config).unwrap()
    };
    let advance = |trainer: &mut Trainer<T>, x: &mut [T], from: usize| {
        for t in from..from + 9 {
            trainer.step(x, &painted(D, t)).unwrap();
            trainer.observe((t % 3) as f64).unwrap();
        }
    };
    let (mut whole, mut x) = (new(), painted::<T>(D, 99));
    advance(&mut whole, &mut x, 0);
    let numbers = [("seed", u64::MAX), ("batch \"1\"", 9)];
    let bytes = whole.checkpoint(&x, &numbers).unwrap().to_bytes();
    advance(&mut whole, &mut x, 9);

    let (mut trainer, mut y) = (new(), vec![T::NAN; D]);
    let file = TensorFile::from_bytes(&bytes, "file").unwrap();
    let found = trainer.restore(&file, &mut y).unwrap();
    assert_eq!(found["seed"], u64::MAX);
    assert_eq!(found["batch \"1\""], 9);
    assert_eq!(trainer.steps(), 9);
    advance(&mut trainer, &mut y, 9);
    assert_eq!(bits(&x), bits(&y), "{optimiser}");
    let ends = [(&whole, &x), (&trainer, &y)].map(|(trainer, x)| {
        let file = trainer.checkpoint(x, &[]).unwrap();
        file.to_bytes()
    });
    assert!(ends[0] == ends[1], "{optimiser}");
    // A state that was not restored ends elsewhere; plain descent has none.
    if !optimiser.buffers().is_empty() {
        let (mut fresh, mut z) = (new(), vec![T::ZERO; D]);
        file.copy_into("0.weight", &mut z[..FIRST]).unwrap();
        advance(&mut fresh, &mut z, 9);
        assert_ne!(bits(&z[..FIRST]), bits(&x[..FIRST]), "{optimiser}");
    }
}

#[test]
fn a_resumed_run_has_the_bits_of_the_whole_one_for_every_optimiser() {
    for optimiser in optimisers() {
        resumed::<f32>(optimiser);
        resumed::<f64>(optimiser);
    }
}

#[test]
fn buffers_of_a_layer_have_their_shapes_and_muon_refuses_vectors() {
    let groups = [Group::new("all", "nero".parse::<Optimiser>().unwrap())];
    let tensors = [("w", &[3, 2, 2][..]), ("b", &[5])];
    let tensors = tensors.map(|(name, shape)| Tensor::new(name, shape, "all"));
    let trainer = Trainer::<f32>::new(&groups, &tensors).unwrap();
    let file = trainer.checkpoint(&painted(17, 1), &[]).unwrap();
    let shape = |name| file.shape(name).unwrap().to_vec();
    assert_eq!(shape("optimizer.w.exp_avg_sq"), [3]); // a row is 4 weights
    assert_eq!(shape("optimizer.w.scale"), [0]);
    assert_eq!(shape("optimizer.b.exp_avg_sq"), [5]);
    assert_eq!(shape("optimizer.b.scale"), [1]);
    let groups = [Group::new("all", "muon".parse::<Optimiser>().unwrap())];
    let error = Trainer::<f32>::new(&groups, &tensors).unwrap_err();
    assert!(
        error.to_string().contains("`layers` must be matrices"),
        "{error}"
    );
}

#[test]
fn a_bad_step_is_named_and_changes_nothing() {
    let mut trainer = trainer::<f32>(Optimiser::adamw()).with_clip(1.0).unwrap();
    let (mut x, good) = (painted::<f32>(D, 0), painted::<f32>(D, 1));
    trainer.step(&mut x, &good).unwrap();
    let before = trainer.checkpoint(&x, &[]).unwrap();
    let mut says = |trainer: &mut Trainer<f32>, grad: &[f32]| {
        let error = trainer.step(&mut x, grad).unwrap_err();
        assert!(trainer.checkpoint(&x, &[]).unwrap() == before);
        error.to_string()
    };
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut grad = good.clone();
        grad[FIRST + 50 + 7] = bad;
        let text = "the gradient of tensor `2.weight` is not finite at element 7";
        assert_eq!(says(&mut trainer, &grad), text);
    }
    let huge = vec![f32::MAX; D];
    assert_eq!(
        says(&mut trainer, &huge),
        "the norm of the gradient is not finite"
    );
    assert_eq!(
        says(&mut trainer, &good[1..]),
        format!("`grad` has length {}, expected {D}", D - 1)
    );
    // The second group's rate cannot be told in `f32`: the first one must not have moved.
    let [weights, mut biases] = groups(Optimiser::adamw());
    biases.optimiser = biases.optimiser.with_learning_rate(1e-60);
    let error = Trainer::<f32>::new(&[weights.clone(), biases.clone()], &tensors()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "group `biases`: `learning_rate` must not round to 0 in the scalar type"
    );
    biases.optimiser = biases.optimiser.with_learning_rate(1e-30);
    let fading = CosineDecay {
        init: 1e-30,
        steps: 10,
        alpha: 0.0,
        exponent: 1.0,
    };
    let faint = Trainer::<f32>::new(&[weights, biases], &tensors()).unwrap();
    let mut faint = faint.with_schedule(fading).unwrap();
    let mut y = painted::<f32>(D, 0);
    let error = faint.step(&mut y, &good).unwrap_err();
    assert!(error.to_string().starts_with("group `biases`"), "{error}");
    assert_eq!((y, faint.steps()), (painted(D, 0), 0));
}

#[test]
fn models_that_contradict_themselves_are_refused() {
    let all = [Group::new("all", Optimiser::adamw())];
    let refused = |groups: &[Group], tensors: &[Tensor]| {
        let error = Trainer::<f64>::new(groups, tensors).unwrap_err();
        error.to_string()
    };
    let named = |name| Tensor::new(name, &[1], "all");
    let taken = "the name `w` is taken";
    assert_eq!(refused(&all, &[named("w"), named("w")]), taken);
    let twice = [all[0].clone(), all[0].clone()];
    assert_eq!(refused(&twice, &[]), "the name `all` is taken");
    for name in ["optimizer.w.exp_avg", "__metadata__"] {
        let expected = format!("the name `{name}` is taken");
        assert_eq!(refused(&all, &[named(name)]), expected);
    }
    for shape in [&[usize::MAX, 2][..], &[1 << 59]] {
        let large = Tensor::new("w", shape, "all");
        assert_eq!(
            refused(&all, &[large]),
            "tensor `w` makes the model too large"
        );
    }
    for max_norm in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-60] {
        let trainer = trainer::<f32>(Optimiser::adamw());
        assert!(trainer.with_clip(max_norm).is_err(), "{max_norm}");
    }
}

#[test]
fn checkpoints_of_other_models_are_refused_by_name() {
    let model = |name: &str, shape: &[usize], optimiser: Optimiser| {
        let groups = [Group::new("all", optimiser)];
        let tensors = [Tensor::new(name, shape, "all")];
        Trainer::<f32>::new(&groups, &tensors).unwrap()
    };
    let adamw = Optimiser::adamw();
    let file = model("w", &[2, 3], adamw).checkpoint(&[1.0; 6], &[]);
    let file = file.unwrap();
    let says = |mut trainer: Trainer<f32>, file: &TensorFile| {
        let mut params = [7.0; 6];
        let error = trainer.restore(file, &mut params).unwrap_err();
        assert_eq!((params, trainer.steps()), ([7.0; 6], 0));
        error.to_string()
    };
    let prefix = "new tensor file: ";
    for (trainer, text) in [
        (
            model("w", &[3, 2], adamw),
            "tensor `w`: found F32 [2, 3], expected F32 [3, 2]",
        ),
        (
            model("v", &[2, 3], adamw),
            "optimiser of tensor `v`: found nothing, expected adamw",
        ),
        (
            model("w", &[2, 3], "adam".parse().unwrap()),
            "optimiser of tensor `w`: found adamw, expected adam",
        ),
        (
            model("w", &[2, 3], adamw)
                .with_plateau(Default::default())
                .unwrap(),
            "tensor `optimizer.plateau`: found nothing, expected U8",
        ),
    ] {
        assert_eq!(says(trainer, &file), format!("{prefix}{text}"));
    }
    // One more tensor than the model has, another container, a step that is no number.
    let mut more = file.clone();
    more.push("x", &[1], &[1.0_f32]).unwrap();
    let text = says(model("w", &[2, 3], adamw), &more);
    assert_eq!(
        text,
        format!("{prefix}number of tensors: found 4, expected 3")
    );
    for (key, value) in [("thalweg.train", "2"), ("thalweg.step", "-1")] {
        let mut other = file.clone();
        other.set(key, value);
        let text = says(model("w", &[2, 3], adamw), &other);
        assert!(text.contains(value), "{text}");
    }
    // Momentum is a buffer more, and the name is the same.
    let plain = model("w", &[6], "sgd".parse().unwrap());
    let file = plain.checkpoint(&[1.0; 6], &[]).unwrap();
    let heavy = sgd::Config {
        momentum: 0.9,
        ..sgd::Config::new(0.1)
    };
    assert_eq!(
        says(model("w", &[6], Optimiser::Sgd(heavy)), &file),
        format!("{prefix}tensor `optimizer.w.momentum_buffer`: found nothing, expected F32 [6]")
    );
    // Another scalar type.
    let groups = [Group::new("all", adamw)];
    let wide = Trainer::<f64>::new(&groups, &[Tensor::new("w", &[6], "all")]).unwrap();
    let file = wide.checkpoint(&[1.0; 6], &[]).unwrap();
    assert_eq!(
        says(model("w", &[6], adamw), &file),
        format!("{prefix}tensor `w`: found F64 [6], expected F32 [6]")
    );
}
