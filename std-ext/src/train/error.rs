//! What can be wrong with a training step or a checkpoint, and where.

use std::io;

use thalweg::Error;

/// Why a step is not taken or a checkpoint not read or written. Trainer and parameters are as before.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A hyperparameter of a group is out of its range, or becomes 0 or infinite in the scalar type.
    #[error("group `{group}`: {source}")]
    Group {
        /// The group.
        group: String,
        /// Which, and what it must be.
        #[source]
        source: Error,
    },
    /// An argument of the trainer itself.
    #[error(transparent)]
    Argument(#[from] Error),
    /// A tensor names a group that was not declared.
    #[error("tensor `{tensor}` is in the group `{group}`, which is not declared")]
    NoGroup {
        /// The tensor.
        tensor: String,
        /// The group.
        group: String,
    },
    /// Two tensors, or two groups, have one name; or a tensor has one that a checkpoint keeps for itself.
    #[error("the name `{name}` is taken")]
    Name {
        /// The name.
        name: String,
    },
    /// A model with more elements than memory has addresses.
    #[error("tensor `{tensor}` makes the model too large")]
    TooLarge {
        /// The first tensor that does not fit.
        tensor: String,
    },
    /// A slice for a tensor has another number of elements than its shape.
    #[error("{what} of tensor `{tensor}` have {found} elements, its shape {expected}")]
    Length {
        /// The tensor.
        tensor: String,
        /// `"parameters"` or `"gradients"`.
        what: &'static str,
        /// Elements of the shape.
        expected: usize,
        /// Elements passed.
        found: usize,
    },
    /// A gradient that is NaN or infinite.
    #[error("the gradient of tensor `{tensor}` is not finite at element {index}")]
    NonFinite {
        /// The tensor.
        tensor: String,
        /// The first such element, row-major.
        index: usize,
    },
    /// Every gradient is finite, their norm is not.
    #[error("the norm of the gradient is not finite")]
    Norm,
    /// The system refused.
    #[error("{path}: cannot {what}: {source}")]
    Io {
        /// The file.
        path: String,
        /// What was tried.
        what: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Bytes that are no tensor file, or damaged.
    #[error("{file} at byte {at}: {what}")]
    Malformed {
        /// The file.
        file: String,
        /// Offset of the byte.
        at: u64,
        /// What is wrong there.
        what: String,
    },
    /// A whole tensor file that does not fit the trainer.
    #[error("{file}: {what}: found {found}, expected {expected}")]
    Differs {
        /// The file.
        file: String,
        /// What differs.
        what: String,
        /// In the file.
        found: String,
        /// In the trainer.
        expected: String,
    },
}
