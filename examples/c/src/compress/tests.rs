//! What the functions write, and what they leave alone.

use core::ptr::{null, null_mut};
use std::vec;
use std::vec::Vec;

use super::*;

const UNTOUCHED: f32 = -7.0;

fn key(client: u32) -> DrawKey {
    DrawKey {
        seed: 9,
        round: 4,
        client,
    }
}

#[test]
fn perm_k_writes_what_it_says_it_sends_however_many_clients_there_are() {
    for d in 1..6_usize {
        for clients in 1..14_usize {
            let x: Vec<f32> = (0..d).map(|i| 3.0 + i as f32).collect();
            let wide: Vec<f64> = x.iter().map(|&x| x.into()).collect();
            let (mut mean, mut wide_mean) = (vec![0.0_f32; d], vec![0.0_f64; d]);
            for client in 0..clients as u32 {
                let room = thalweg_perm_k_len(d, clients);
                let (mut values, mut sent) = (vec![UNTOUCHED; room + 1], 99);
                let (mut wide_values, mut wide_sent) = (vec![f64::from(UNTOUCHED); room], 99);
                // SAFETY: lengths as they are.
                unsafe {
                    let at = &key(client);
                    let (to, n) = (values.as_mut_ptr(), x.len());
                    let done = thalweg_perm_k_compress_f32(
                        at,
                        clients,
                        x.as_ptr(),
                        n,
                        to,
                        room,
                        &mut sent,
                        null_mut(),
                    );
                    assert_eq!(done, Status::Ok);
                    let to = wide_values.as_mut_ptr();
                    let done = thalweg_perm_k_compress_f64(
                        at,
                        clients,
                        wide.as_ptr(),
                        n,
                        to,
                        room,
                        &mut wide_sent,
                        null_mut(),
                    );
                    assert_eq!((done, wide_sent), (Status::Ok, sent));
                    let to = mean.as_mut_ptr();
                    let done = thalweg_perm_k_add_f32(
                        at,
                        clients,
                        values.as_ptr(),
                        sent,
                        to,
                        n,
                        null_mut(),
                    );
                    assert_eq!(done, Status::Ok);
                    let to = wide_mean.as_mut_ptr();
                    let from = wide_values.as_ptr();
                    let done = thalweg_perm_k_add_f64(at, clients, from, sent, to, n, null_mut());
                    assert_eq!(done, Status::Ok);
                }
                let (written, rest) = values.split_at(sent);
                assert!(
                    written.iter().all(|v| x.contains(v)),
                    "{clients} {d}: {written:?}"
                );
                assert!(rest.iter().all(|&v| v == UNTOUCHED));
            }
            // The mean of equal inputs is the input, up to the q roundings of q owners.
            for (i, x) in x.iter().enumerate() {
                assert!((mean[i] - x).abs() < 1e-5, "{clients} {d}: {mean:?}");
                assert!((wide_mean[i] - f64::from(*x)).abs() < 1e-13);
            }
        }
    }
}

#[test]
fn pointers_are_checked_before_the_first_write() {
    type Call = unsafe fn(*const DrawKey, *const f32, *mut f32, usize, *mut usize) -> Status;
    unsafe fn perm_k<const N: usize>(
        at: *const DrawKey,
        x: *const f32,
        to: *mut f32,
        room: usize,
        sent: *mut usize,
    ) -> Status {
        // SAFETY: the contract of the call.
        unsafe { thalweg_perm_k_compress_f32(at, N, x, 4, to, room, sent, null_mut()) }
    }
    unsafe fn rand_k(
        at: *const DrawKey,
        x: *const f32,
        to: *mut f32,
        room: usize,
        sent: *mut usize,
    ) -> Status {
        // SAFETY: the contract of the call.
        unsafe { thalweg_rand_k_compress_f32(at, 2, x, 4, to, room, sent, null_mut()) }
    }
    unsafe fn natural(
        at: *const DrawKey,
        x: *const f32,
        to: *mut f32,
        room: usize,
        sent: *mut usize,
    ) -> Status {
        // SAFETY: the contract of the call.
        unsafe { thalweg_natural_compress_f32(at, x, 4, to, room, sent, null_mut()) }
    }
    // Of five clients for four coordinates one is idle: this key's client 0 is not.
    assert_eq!(
        PermK::new(5)
            .share(
                Key {
                    seed: 9,
                    round: 4,
                    client: 0
                },
                4
            )
            .unwrap()
            .len,
        1
    );
    let calls: [(Call, usize); 4] = [
        (perm_k::<2>, 2),
        (perm_k::<5>, 1),
        (rand_k, 2),
        (natural, 4),
    ];
    for (i, (call, needed)) in calls.into_iter().enumerate() {
        let (x, mut values, mut sent) = ([1.0_f32, 2.0, 4.0, 8.0], [UNTOUCHED; 4], 99);
        let at = &key(0);
        // SAFETY: lengths as they are, or null.
        unsafe {
            let to = values.as_mut_ptr();
            assert_eq!(call(at, x.as_ptr(), to, 4, null_mut()), Status::Null, "{i}");
            assert_eq!(
                call(null(), x.as_ptr(), to, 4, &mut sent),
                Status::Null,
                "{i}"
            );
            assert_eq!(call(at, null(), to, 4, &mut sent), Status::Null, "{i}");
            assert_eq!(
                call(at, x.as_ptr(), null_mut(), 4, &mut sent),
                Status::Null,
                "{i}"
            );
            let short = call(at, x.as_ptr(), null_mut(), 0, &mut sent);
            assert_eq!(short, Status::Length, "{i}");
            let short = call(at, x.as_ptr(), to, needed - 1, &mut sent);
            assert_eq!(short, Status::Length, "{i}");
            assert_eq!((sent, values), (99, [UNTOUCHED; 4]), "{i}");
            let to = values.as_mut_ptr();
            assert_eq!(
                call(at, x.as_ptr(), to, needed, &mut sent),
                Status::Ok,
                "{i}"
            );
        }
        assert_eq!(sent, needed);
        assert!(
            values.iter().take(needed).all(|&v| v != UNTOUCHED),
            "{i}: {values:?}"
        );
    }
}

#[test]
fn the_room_of_top_k_is_never_less_than_k() {
    for d in [1, 100_000, 1 << 30, usize::MAX / 2 + 1, usize::MAX] {
        for k in [1, 1000, d / 16, d / 8, d] {
            assert!(thalweg_top_k_room(d, k) >= k, "{d} {k}");
        }
    }
}
