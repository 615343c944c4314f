//! On bare metal a panic that is reachable from any function breaks the link.

unsafe extern "C" {
    fn thalweg_can_panic() -> !;
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: never linked, so never called.
    unsafe { thalweg_can_panic() }
}
