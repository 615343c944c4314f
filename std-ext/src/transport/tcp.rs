//! Sockets that never block.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use super::Accept;

/// Listens; `127.0.0.1:0` chooses a free port.
///
/// # Errors
/// Those of the system: an address that is in use, or not of this machine.
///
/// ```
/// let listener = thalweg_std::transport::tcp::listen("127.0.0.1:0".parse()?)?;
/// assert!(listener.local_addr()?.port() > 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Connects within `timeout`.
///
/// # Errors
/// Those of the system.
///
/// ```
/// use std::time::Duration;
/// use thalweg_std::transport::tcp;
/// let listener = tcp::listen("127.0.0.1:0".parse()?)?;
/// let stream = tcp::connect(listener.local_addr()?, Duration::from_secs(5))?;
/// assert!(stream.nodelay()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn connect(address: SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
    prepare(TcpStream::connect_timeout(&address, timeout)?)
}

fn prepare(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_nonblocking(true)?;
    // A round is a question and an answer: nothing is gained by waiting for more to send.
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl Accept for TcpListener {
    type Stream = TcpStream;

    fn accept(&mut self) -> io::Result<Option<TcpStream>> {
        match Self::accept(self) {
            // A connection that is gone by now is none.
            Ok((stream, _)) => Ok(prepare(stream).ok()),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock
                | io::ErrorKind::Interrupted
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::ConnectionReset
                // What a network says of the connection that is next, not of the listener: accept(2).
                | io::ErrorKind::NetworkDown
                | io::ErrorKind::NetworkUnreachable
                | io::ErrorKind::HostUnreachable
                | io::ErrorKind::PermissionDenied => Ok(None),
                _ => Err(error),
            },
        }
    }
}
