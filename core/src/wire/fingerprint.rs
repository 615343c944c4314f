//! What a Hello states of the sender's program and settings.

use crate::ALGORITHM_VERSION;

/// The `k` of a Hello: version of the algorithms in the upper byte, fingerprint of the settings in the lower three.
///
/// Either part is 0 where it is not stated, and is then not compared. Whoever drives a run computes the settings' part from its options; the
/// version comes from this crate, so that a fleet of programs with other bits is refused by name.
///
/// ```
/// use thalweg::{ALGORITHM_VERSION, wire::Fingerprint};
/// let k = Fingerprint::new(0x0012_3456).code();
/// assert_eq!(k, u32::from(ALGORITHM_VERSION) << 24 | 0x12_3456);
/// assert_eq!(Fingerprint::from_code(k).algorithms, ALGORITHM_VERSION);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Fingerprint {
    /// [`ALGORITHM_VERSION`] of the program; 0 if it is not stated.
    pub algorithms: u8,
    /// 24 bits that stand for the settings; 0 if none are stated.
    pub settings: u32,
}

/// Bits of the settings' part.
const SETTINGS: u32 = 0x00FF_FFFF;

impl Fingerprint {
    /// This build's version, with settings of which the lower 24 bits count; settings other than 0 stay other than 0.
    ///
    /// ```
    /// use thalweg::wire::Fingerprint;
    /// assert_eq!(Fingerprint::new(0xAB00_0007).settings, 7);
    /// assert_eq!(Fingerprint::new(0xAB00_0000).settings, 1);
    /// assert_eq!(Fingerprint::new(0).settings, 0);
    /// ```
    #[must_use]
    pub const fn new(settings: u32) -> Self {
        let cut = settings & SETTINGS;
        Self {
            algorithms: ALGORITHM_VERSION,
            settings: if cut == 0 && settings != 0 { 1 } else { cut },
        }
    }

    /// The two parts of a Hello's `k`.
    ///
    /// ```
    /// use thalweg::wire::Fingerprint;
    /// assert_eq!(Fingerprint::from_code(0x0300_0009), Fingerprint { algorithms: 3, settings: 9 });
    /// ```
    #[must_use]
    pub const fn from_code(k: u32) -> Self {
        let [algorithms, ..] = k.to_be_bytes();
        Self {
            algorithms,
            settings: k & SETTINGS,
        }
    }

    /// The `k` of a Hello.
    ///
    /// ```
    /// use thalweg::wire::Fingerprint;
    /// assert_eq!(Fingerprint { algorithms: 3, settings: 9 }.code(), 0x0300_0009);
    /// ```
    #[must_use]
    pub const fn code(self) -> u32 {
        let [_, a, b, c] = self.settings.to_be_bytes();
        u32::from_be_bytes([self.algorithms, a, b, c])
    }

    /// Both sides state a version of the algorithms, and not the same.
    ///
    /// ```
    /// use thalweg::wire::Fingerprint;
    /// let (one, two) = (Fingerprint { algorithms: 1, settings: 9 }, Fingerprint { algorithms: 2, settings: 9 });
    /// assert!(one.differs_in_algorithms(two) && !one.differs_in_settings(two));
    /// assert!(!one.differs_in_algorithms(Fingerprint::default()));
    /// ```
    #[must_use]
    pub const fn differs_in_algorithms(self, other: Self) -> bool {
        self.algorithms != other.algorithms && self.algorithms != 0 && other.algorithms != 0
    }

    /// Both sides state settings, and not the same.
    ///
    /// ```
    /// use thalweg::wire::Fingerprint;
    /// assert!(Fingerprint::new(7).differs_in_settings(Fingerprint::new(8)));
    /// assert!(!Fingerprint::new(7).differs_in_settings(Fingerprint::new(0)));
    /// ```
    #[must_use]
    pub const fn differs_in_settings(self, other: Self) -> bool {
        self.settings != other.settings && self.settings != 0 && other.settings != 0
    }
}
