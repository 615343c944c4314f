//! A federated client in static memory, over any serial line: what the firmware and its host share.
//!
//! ```text
//! shard     the rows of one client and what it must know of the run, as bytes in flash
//! memory    the client's buffers, sized at compile time
//! client    the conversation of `thalweg_std::transport`, from the client's side
//! boards    where the emulated boards keep flash, memory and serial port
//! ```
//! Nothing allocates, nothing panics, nothing is copied out of flash.
#![no_std]

#[cfg(test)]
extern crate std;

pub mod boards;
pub mod client;
mod line;
pub mod memory;
pub mod shard;
