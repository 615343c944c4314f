//! The same kernels in C, where a C compiler is at hand.

use core::ffi::CStr;

use super::kernels::{N, Room};

unsafe extern "C" {
    fn arm_dot_prod_f32(x: *const f32, y: *const f32, n: u32, result: *mut f32);
    fn arm_scale_f32(x: *const f32, scale: f32, out: *mut f32, n: u32);
    fn arm_add_f32(x: *const f32, y: *const f32, out: *mut f32, n: u32);
    fn arm_mean_f32(x: *const f32, n: u32, result: *mut f32);
    fn arm_power_f32(x: *const f32, n: u32, result: *mut f32);
    fn roots_f32(x: *const f32, out: *mut f32, n: u32);
}

extern "C" fn dot(r: &mut Room) {
    // SAFETY: arrays of N elements that do not overlap, here and below.
    unsafe { arm_dot_prod_f32(r.x.as_ptr(), r.y.as_ptr(), N as u32, &mut r.result) }
}
extern "C" fn scale(r: &mut Room) {
    let z = r.z.as_mut_ptr();
    // SAFETY: as above; in place, which the function allows.
    unsafe { arm_scale_f32(z, 1.5, z, N as u32) }
}
extern "C" fn add(r: &mut Room) {
    // SAFETY: as above.
    unsafe { arm_add_f32(r.x.as_ptr(), r.y.as_ptr(), r.z.as_mut_ptr(), N as u32) }
}
extern "C" fn mean(r: &mut Room) {
    // SAFETY: as above.
    unsafe { arm_mean_f32(r.x.as_ptr(), N as u32, &mut r.result) }
}
extern "C" fn power(r: &mut Room) {
    // SAFETY: as above.
    unsafe { arm_power_f32(r.x.as_ptr(), N as u32, &mut r.result) }
}
extern "C" fn sqrt(r: &mut Room) {
    // SAFETY: as above.
    unsafe { roots_f32(r.x.as_ptr(), r.z.as_mut_ptr(), N as u32) }
}

/// Functions of `c/kernels.c` by their names.
pub const KERNELS: [(&CStr, extern "C" fn(&mut Room)); 6] = [
    (c"arm_dot_prod_f32", dot),
    (c"arm_scale_f32", scale),
    (c"arm_add_f32", add),
    (c"arm_mean_f32", mean),
    (c"arm_power_f32", power),
    (c"roots_f32", sqrt),
];
