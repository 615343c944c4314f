//! Frames out of a stream of bytes: [`Deframer`], with its state and its buffer apart.

use super::{Error, Fault, Status, finish, one_mut, slice, slice_mut};
use thalweg::wire::{Deframer, Position};

/// Where a search for frames stands in the caller's buffer; all zero at the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct DeframerState {
    /// Bytes before it are done with.
    pub start: usize,
    /// Bytes before it have arrived.
    pub end: usize,
    /// Length of the frame that was lent last.
    pub lent: usize,
    /// Bytes that belonged to no frame.
    pub skipped: u64,
}

unsafe fn with<R>(
    state: *mut DeframerState,
    buffer: *mut u8,
    len: usize,
    run: impl FnOnce(&mut Deframer<&mut [u8]>) -> R,
) -> Result<R, Fault> {
    // SAFETY: the contract of the call.
    let (state, buffer) = unsafe { (one_mut("state", state)?, slice_mut("buffer", buffer, len)?) };
    let at = Position {
        start: state.start,
        end: state.end,
        lent: state.lent,
        skipped: state.skipped,
    };
    let mut deframer = Deframer::resume(buffer, at)?;
    let out = run(&mut deframer);
    let at = deframer.position();
    *state = DeframerState {
        start: at.start,
        end: at.end,
        lent: at.lent,
        skipped: at.skipped,
    };
    Ok(out)
}

/// Takes as many of `count` bytes as the buffer has room for; `taken` receives their number. The frame that was lent is gone.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_deframer_push(
    state: *mut DeframerState,
    buffer: *mut u8,
    len: usize,
    bytes: *const u8,
    count: usize,
    taken: *mut usize,
    error: *mut Error,
) -> Status {
    let run = || {
        // SAFETY: the contract of the call.
        let (bytes, taken) = unsafe { (slice("bytes", bytes, count)?, one_mut("taken", taken)?) };
        let push = |deframer: &mut Deframer<&mut [u8]>| {
            let space = deframer.space();
            let most = space.len().min(bytes.len());
            for (to, from) in space.iter_mut().zip(bytes) {
                *to = *from;
            }
            deframer.filled(most);
            most
        };
        // SAFETY: the contract of the call.
        *taken = unsafe { with(state, buffer, len, push)? };
        Ok(())
    };
    // SAFETY: the contract of the call.
    unsafe { finish(error, run()) }
}

/// Finds the next frame: `size` bytes of the buffer from `at` on, until the next call; `size` is 0 when more bytes are needed. A
/// frame that has begun and is damaged is a decode error: ask for it again, and call again.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_deframer_next(
    state: *mut DeframerState,
    buffer: *mut u8,
    len: usize,
    at: *mut usize,
    size: *mut usize,
    error: *mut Error,
) -> Status {
    let run = || {
        // SAFETY: the contract of the call.
        let (at, size) = unsafe { (one_mut("at", at)?, one_mut("size", size)?) };
        let next = |deframer: &mut Deframer<&mut [u8]>| {
            let found = deframer.next().map(|frame| frame.map(<[u8]>::len));
            (found, deframer.position().start)
        };
        // SAFETY: the contract of the call.
        let (found, start) = unsafe { with(state, buffer, len, next)? };
        (*at, *size) = (start, found.transpose()?.unwrap_or(0));
        Ok(())
    };
    // SAFETY: the contract of the call.
    unsafe { finish(error, run()) }
}

/// Gives up on a frame that has begun and whose rest does not come, after a silence of the line; `begun` receives whether there was one.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_deframer_expire(
    state: *mut DeframerState,
    buffer: *mut u8,
    len: usize,
    begun: *mut u32,
    error: *mut Error,
) -> Status {
    let run = || {
        // SAFETY: the contract of the call.
        let begun = unsafe { one_mut("begun", begun)? };
        // SAFETY: the contract of the call.
        *begun = unsafe { with(state, buffer, len, |deframer| deframer.expire())? }.into();
        Ok(())
    };
    // SAFETY: the contract of the call.
    unsafe { finish(error, run()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::ptr::null_mut;
    use std::vec::Vec;
    use thalweg::wire::{Body, Dtype, Header, Kind, encode_into};

    #[test]
    fn frames_are_found_between_noise_and_damage_is_named() {
        let mut frame = [0; 60];
        let header = Header::new(Kind::Dense, Dtype::F32, 2, 2);
        encode_into(&header, &Body::Values(&[1.0_f32, 2.0]), &mut frame).unwrap();
        let mut damaged = frame;
        damaged[50] ^= 1;
        let mut line: Vec<u8> = b"noise".to_vec();
        for piece in [frame, damaged, frame] {
            line.extend(piece);
        }
        line.extend(&frame[..20]);
        let (mut state, mut buffer) = (DeframerState::default(), [0; 64]);
        let (mut left, mut frames, mut refused) = (&line[..], 0, 0);
        // SAFETY: lengths as they are.
        unsafe {
            while !left.is_empty() {
                let mut taken = 0;
                // Seven bytes at a time.
                let count = left.len().min(7);
                let done = thalweg_deframer_push(
                    &mut state,
                    buffer.as_mut_ptr(),
                    64,
                    left.as_ptr(),
                    count,
                    &mut taken,
                    null_mut(),
                );
                assert_eq!(done, Status::Ok);
                left = &left[taken..];
                loop {
                    let (mut at, mut size) = (0, 0);
                    let next = thalweg_deframer_next(
                        &mut state,
                        buffer.as_mut_ptr(),
                        64,
                        &mut at,
                        &mut size,
                        null_mut(),
                    );
                    match next {
                        Status::Decode => refused += 1,
                        Status::Ok if size == 0 => break,
                        _ => {
                            assert_eq!(buffer[at..at + size], frame);
                            frames += 1;
                        }
                    }
                }
            }
            assert_eq!((frames, refused), (2, 1));
            let mut begun = 7;
            let expire = |state, buffer: &mut [u8; 64], begun| {
                thalweg_deframer_expire(state, buffer.as_mut_ptr(), 64, begun, null_mut())
            };
            assert_eq!(expire(&mut state, &mut buffer, &mut begun), Status::Ok);
            assert_eq!(begun, 1);
            // The noise, the damaged frame, and the first byte of what was given up.
            assert_eq!(state.skipped, 5 + 60 + 1);
            state.lent = 65;
            assert_eq!(
                expire(&mut state, &mut buffer, &mut begun),
                Status::Parameter
            );
        }
    }
}
