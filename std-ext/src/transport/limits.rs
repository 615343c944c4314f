//! Deadlines and sizes of a transport.

use std::time::Duration;

use thalweg::wire::OVERHEAD;

/// Deadlines and sizes; nothing waits or grows beyond them.
///
/// ```
/// use thalweg_std::transport::Limits;
/// // A frame of 2410 numbers of 4 bytes with its 52 bytes of header and check.
/// assert_eq!(Limits::new(4 * 2410 + 52).frame, 9692);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest frame, in bytes. A longer one is refused at its header.
    pub frame: usize,
    /// After so long without a reply, or within a frame, the last message is sent again.
    pub frame_timeout: Duration,
    /// A client that has not replied for so long is left out of the round; less for one that was left out lately.
    pub round_timeout: Duration,
    /// All clients join, each connection says Hello, and a lost server is back within this time.
    pub join_timeout: Duration,
    /// Shortest pause when no stream has anything to say; pauses grow with the silence.
    pub pause: Duration,
    /// Connections that have not said Hello yet; the oldest is closed for one more. Fewer once the system has no more descriptors.
    pub strangers: usize,
}

impl Limits {
    /// The deadlines of a local network: 1 s a frame, 30 s a round, 60 s to join.
    #[must_use]
    pub fn new(frame: usize) -> Self {
        Self {
            frame: frame.max(OVERHEAD),
            frame_timeout: Duration::from_secs(1),
            round_timeout: Duration::from_secs(30),
            join_timeout: Duration::from_secs(60),
            pause: Duration::from_micros(200),
            strangers: 16,
        }
    }
}
