//! The table of state sizes in the crate's docs, held against the types.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

use std::mem::size_of;
use thalweg::federated::{estimator, fed_avg};
use thalweg::optim::{adagrad, adam, lion, rmsprop, sgd};

const D: usize = 1000;
type Buffer = [f32; D];

/// Bytes of counters that a state may hold beside its buffers.
const COUNTERS: usize = 16;

/// A state is as many numbers as its `state_len` says, and a few counters.
#[track_caller]
fn check(bytes: usize, numbers: usize) {
    let buffers = 4 * numbers;
    assert!(
        (buffers..=buffers + COUNTERS).contains(&bytes),
        "{bytes} bytes for {numbers} numbers"
    );
}

#[test]
fn optimisers_hold_what_their_lengths_say() {
    check(size_of::<sgd::State<Buffer>>(), sgd::state_len(D, true));
    check(size_of::<sgd::State<[f32; 0]>>(), sgd::state_len(D, false));
    check(size_of::<adam::State<Buffer>>(), adam::state_len(D, false));
    check(
        size_of::<adam::State<Buffer, Buffer>>(),
        adam::state_len(D, true),
    );
    check(
        size_of::<rmsprop::State<Buffer>>(),
        rmsprop::state_len(D, false, false),
    );
    check(
        size_of::<rmsprop::State<Buffer, Buffer, Buffer>>(),
        rmsprop::state_len(D, true, true),
    );
    check(size_of::<adagrad::State<Buffer>>(), adagrad::state_len(D));
    check(size_of::<lion::State<Buffer>>(), lion::state_len(D));
}

#[test]
fn a_marina_client_holds_two_vectors_and_the_caller_one_gradient() {
    // Parameters, last gradient; with the caller's gradient 3 d, and one message.
    check(size_of::<estimator::Client<Buffer>>() - COUNTERS, 2 * D);
    check(size_of::<fed_avg::Client<Buffer>>() - COUNTERS, 2 * D);
}

#[test]
fn servers_hold_a_fixed_number_of_vectors_for_any_number_of_clients() {
    let ledger = size_of::<thalweg::federated::Ledger>();
    check(
        size_of::<estimator::Server<Buffer>>() - ledger - COUNTERS,
        3 * D,
    );
    check(size_of::<fed_avg::Server<Buffer>>() - ledger - 2 * 8, 2 * D);
}
