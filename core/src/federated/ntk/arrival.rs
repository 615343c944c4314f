//! In which order the frames of a client come.

use crate::Error;
use crate::error::check;
use crate::wire::{Frame, Kind};

use super::row;

/// What has come from the client whose turn it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Arrival {
    /// Samples announced by the labels; 0 before them.
    pub(super) samples: u32,
    pub(super) has_outputs: bool,
    /// Rows that have come.
    pub(super) rows: u32,
}

/// A frame that is the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Labels,
    Outputs,
    Row,
}

const ORDER: Error = Error::Parameter {
    name: "frame",
    rule: "must be the next of its client: labels, outputs, then rows in their order",
};

impl Arrival {
    /// What a frame brings, where there is room for so many samples of the client.
    pub(super) fn next(&self, frame: &Frame<'_>, room: u32) -> Result<Piece, Error> {
        let count = frame.header.k;
        let is_next = match frame.header.kind {
            Kind::Labels => self.samples == 0,
            Kind::Logits => !self.has_outputs && self.samples > 0 && count == self.samples,
            _ => self.has_outputs && row::sample(frame) == Some(self.rows),
        };
        if !is_next {
            return Err(ORDER);
        }
        match frame.header.kind {
            Kind::Labels => {
                check("samples", count > 0, "must be at least 1")?;
                check(
                    "samples",
                    count <= room,
                    "must be at most as many as there is room for",
                )?;
                Ok(Piece::Labels)
            }
            Kind::Logits => Ok(Piece::Outputs),
            _ => Ok(Piece::Row),
        }
    }

    /// Takes a piece that brings so many samples; whether it is the client's last.
    pub(super) fn take(&mut self, piece: Piece, count: u32) -> bool {
        match piece {
            Piece::Labels => self.samples = count,
            Piece::Outputs => self.has_outputs = true,
            Piece::Row => self.rows = self.rows.saturating_add(1),
        }
        self.rows > 0 && self.rows == self.samples
    }

    /// Whether a saved state can be, with so many samples of complete clients and room for `capacity`.
    pub(super) fn is_sound(&self, complete: u32, capacity: u32) -> bool {
        let fits = complete
            .checked_add(self.samples)
            .is_some_and(|n| n <= capacity);
        // Rows come behind the outputs, outputs behind the labels, and the last row ends the turn.
        let follows =
            (self.has_outputs || self.rows == 0) && (self.samples > 0 || !self.has_outputs);
        fits && follows && self.rows < self.samples.max(1)
    }
}
