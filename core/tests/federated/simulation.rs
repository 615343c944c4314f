//! The protocols on random quadratics; every message goes through the codec.

use thalweg::Real;
use thalweg::compress::Buffers;
use thalweg::federated::machine::{Client, Server, accept, broadcast, finish, receive, reply};
use thalweg::federated::{Protocol, Run, decode, frame_len};
use thalweg::model::Gradient;
use thalweg::model::quadratic::{Config as Family, Quadratic, start_into};
use thalweg::random::{self, Purpose};

/// A server and its clients, each with a quadratic.
pub(crate) struct Simulation<T, P> {
    config: P,
    workers: Vec<Quadratic<T>>,
    pub(crate) server: Server<Vec<T>>,
    pub(crate) clients: Vec<Client<Vec<T>>>,
}

impl<T: Real, P: Protocol<T>> Simulation<T, P> {
    pub(crate) fn new(config: P, workers: Vec<Quadratic<T>>, x0: &[T]) -> Self {
        let d = x0.len();
        let memory = vec![T::ZERO; config.server_len(d)];
        let server = Server::new(&config, x0, memory).unwrap();
        let client = |id| {
            let memory = vec![T::ZERO; config.client_len(d)];
            Client::new(&config, id, memory).unwrap()
        };
        let clients = (0..workers.len() as u32).map(client).collect();
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
            let frame = decode::<T>(&down[..len], d).unwrap();
            receive(&self.config, client, &frame).unwrap();
            assert_eq!(client.params(), self.server.params());
            let mut gradient = vec![T::ZERO; d];
            f.gradient_into(client.params(), &mut gradient, &mut [])
                .unwrap();
            let buffers = Buffers {
                indices: &mut indices,
                ..Buffers::values(&mut values)
            };
            let len = reply(&self.config, client, &mut gradient, buffers, &mut up).unwrap();
            spy(&self.config, &mut self.server, &mut up[..len]);
            let buffers = Buffers {
                indices: &mut indices,
                ..Buffers::values(&mut values)
            };
            let frame = decode::<T>(&up[..len], d).unwrap();
            accept(&self.config, &mut self.server, 1, &frame, buffers).unwrap();
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
