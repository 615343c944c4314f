//! Compression by shared permutations on random quadratics and on autoencoders of images.
//!
//! | module | what |
//! |---|---|
//! | [`problem`] | a family of quadratics with its draws and constants |
//! | [`simulate`] | rounds of MARINA, EF21 and gradient descent in O(d), with the bits of `thalweg::federated` |
//! | [`grid`] | methods, step multipliers and seeds over the families, in threads |
//! | [`published`] | the published table, and the comparison with it |

pub mod grid;
pub mod problem;
pub mod published;
pub mod simulate;
