//! Criterion groups beside the plain loops and libraries they are judged against.
