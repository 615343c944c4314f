//! A protocol, and what a client computes between its frames.

use std::fmt;

use thalweg::compress::Buffers;
use thalweg::federated::machine::{self, Client, Server};
use thalweg::federated::{Protocol, ProtocolError};
use thalweg::optim::{Optimiser, State, sgd};
use thalweg::wire::Frame;
use thalweg_std::data::Batches;

use super::problem::Problem;

/// What a client works with in addition to its protocol state.
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
    /// The model that is trained.
    pub trained: Vec<f32>,
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
pub struct Exchange {
    /// The protocol.
    pub protocol: Box<dyn Protocol<f32> + Sync>,
    /// Step size of one epoch of mini-batch gradient descent a round; none for clients that send one gradient of the whole shard.
    pub training: Option<f64>,
    /// Clients from this number on send models that are far off.
    pub honest: usize,
}

/// What a hostile client adds to every parameter.
const FAR: f32 = 1e6;

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("run", &self.protocol.run())
            .field("training", &self.training)
            .finish_non_exhaustive()
    }
}

impl Exchange {
    /// The server at the initial model.
    ///
    /// # Errors
    /// Hyperparameters that do not fit.
    pub fn server(&self, start: &[f32]) -> Result<Server<Vec<f32>>, ProtocolError> {
        let memory = vec![0.0; self.protocol.server_len(start.len())];
        Ok(Server::new(&*self.protocol, start, memory)?)
    }

    /// A client that has heard nothing.
    ///
    /// # Errors
    /// None for the lengths that the protocol states.
    pub fn client(&self, id: u32, d: usize) -> Result<Client<Vec<f32>>, ProtocolError> {
        let memory = vec![0.0; self.protocol.client_len(d)];
        Ok(Client::new(&*self.protocol, id, memory)?)
    }

    /// Reads the frame that opens a round, computes, writes the reply.
    ///
    /// # Errors
    /// What the protocol says; a gradient that is not finite.
    pub fn answer(
        &self,
        client: &mut Client<Vec<f32>>,
        local: &mut Local<'_>,
        frame: &Frame<'_>,
        out: &mut [u8],
    ) -> Result<usize, ProtocolError> {
        machine::receive(&*self.protocol, client, frame)?;
        let result = match self.training {
            Some(learning_rate) => {
                local.train(learning_rate, client)?;
                if local.client >= self.honest {
                    local.trained.iter_mut().for_each(|x| *x += FAR);
                }
                &mut local.trained
            }
            None => {
                local.problem.client_gradient(
                    local.client,
                    client.params(),
                    &mut local.scratch,
                    &mut local.gradient,
                )?;
                &mut local.gradient
            }
        };
        let buffers = Buffers {
            values: &mut local.values,
            indices: &mut local.indices,
            levels: &mut local.levels,
        };
        machine::reply(&*self.protocol, client, result, buffers, out)
    }
}

impl Local<'_> {
    /// One epoch of mini-batch gradient descent from the client's model.
    fn train(
        &mut self,
        learning_rate: f64,
        client: &Client<Vec<f32>>,
    ) -> Result<(), ProtocolError> {
        // The batches of a round depend on the round alone: a client that was started again draws those of the one that was not.
        let per_epoch = self.batches.per_epoch();
        self.batches
            .seek(client.round().wrapping_mul(per_epoch as u64));
        let config = sgd::Config::new(learning_rate);
        let mut state = State::new(Vec::new());
        let shard = self.problem.shards.get(self.client);
        let shard = shard.map_or(&[][..], Vec::as_slice);
        self.trained.clear();
        self.trained.extend_from_slice(client.params());
        for _ in 0..per_epoch {
            self.rows.clear();
            let positions = self.batches.next_batch();
            let rows = positions.iter().filter_map(|&i| shard.get(i as usize));
            self.rows.extend(rows);
            self.problem.gradient(
                &self.rows,
                &self.trained,
                &mut self.scratch,
                &mut self.gradient,
            )?;
            config.step(&mut state, &mut self.trained, &self.gradient)?;
        }
        Ok(())
    }
}
