/* The start of a Cortex-M4F with semihosting, for QEMU's mps2-an386. */
#include <stdint.h>

void _start(void);

static void reset(void) {
  *(volatile uint32_t *)0xE000ED88 |= 0xF << 20; /* CPACR: the floating-point unit on. */
  __asm volatile("dsb; isb");
  _start();
}

static void stop(void) {
  for (;;) {
  }
}

__attribute__((section(".vectors"), used)) const void *const vectors[] = {(void *)0x20400000, reset, stop, stop};
