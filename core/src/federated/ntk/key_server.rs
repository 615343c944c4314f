//! The key server: hands the seed of the projection to each client, encrypted under the client's public key.
//!
//! The seal is opaque here: bytes that the caller encrypts and decrypts, as with the sealed boxes of NaCl. The main server carries the frames or
//! not; it has no key that opens them. Whether a public key is that of the client is for the transport to say.

use crate::error::check;
use crate::federated::{ProtocolError, message};
use crate::snapshot::{Field, Reader, Snapshot, SnapshotError, Writer, saved_len};
use crate::wire::{self, Body, Dtype, Expect, Frame, Header, Kind, Payload, SERVER};
use crate::{Error, Storage};

use super::Config;
use super::projection::SEED;

/// The key server: the seed, and a byte for each client that says whether it has been served.
#[derive(Clone, Copy)]
pub struct KeyServer<B> {
    seed: [u8; SEED],
    served: B,
}

impl<B> core::fmt::Debug for KeyServer<B> {
    /// Without the seed.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("KeyServer").finish_non_exhaustive()
    }
}

impl<B: Storage<Elem = u8>> KeyServer<B> {
    /// A key server that has served nobody; `served` has a byte for each client of the run, of all rounds.
    ///
    /// # Errors
    /// [`Error::Length`] without a byte.
    pub fn new(seed: [u8; SEED], mut served: B) -> Result<Self, Error> {
        check("served", !served.as_slice().is_empty(), "must not be empty")?;
        served.as_mut_slice().fill(0);
        Ok(Self { seed, served })
    }
}

fn expect(config: &Config<'_>, kind: Kind) -> Expect {
    Expect {
        kind: Some(kind),
        ..message::expect(config.run, config.outputs)
    }
}

/// Writes the frame of a client's public key.
///
/// # Errors
/// [`ProtocolError::Encode`] when `out` is shorter than the key and [`OVERHEAD`](wire::OVERHEAD).
///
/// ```
/// use thalweg::federated::{Run, decode, ntk::{Config, key_server::{KeyServer, open, public_key_into, seal}}};
/// let config = Config::new(Run { seed: 1, clients: 2 }, 2, &[1.0]);
/// let mut server = KeyServer::new([5; 32], [0; 2])?;
/// let (mut up, mut down) = ([0; 60], [0; 90]);
/// let len = public_key_into(&config, 1, &[9; 8], &mut up)?;
/// // Not a cipher, but it shows who computes what.
/// let mask = |key: u8, from: &[u8], to: &mut [u8]| to.iter_mut().zip(from).for_each(|(to, from)| *to = from ^ key);
/// let sealed = seal(&config, &mut server, &decode::<f32>(&up[..len], 2)?, &mut [0; 32], |key, seed, out| {
///     mask(key[0], seed, out);
///     Ok(32)
/// }, &mut down)?;
/// let seed = open(&config, &decode::<f32>(&down[..sealed], 2)?, |bytes, seed| {
///     mask(9, bytes, seed);
///     Ok(())
/// })?;
/// assert_eq!(seed, [5; 32]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn public_key_into(
    config: &Config<'_>,
    client: u32,
    key: &[u8],
    out: &mut [u8],
) -> Result<usize, ProtocolError> {
    let header = header(config, Kind::PublicKey, client, key.len())?;
    Ok(wire::encode_into(&header, &Body::<f32>::Bytes(key), out)?)
}

fn header(config: &Config<'_>, kind: Kind, client: u32, len: usize) -> Result<Header, Error> {
    let k = u32::try_from(len).map_err(|_| Error::Parameter {
        name: "key",
        rule: "must have fewer than 2^32 bytes",
    })?;
    Ok(Header {
        client,
        seed: config.run.seed,
        ..Header::new(kind, Dtype::None, config.outputs, k)
    })
}

/// Takes a client's public key, has `encrypt` write the seed under it, and writes the frame that carries the result.
///
/// `encrypt` gets the key, the seed and `sealed`, and returns how many bytes it has written there. A client is served once: a second key
/// in its name is refused.
///
/// # Errors
/// [`ProtocolError::Decode`] for a foreign frame, [`ProtocolError::Argument`] for a client that is unknown or has been served, and the errors of
/// `encrypt`; [`ProtocolError::Encode`] when `out` is short. The client has not been served then.
pub fn seal<B: Storage<Elem = u8>>(
    config: &Config<'_>,
    server: &mut KeyServer<B>,
    frame: &Frame<'_>,
    sealed: &mut [u8],
    encrypt: impl FnOnce(&[u8], &[u8; SEED], &mut [u8]) -> Result<usize, Error>,
    out: &mut [u8],
) -> Result<usize, ProtocolError> {
    expect(config, Kind::PublicKey).check(&frame.header)?;
    let client = frame.header.client;
    let served = server.served.as_mut_slice().get_mut(client as usize);
    let Some(served) = served.filter(|served| **served == 0) else {
        let rule = "must be one of the run that has not been served";
        return Err(Error::Parameter {
            name: "client",
            rule,
        }
        .into());
    };
    let Payload::Bytes(key) = frame.payload::<f32>()? else {
        return Ok(0);
    };
    let len = encrypt(key, &server.seed, sealed)?;
    let content = sealed.get(..len).ok_or(Error::Length {
        name: "sealed",
        expected: len,
        found: sealed.len(),
    })?;
    let header = header(config, Kind::SealedSeed, SERVER, len)?;
    let len = wire::encode_into(&header, &Body::<f32>::Bytes(content), out)?;
    *served = 1;
    Ok(len)
}

/// Reads the seed, which `decrypt` writes from the bytes that were sealed.
///
/// # Errors
/// [`ProtocolError::Decode`] for a foreign frame, and the errors of `decrypt`.
pub fn open(
    config: &Config<'_>,
    frame: &Frame<'_>,
    decrypt: impl FnOnce(&[u8], &mut [u8; SEED]) -> Result<(), Error>,
) -> Result<[u8; SEED], ProtocolError> {
    let expect = Expect {
        client: Some(SERVER),
        ..expect(config, Kind::SealedSeed)
    };
    expect.check(&frame.header)?;
    let mut seed = [0; SEED];
    if let Payload::Bytes(bytes) = frame.payload::<f32>()? {
        decrypt(bytes, &mut seed)?;
    }
    Ok(seed)
}

impl<B: Storage<Elem = u8>> KeyServer<B> {
    fn fields(&self) -> [Field; 2] {
        [
            Field::words::<u8>(SEED),
            Field::words::<u8>(self.served.as_slice().len()),
        ]
    }
}

impl<B: Storage<Elem = u8>> Snapshot for KeyServer<B> {
    fn snapshot_len(&self) -> usize {
        saved_len(&self.fields())
    }

    fn save(&self, out: &mut [u8]) -> Result<usize, SnapshotError> {
        let mut w = Writer::new(out, *b"NTKK", 1)?;
        w.bytes(&self.seed)?;
        w.bytes(self.served.as_slice())?;
        w.finish()
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        let mut r = Reader::new(bytes, *b"NTKK", 1, &self.fields())?;
        let seed = r.bytes(SEED)?;
        let served = self.served.as_mut_slice();
        let found = r.bytes(served.len())?;
        for (to, &from) in served.iter_mut().zip(found) {
            *to = u8::from(from != 0);
        }
        for (to, &from) in self.seed.iter_mut().zip(seed) {
            *to = from;
        }
        r.finish()
    }
}
