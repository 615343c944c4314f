//! One face for the protocols: who writes a frame, who reads it, and what a client does in between.

use thalweg::compress::{Buffers, Compressor};
use thalweg::federated::{Ledger, ProtocolError, ef21, estimator, fed_avg, marina};
use thalweg::optim::sgd;
use thalweg_std::data::Batches;

use super::problem::Problem;

/// What a client works with beside its protocol state.
#[derive(Debug)]
pub struct Local<'a> {
    /// The problem; only the client's shard is read.
    pub problem: &'a Problem,
    /// The client's number.
    pub client: usize,
    /// Memory of the network.
    pub scratch: Vec<f32>,
    /// The gradient.
    pub gradient: Vec<f32>,
    /// Values of a message.
    pub values: Vec<f32>,
    /// Indices of a message.
    pub indices: Vec<u32>,
    /// Levels of a message.
    pub levels: Vec<i32>,
    /// Mini-batches of positions in the shard.
    pub batches: Batches,
    /// Rows of a mini-batch.
    pub rows: Vec<u32>,
}

/// A protocol between one server and its clients; every byte between them is a frame.
pub trait Exchange: Sync {
    /// State of the server.
    type Server;
    /// State of a client.
    type Client: Send;

    /// The server at the initial model.
    ///
    /// # Errors
    /// None for equal lengths.
    fn server(&self, start: Vec<f32>) -> Result<Self::Server, ProtocolError>;
    /// A client that has heard nothing.
    ///
    /// # Errors
    /// None for equal lengths.
    fn client(&self, id: u32, d: usize) -> Result<Self::Client, ProtocolError>;
    /// Uplink bits of the largest reply to the next broadcast.
    fn next_bits(&self, server: &Self::Server) -> u64;
    /// Writes the frame that opens a round.
    ///
    /// # Errors
    /// What the protocol says.
    fn broadcast(&self, server: &mut Self::Server, out: &mut [u8]) -> Result<usize, ProtocolError>;
    /// The round of the last frame that a client has read.
    fn round(&self, client: &Self::Client) -> u64;
    /// Reads it, computes, writes the reply.
    ///
    /// # Errors
    /// What the protocol says; a gradient that is not finite.
    fn answer(
        &self,
        client: &mut Self::Client,
        local: &mut Local<'_>,
        frame: &[u8],
        out: &mut [u8],
    ) -> Result<usize, ProtocolError>;
    /// Reads the reply of the client whose turn it is.
    ///
    /// # Errors
    /// What the protocol says.
    fn accept(
        &self,
        server: &mut Self::Server,
        samples: u32,
        frame: &[u8],
        buffers: Buffers<'_, f32>,
    ) -> Result<(), ProtocolError>;
    /// Passes over the client whose turn it is.
    ///
    /// # Errors
    /// What the protocol says.
    fn skip(&self, server: &mut Self::Server) -> Result<(), ProtocolError>;
    /// Closes the round.
    ///
    /// # Errors
    /// What the protocol says; an estimate that is not finite.
    fn finish(&self, server: &mut Self::Server) -> Result<(), ProtocolError>;
    /// The model.
    fn params<'s>(&self, server: &'s Self::Server) -> &'s [f32];
    /// Bits so far.
    fn ledger<'s>(&self, server: &'s Self::Server) -> &'s Ledger;
}

/// The two protocols whose clients send gradients differ in the reply alone.
pub trait Reply: estimator::Protocol<f32> {
    /// Writes the reply from the client's gradient.
    ///
    /// # Errors
    /// What the protocol says.
    fn reply(
        &self,
        client: &mut estimator::Client<Vec<f32>>,
        gradient: &mut [f32],
        buffers: Buffers<'_, f32>,
        out: &mut [u8],
    ) -> Result<usize, ProtocolError>;
}

impl<C: Compressor<f32>> Reply for marina::Config<f32, C> {
    fn reply(
        &self,
        client: &mut estimator::Client<Vec<f32>>,
        gradient: &mut [f32],
        buffers: Buffers<'_, f32>,
        out: &mut [u8],
    ) -> Result<usize, ProtocolError> {
        marina::reply(self, client, gradient, buffers, out)
    }
}

impl<C: Compressor<f32>> Reply for ef21::Config<f32, C> {
    fn reply(
        &self,
        client: &mut estimator::Client<Vec<f32>>,
        gradient: &mut [f32],
        buffers: Buffers<'_, f32>,
        out: &mut [u8],
    ) -> Result<usize, ProtocolError> {
        ef21::reply(self, client, gradient, buffers, out)
    }
}

/// MARINA or EF21: one gradient of the whole shard a round.
#[derive(Clone, Copy, Debug)]
pub struct Gradients<P>(pub P);

impl<P: Reply + Sync> Exchange for Gradients<P> {
    type Server = estimator::Server<Vec<f32>>;
    type Client = estimator::Client<Vec<f32>>;

    fn server(&self, start: Vec<f32>) -> Result<Self::Server, ProtocolError> {
        let zeros = vec![0.0; start.len()];
        Ok(estimator::Server::new(start, zeros.clone(), zeros)?)
    }

    fn client(&self, id: u32, d: usize) -> Result<Self::Client, ProtocolError> {
        Ok(estimator::Client::new(id, vec![0.0; d], vec![0.0; d])?)
    }

    fn next_bits(&self, server: &Self::Server) -> u64 {
        let d = server.params().len();
        if self.0.is_full(server.round()) {
            32 * d as u64
        } else {
            self.0.compressor().bits(d)
        }
    }

    fn broadcast(&self, server: &mut Self::Server, out: &mut [u8]) -> Result<usize, ProtocolError> {
        estimator::broadcast(&self.0, server, out)
    }

    fn round(&self, client: &Self::Client) -> u64 {
        client.round()
    }

    fn answer(
        &self,
        client: &mut Self::Client,
        local: &mut Local<'_>,
        frame: &[u8],
        out: &mut [u8],
    ) -> Result<usize, ProtocolError> {
        estimator::receive(&self.0, client, frame)?;
        local.problem.client_gradient(
            local.client,
            client.params(),
            &mut local.scratch,
            &mut local.gradient,
        )?;
        let buffers = Buffers {
            values: &mut local.values,
            indices: &mut local.indices,
            levels: &mut local.levels,
        };
        self.0.reply(client, &mut local.gradient, buffers, out)
    }

    fn accept(
        &self,
        server: &mut Self::Server,
        _: u32,
        frame: &[u8],
        buffers: Buffers<'_, f32>,
    ) -> Result<(), ProtocolError> {
        estimator::accept(&self.0, server, frame, buffers)
    }

    fn skip(&self, server: &mut Self::Server) -> Result<(), ProtocolError> {
        estimator::skip(&self.0, server)
    }

    fn finish(&self, server: &mut Self::Server) -> Result<(), ProtocolError> {
        estimator::finish(&self.0, server)
    }

    fn params<'s>(&self, server: &'s Self::Server) -> &'s [f32] {
        server.params()
    }

    fn ledger<'s>(&self, server: &'s Self::Server) -> &'s Ledger {
        server.ledger()
    }
}

/// FedAvg: one epoch of mini-batch gradient descent a round.
#[derive(Clone, Copy, Debug)]
pub struct Averaging<C> {
    /// The protocol.
    pub config: fed_avg::Config<f32, C>,
    /// Step size of local training.
    pub learning_rate: f64,
}

impl<C: Compressor<f32> + Sync> Exchange for Averaging<C> {
    type Server = fed_avg::Server<Vec<f32>>;
    type Client = fed_avg::Client<Vec<f32>>;

    fn server(&self, start: Vec<f32>) -> Result<Self::Server, ProtocolError> {
        let zeros = vec![0.0; start.len()];
        Ok(fed_avg::Server::new(start, zeros)?)
    }

    fn client(&self, id: u32, d: usize) -> Result<Self::Client, ProtocolError> {
        Ok(fed_avg::Client::new(id, vec![0.0; d], vec![0.0; d])?)
    }

    fn next_bits(&self, server: &Self::Server) -> u64 {
        self.config.compressor.bits(server.params().len())
    }

    fn broadcast(&self, server: &mut Self::Server, out: &mut [u8]) -> Result<usize, ProtocolError> {
        fed_avg::broadcast(&self.config, server, out)
    }

    fn round(&self, client: &Self::Client) -> u64 {
        client.round()
    }

    fn answer(
        &self,
        client: &mut Self::Client,
        local: &mut Local<'_>,
        frame: &[u8],
        out: &mut [u8],
    ) -> Result<usize, ProtocolError> {
        fed_avg::receive(&self.config, client, frame)?;
        // The batches of a round depend on the round alone: a client that was started again draws those of the one that was not.
        let per_epoch = local.batches.per_epoch();
        local
            .batches
            .seek(client.round().wrapping_mul(per_epoch as u64));
        let config = sgd::Config::new(self.learning_rate);
        let mut state = sgd::State::from_storage(Vec::new());
        let shard = local
            .problem
            .shards
            .get(local.client)
            .map_or(&[][..], Vec::as_slice);
        for _ in 0..per_epoch {
            local.rows.clear();
            let positions = local.batches.next_batch();
            let rows = positions.iter().filter_map(|&i| shard.get(i as usize));
            local.rows.extend(rows);
            local.problem.gradient(
                &local.rows,
                client.params(),
                &mut local.scratch,
                &mut local.gradient,
            )?;
            sgd::step(&config, &mut state, client.params_mut(), &local.gradient)?;
        }
        let buffers = Buffers {
            values: &mut local.values,
            indices: &mut local.indices,
            levels: &mut local.levels,
        };
        fed_avg::reply(&self.config, client, buffers, out)
    }

    fn accept(
        &self,
        server: &mut Self::Server,
        samples: u32,
        frame: &[u8],
        buffers: Buffers<'_, f32>,
    ) -> Result<(), ProtocolError> {
        fed_avg::accept(&self.config, server, samples, frame, buffers)
    }

    fn skip(&self, server: &mut Self::Server) -> Result<(), ProtocolError> {
        fed_avg::skip(&self.config, server)
    }

    fn finish(&self, server: &mut Self::Server) -> Result<(), ProtocolError> {
        fed_avg::finish(&self.config, server)
    }

    fn params<'s>(&self, server: &'s Self::Server) -> &'s [f32] {
        server.params()
    }

    fn ledger<'s>(&self, server: &'s Self::Server) -> &'s Ledger {
        server.ledger()
    }
}
