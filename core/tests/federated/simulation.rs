//! The two estimator protocols on random quadratics; every message goes through the codec.

use thalweg::Real;
use thalweg::compress::{Buffers, Compressor};
use thalweg::federated::estimator::{Client, Protocol, Server, accept, broadcast, finish, receive};
use thalweg::federated::{ProtocolError, Run, ef21, frame_len, marina};
use thalweg::model::quadratic::{Config as Family, Quadratic, start_into};
use thalweg::model::{Batch, Objective};
use thalweg::random::{self, Purpose};

/// The reply of one of the two estimator protocols.
pub(crate) trait Reply<T: Real>: Protocol<T> {
    fn reply(
        &self,
        client: &mut Client<Vec<T>>,
        gradient: &mut [T],
        buffers: Buffers<'_, T>,
        out: &mut [u8],
    ) -> Result<usize, ProtocolError>;
}

impl<T: Real, C: Compressor<T>> Reply<T> for marina::Config<T, C> {
    fn reply(
        &self,
        client: &mut Client<Vec<T>>,
        gradient: &mut [T],
        buffers: Buffers<'_, T>,
        out: &mut [u8],
    ) -> Result<usize, ProtocolError> {
        marina::reply(self, client, gradient, buffers, out)
    }
}

impl<T: Real, C: Compressor<T>> Reply<T> for ef21::Config<T, C> {
    fn reply(
        &self,
        client: &mut Client<Vec<T>>,
        gradient: &mut [T],
        buffers: Buffers<'_, T>,
        out: &mut [u8],
    ) -> Result<usize, ProtocolError> {
        ef21::reply(self, client, gradient, buffers, out)
    }
}

/// A server and its clients, each with a quadratic.
pub(crate) struct Simulation<T, P> {
    config: P,
    workers: Vec<Quadratic<T>>,
    pub(crate) server: Server<Vec<T>>,
    pub(crate) clients: Vec<Client<Vec<T>>>,
}

impl<T: Real, P: Reply<T>> Simulation<T, P> {
    pub(crate) fn new(config: P, workers: Vec<Quadratic<T>>, x0: &[T]) -> Self {
        let zeros = || vec![T::ZERO; x0.len()];
        let server = Server::new(x0.to_vec(), zeros(), zeros()).unwrap();
        let clients = (0..workers.len())
            .map(|i| Client::new(i as u32, zeros(), zeros()).unwrap())
            .collect();
        Self {
            config,
            workers,
            server,
            clients,
        }
    }

    /// One round; calls `spy` with each uplink frame before the server sees it.
    pub(crate) fn round(&mut self, mut spy: impl FnMut(&P, &mut Server<Vec<T>>, &mut [u8])) {
        let d = self.server.params().len();
        let lengths = self.config.compressor().lengths(d);
        let (mut values, mut indices) = (
            vec![T::ZERO; lengths.values.max(d)],
            vec![0; lengths.indices.max(d)],
        );
        let (mut down, mut up) = (
            vec![0; frame_len::<T>(d as u32)],
            vec![0; frame_len::<T>(d as u32)],
        );
        let len = broadcast(&self.config, &mut self.server, &mut down).unwrap();
        for (client, f) in self.clients.iter_mut().zip(&self.workers) {
            receive(&self.config, client, &down[..len]).unwrap();
            assert_eq!(client.params(), self.server.params());
            let mut gradient = vec![T::ZERO; d];
            f.gradient_into(client.params(), &Batch::none(), &mut [], &mut gradient)
                .unwrap();
            let buffers = Buffers {
                indices: &mut indices,
                ..Buffers::values(&mut values)
            };
            let len = self
                .config
                .reply(client, &mut gradient, buffers, &mut up)
                .unwrap();
            spy(&self.config, &mut self.server, &mut up[..len]);
            let buffers = Buffers {
                indices: &mut indices,
                ..Buffers::values(&mut values)
            };
            accept(&self.config, &mut self.server, &up[..len], buffers).unwrap();
        }
        finish(&self.config, &mut self.server).unwrap();
    }
}

/// Quadratics whose matrices differ by `noise`, their mean, and where descent starts.
pub(crate) fn family(
    d: usize,
    n: usize,
    noise: f64,
) -> (Vec<Quadratic<f64>>, Quadratic<f64>, Vec<f64>) {
    let family = Family {
        dim: d,
        noise,
        mu: 1e-2,
    };
    let mut rng = random::stream(11, 0, 0, Purpose::DATA);
    let mut draws = || {
        (0..n)
            .map(|_| random::normal(&mut rng))
            .collect::<Vec<f64>>()
    };
    let (xi, xi_linear) = (draws(), draws());
    let shift = family.constants(&xi).unwrap().shift;
    let workers = xi
        .iter()
        .zip(&xi_linear)
        .map(|(&a, &b)| family.worker(a, b, shift))
        .collect();
    let mut x0 = vec![0.0; d];
    start_into(&mut x0);
    (workers, family.mean(&xi, &xi_linear).unwrap(), x0)
}

pub(crate) const fn run_of(clients: usize) -> Run {
    Run {
        seed: 5,
        clients: clients as u32,
    }
}
