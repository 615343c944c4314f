//! Clients in threads of this process: frames travel through channels.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::Scope;

use thalweg::federated::{ProtocolError, decode, frame_len};
use thalweg::wire::Expect;
use thalweg_std::transport::{Opening, Reply, TransportError};

use super::client::Client;
use super::exchange::Exchange;
use super::problem::Problem;
use super::session::Transport;

type Up = (usize, Result<Reply, ProtocolError>);

/// The clients of a run; client `i` lives in thread `i mod threads`. The threads end when this is dropped.
#[derive(Debug)]
pub struct Threads {
    clients: usize,
    workers: Vec<Sender<Arc<[u8]>>>,
    replies: Receiver<Up>,
}

impl Threads {
    /// Starts the threads.
    ///
    /// # Errors
    /// A client without rows.
    pub fn start<'scope, 'a: 'scope>(
        scope: &'scope Scope<'scope, '_>,
        exchange: &'a Exchange,
        problem: &'a Problem,
        threads: usize,
    ) -> Result<Self, ProtocolError> {
        let clients = problem.clients();
        let (reply, replies) = mpsc::channel();
        let mut workers = Vec::new();
        for thread in 0..threads.min(clients) {
            let ids = (thread..clients).step_by(threads);
            let own = ids.map(|id| Client::new(exchange, problem, id));
            let own = own.collect::<Result<Vec<_>, _>>()?;
            let d = problem.dim();
            let (to_worker, broadcasts) = mpsc::channel();
            let reply = reply.clone();
            workers.push(to_worker);
            scope.spawn(move || work(own, d, &broadcasts, &reply));
        }
        Ok(Self {
            clients,
            workers,
            replies,
        })
    }
}

/// The life of some clients: a broadcast in, a reply of each out.
fn work(
    mut clients: Vec<Client<'_>>,
    d: usize,
    broadcasts: &Receiver<Arc<[u8]>>,
    reply: &Sender<Up>,
) {
    let mut out = vec![0; frame_len::<f32>(d as u32)];
    while let Ok(bytes) = broadcasts.recv() {
        let frame = decode::<f32>(&bytes, d);
        for client in &mut clients {
            let result = frame.map_err(ProtocolError::from).and_then(|frame| {
                let len = client.answer(&frame, &mut out)?;
                let bytes = out.get(..len).unwrap_or_default().to_vec();
                Ok(Reply::new(bytes, &Expect::default()).map_err(|(_, error)| error)?)
            });
            if reply.send((client.id(), result)).is_err() {
                return;
            }
        }
    }
}

impl Transport for Threads {
    fn round(&mut self, opening: &Opening<'_>) -> Result<Vec<Option<Reply>>, TransportError> {
        let frame: Arc<[u8]> = opening.frame.into();
        for worker in &self.workers {
            // A worker that is gone shows below, as a missing reply.
            let _ = worker.send(Arc::clone(&frame));
        }
        let mut replies = vec![None; self.clients];
        for missing in 0..self.clients {
            let (client, reply) = self.replies.recv().map_err(|_| ProtocolError::Incomplete {
                missing: missing as u32,
            })?;
            if let Some(place) = replies.get_mut(client) {
                *place = Some(reply?);
            }
        }
        Ok(replies)
    }

    /// Clients of this process send what the protocol awaits.
    fn refuse(&mut self, client: u32, source: ProtocolError) -> Result<(), TransportError> {
        Err(TransportError::Refused { client, source })
    }
}
