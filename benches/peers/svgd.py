"""One SVGD step with a fixed bandwidth in NumPy, PyTorch and JAX, where installed: the peers of `cargo bench --bench particle`.

    python3 benches/peers/svgd.py [--threads 2]

Prints microseconds, the best of nine; each library in its fastest form, K (G - 2X/h) + (2/h) x rowsum(K), in float32.
Threads are set before the libraries start, so each count is a run of its own.
"""

import argparse
import os
import time

parser = argparse.ArgumentParser()
parser.add_argument("--threads", type=int, default=1)
threads = parser.parse_args().threads
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = str(threads)
if hasattr(os, "sched_setaffinity"):
    # XLA counts the processors of the process.
    os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[:threads]))

import numpy as np  # noqa: E402


def best(f, repeats):
    f()
    times = []
    for _ in range(9):
        start = time.perf_counter()
        for _ in range(repeats):
            f()
        times.append((time.perf_counter() - start) / repeats)
    return min(times) * 1e6


def numpy_step(x, g, h, eps):
    norms = np.einsum("ij,ij->i", x, x)
    k = x @ x.T
    k *= 2
    k -= norms[:, None]
    k -= norms
    k *= 1 / h
    np.exp(k, out=k)
    phi = k @ (g - (2 / h) * x) + (2 / h) * x * k.sum(1, keepdims=True)
    return x + (eps / len(x)) * phi


def of_numpy(x, g, h):
    return lambda: numpy_step(x, g, np.float32(h), np.float32(0.01))


contenders = {"numpy " + np.__version__: of_numpy}

try:
    import torch

    torch.set_num_threads(threads)

    def torch_step(x, g, h, eps):
        norms = (x * x).sum(1)
        k = torch.addmm(norms[:, None] + norms, x, x.T, alpha=-2)
        k.mul_(-1 / h).exp_()
        phi = torch.addmm((2 / h) * x * k.sum(1, keepdim=True), k, g - (2 / h) * x)
        return x + (eps / len(x)) * phi

    def of_torch(x, g, h):
        x, g = torch.from_numpy(x), torch.from_numpy(g)
        return lambda: torch_step(x, g, h, 0.01)

    contenders["torch " + torch.__version__] = of_torch
except ImportError:
    print("torch is not installed")

try:
    import jax
    import jax.numpy as jnp

    @jax.jit
    def jax_step(x, g, h):
        norms = (x * x).sum(1)
        k = jnp.exp((2 * x @ x.T - norms[:, None] - norms) / h)
        phi = k @ (g - (2 / h) * x) + (2 / h) * x * k.sum(1, keepdims=True)
        return x + (0.01 / len(x)) * phi

    def of_jax(x, g, h):
        x, g = jnp.asarray(x), jnp.asarray(g)
        return lambda: jax_step(x, g, h).block_until_ready()

    contenders["jax " + jax.__version__] = of_jax
except ImportError:
    print("jax is not installed")

print(f"us per step, {threads} thread(s):", ", ".join(contenders))
for n, d in [(100, 10), (1000, 50), (2000, 200)]:
    rng = np.random.default_rng(0)
    x, g = (rng.standard_normal((n, d), dtype=np.float32) for _ in range(2))
    repeats = 50_000_000 // (n * n * d) + 1
    times = [best(make(x, g, float(d)), repeats) for make in contenders.values()]
    print(f"  ({n}, {d}):", "  ".join(f"{t:.1f}" for t in times))
