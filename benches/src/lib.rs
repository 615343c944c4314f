//! What the criterion groups share: the plain loops that kernels are judged against, and timing in turn.
//!
//! Every group begins with a table of [`race`]s: contenders called in turn in one process, so that a change of clock or a
//! busy neighbour meets all alike. `cargo bench --bench optim -- none` prints the tables alone.

pub mod plain;
pub mod race;
