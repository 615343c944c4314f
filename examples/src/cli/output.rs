//! Standard output and standard error that outlive their readers.
//!
//! `println!` panics when the reader of a pipe has gone or a disk is full, and takes the results of hours with it.
//! Here a closed pipe is the end of what anyone wants to read, and no error; any other failure is kept until the
//! program is over, when [`super::finish`] reports it.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::sync::{Mutex, PoisonError};

/// What has become of standard output.
#[derive(Debug)]
enum State {
    Open,
    /// Nobody reads any more.
    Closed,
    /// Why it could not be written; reported once.
    Failed(io::Error),
}

static STDOUT: Mutex<State> = Mutex::new(State::Open);

impl State {
    fn write(&mut self, to: &mut impl Write, text: &[u8]) {
        if !matches!(self, Self::Open) {
            return;
        }
        match to.write_all(text).and_then(|()| to.flush()) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => *self = Self::Closed,
            Err(error) => *self = Self::Failed(error),
            Ok(()) => {}
        }
    }

    fn take_failure(&mut self) -> Option<io::Error> {
        match std::mem::replace(self, Self::Closed) {
            Self::Failed(error) => Some(error),
            other => {
                *self = other;
                None
            }
        }
    }
}

/// Writes text to standard output as it is.
pub fn print_text(text: impl Display) {
    let text = text.to_string();
    let mut state = STDOUT.lock().unwrap_or_else(PoisonError::into_inner);
    state.write(&mut io::stdout().lock(), text.as_bytes());
}

/// Writes a line to standard output.
pub fn print_line(text: impl Display) {
    print_text(format_args!("{text}\n"));
}

/// [`print_text`] in the form of the standard macro, whose place it takes where it is imported.
macro_rules! print {
    ($($text:tt)*) => { $crate::cli::print_text(format_args!($($text)*)) };
}
pub(crate) use print;

/// [`print_line`] in the form of the standard macro, whose place it takes where it is imported.
macro_rules! println {
    () => { $crate::cli::print_line("") };
    ($($text:tt)*) => { $crate::cli::print_line(format_args!($($text)*)) };
}
pub(crate) use println;

/// Writes a line to standard error, whether or not anybody reads it.
pub fn note(text: impl Display) {
    // There is no better place to report that this failed.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Why standard output could not be written, if so; once.
pub(super) fn stdout_failure() -> Option<io::Error> {
    let mut state = STDOUT.lock().unwrap_or_else(PoisonError::into_inner);
    state.take_failure()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes so many writes, then fails.
    struct Limited(usize, ErrorKind);

    impl Write for Limited {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(1).ok_or(self.1)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_closed_pipe_is_the_end_and_a_full_disk_is_reported_once() {
        for (kind, is_failure) in [
            (ErrorKind::BrokenPipe, false),
            (ErrorKind::StorageFull, true),
        ] {
            let (mut state, mut to) = (State::Open, Limited(1, kind));
            state.write(&mut to, b"one");
            assert!(state.take_failure().is_none());
            state.write(&mut to, b"two");
            // Room again is of no use: a gap in the text would be worse than its end.
            to.0 = 1;
            state.write(&mut to, b"three");
            assert_eq!(to.0, 1, "written after the end");
            let failure = state.take_failure().map(|error| error.kind());
            assert_eq!(failure, is_failure.then_some(kind));
            assert!(state.take_failure().is_none());
        }
    }
}
