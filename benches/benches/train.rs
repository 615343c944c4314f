//! A step of `thalweg_std::train` on many tensors compared with the core's step on one slice, with and without clipping.
//!
//! `core` steps one flat slice and checks nothing. `trainer` steps the same elements as tensors of one group, `groups` as tensors that
//! change their group from one to the next, `slices` as tensors that each have a slice: they refuse a gradient that is not finite, which is a reading
//! pass more. Clipped by a norm that is exceeded, `core` takes norm, scaled gradient and step as three passes.

#![allow(clippy::unwrap_used, reason = "a bench stops at the first surprise")]

use std::hint::black_box;

use thalweg::optim::clip::{self, GlobalNorm};
use thalweg::optim::{Optimiser as _, State, adam};
use thalweg_benches::race::{Buffer, Contender, race};
use thalweg_std::train::{Group, Optimiser, Tensor, Trainer};

/// Parameters and gradient that all contenders share.
struct Shared {
    x: Buffer<f32>,
    g: Buffer<f32>,
    tensor: usize,
}

type Step = Box<dyn FnMut(&mut Shared)>;

/// A trainer of `count` tensors of `len` elements, in as many groups in turn.
fn trainer(count: usize, len: usize, groups: usize, clip: Option<f64>) -> Trainer<f32> {
    let name = |at: usize| format!("group {}", at % groups);
    let all: Vec<Group> = (0..groups)
        .map(|at| Group::new(name(at), Optimiser::adamw()))
        .collect();
    let tensors: Vec<Tensor> = (0..count)
        .map(|at| Tensor::new(at.to_string(), &[len], name(at)))
        .collect();
    let trainer = Trainer::new(&all, &tensors).unwrap();
    match clip {
        Some(max_norm) => trainer.with_clip(max_norm).unwrap(),
        None => trainer,
    }
}

fn flat(mut trainer: Trainer<f32>) -> Step {
    Box::new(move |s| {
        trainer.step(black_box(&mut s.x), black_box(&s.g)).unwrap();
    })
}

fn contenders(count: usize, len: usize, clip: Option<f64>) -> Vec<(&'static str, Step)> {
    let n = count * len;
    let mut state = State::new(vec![0.0_f32; 2 * n]);
    let mut coefficient = 0.5;
    let mut slices = trainer(count, len, 1, clip);
    vec![
        (
            "core",
            Box::new(move |s| {
                if clip.is_some() {
                    let mut norm = GlobalNorm::new();
                    norm.accumulate(black_box(&s.g)).unwrap();
                    black_box(norm.coefficient(1.0).unwrap());
                    // Down and up in turn, so that the gradient stays what it is.
                    clip::scale(coefficient, &mut s.g);
                    coefficient = 1.0 / coefficient;
                }
                let config = adam::Config::adamw();
                config
                    .step(&mut state, black_box(&mut s.x), black_box(&s.g))
                    .unwrap();
            }),
        ),
        ("trainer", flat(trainer(count, len, 1, clip))),
        ("groups", flat(trainer(count, len, 2, clip))),
        (
            "slices",
            Box::new(move |s| {
                let mut params: Vec<&mut [f32]> = s.x.chunks_mut(s.tensor).collect();
                let grads: Vec<&[f32]> = s.g.chunks(s.tensor).collect();
                slices.step_slices(&mut params, &grads).unwrap();
            }),
        ),
    ]
}

fn main() {
    println!(
        "AdamW; least time of a call, bytes moved, times as fast as the core: by least times, by the median of rounds"
    );
    for (count, len) in [(20, 50), (100, 200), (100, 10_000), (100, 100_000)] {
        for clip in [None, Some(1e-3)] {
            let n = count * len;
            let mut steps = contenders(count, len, clip);
            let mut field: Vec<Contender<'_, Shared>> = (steps.iter_mut())
                .map(|(name, step)| (*name, &mut **step as _))
                .collect();
            let mut shared = Shared {
                x: Buffer::new(n, 4, |_| 1.0),
                g: Buffer::new(n, 4, |i| (i % 97) as f64 * 0.01 - 0.475),
                tensor: len,
            };
            let clipped = if clip.is_some() { ", clipped" } else { "" };
            race(&mut shared, &mut field)
                .print(&format!("{count} tensors of {len}{clipped}"), 28 * n);
        }
    }
}
