//! Who may take part: what a Hello must state, and what a line hears that is sent away.

use thalweg::federated::ProtocolError;
use thalweg::wire::{
    Body, DecodeError, Dtype, EncodeError, Expect, Fingerprint, Header, Kind, Payload, SERVER,
    decode, encode_into,
};

use super::super::TransportError;

/// The `round` of a Hello of the server to a client whose replies were refused; 0 in every other.
pub(in super::super) const REFUSED: u64 = 1;

/// The `round` of a Stop of a run that has ended early; 0 for one that is finished.
pub(in super::super) const ABORTED: u64 = u64::MAX;

/// The run as its clients must state it.
#[derive(Debug)]
pub(super) struct Roster {
    pub(super) seed: u64,
    pub(super) d: u32,
    /// Rows of each client.
    pub(super) samples: Vec<u64>,
    /// Algorithms of this program, and the fingerprint of the settings.
    pub(super) fingerprint: Fingerprint,
}

/// A client that has said who it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guest {
    pub(super) id: u32,
    /// The round that it wants.
    pub(super) wanted: u64,
}

/// A line that is not served.
#[derive(Debug)]
pub(super) struct Rejection {
    /// What it hears; nothing if it has not said Hello.
    pub(super) answer: Option<Vec<u8>>,
    pub(super) error: TransportError,
}

impl Roster {
    /// Reads the first frame of a line.
    ///
    /// A client of another run hears which field differs, first of all the seed, and no value of the run: who connects by chance,
    /// or to find out, learns nothing that a client has to know. The field carries 1, or another small number if the client said 1.
    /// The version of the algorithms is no secret of a run, and is stated.
    pub(super) fn check(&self, frame: &[u8]) -> Result<Guest, Rejection> {
        let any = Expect {
            kind: Some(Kind::Hello),
            ..Expect::default()
        };
        let said = decode(frame, &any).and_then(|found| {
            let payload = found.payload::<f32>()?;
            Ok((found.header, payload))
        });
        let (said, samples) = match said {
            Ok((header, Payload::Hello { samples })) => (header, samples),
            Ok((header, _)) => {
                let found = header.kind.code();
                return Err(silent(DecodeError::Kind { found }));
            }
            Err(error) => return Err(silent(error)),
        };
        let (client, fingerprint) = (said.client, Fingerprint::from_code(said.k));
        let protocol = |error| TransportError::Protocol(ProtocolError::Decode(error));
        let mut answer = Header {
            client: SERVER,
            round: 0,
            ..said
        };
        let mut rows = samples;
        let error = if said.seed != self.seed {
            answer.seed = u64::from(said.seed == 0);
            protocol(DecodeError::WrongSeed {
                expected: self.seed,
                found: said.seed,
            })
        } else if said.d != self.d {
            answer.d = if said.d == 1 { 2 } else { 1 };
            protocol(DecodeError::WrongDimension {
                expected: self.d,
                found: said.d,
            })
        } else if fingerprint.differs_in_algorithms(self.fingerprint) {
            let (algorithms, settings) = (self.fingerprint.algorithms, fingerprint.settings);
            answer.k = Fingerprint {
                algorithms,
                settings,
            }
            .code();
            TransportError::Algorithms {
                client,
                expected: algorithms,
                found: fingerprint.algorithms,
            }
        } else if fingerprint.differs_in_settings(self.fingerprint) {
            let settings = if fingerprint.settings == 1 { 2 } else { 1 };
            answer.k = Fingerprint {
                settings,
                ..fingerprint
            }
            .code();
            TransportError::Settings {
                client,
                expected: self.fingerprint.settings,
                found: fingerprint.settings,
            }
        } else {
            match self.samples.get(client as usize) {
                Some(&expected) if expected == samples => {
                    let wanted = said.round;
                    return Ok(Guest { id: client, wanted });
                }
                Some(&expected) => {
                    rows = if samples == 1 { 2 } else { 1 };
                    TransportError::Samples {
                        client,
                        expected,
                        found: samples,
                    }
                }
                None => {
                    rows = 0;
                    TransportError::NoSuchClient { client }
                }
            }
        };
        Err(Rejection {
            answer: hello(&answer, rows).ok(),
            error,
        })
    }

    /// The Hello that sends a client of the run away.
    pub(super) fn farewell(&self, client: u32, why: u64) -> Result<Vec<u8>, EncodeError> {
        let header = Header {
            seed: self.seed,
            round: why,
            ..Header::new(Kind::Hello, Dtype::F32, self.d, self.fingerprint.code())
        };
        let samples = self.samples.get(client as usize).copied().unwrap_or(0);
        hello(&header, samples)
    }

    /// A frame without a payload.
    pub(super) fn control(&self, kind: Kind, round: u64) -> Result<Vec<u8>, EncodeError> {
        let header = Header {
            round,
            seed: self.seed,
            ..Header::new(kind, Dtype::None, self.d, 0)
        };
        let mut out = vec![0; header.frame_len()];
        encode_into(&header, &Body::<f32>::Empty, &mut out)?;
        Ok(out)
    }
}

/// A frame of this version that says nothing else, for a line that speaks another.
pub(super) fn of_this_version() -> Result<Vec<u8>, EncodeError> {
    let header = Header::new(Kind::Ack, Dtype::None, 1, 0);
    let mut out = vec![0; header.frame_len()];
    encode_into(&header, &Body::<f32>::Empty, &mut out)?;
    Ok(out)
}

fn silent(error: DecodeError) -> Rejection {
    Rejection {
        answer: None,
        error: TransportError::Protocol(ProtocolError::Decode(error)),
    }
}

fn hello(header: &Header, samples: u64) -> Result<Vec<u8>, EncodeError> {
    let mut out = vec![0; header.frame_len()];
    let body: Body<'_, f32> = Body::Hello { samples };
    encode_into(header, &body, &mut out)?;
    Ok(out)
}
