"""Trajectories of Muon for core/tests/optim.rs.

    python -P core/tests/golden/muon.py > core/tests/golden/muon.txt

One line per case: scalar type, rows, columns, Nesterov's form or not, and the weights after steps 1, 2 and 5 as the hex bits of each number.
Without Nesterov's form they are those of optax.contrib.muon, which takes the transpose of a weight matrix; with eps 0, since it corrects the momentum for
its start, as Jordan's code and torch.optim.Muon do not. In Nesterov's form, eps 1e-7, the momentum is that of Jordan's code, and the iteration optax's.
Gradients are multiples of 2^-15 scaled by powers of two, so that both sides build the same ones.
"""
import struct

import jax
jax.config.update("jax_enable_x64", True)
import jax.numpy as jnp
import numpy as np
import optax
from optax.contrib import muon
from optax.contrib._muon import orthogonalize_via_newton_schulz

STEPS, SHOWN = 5, (1, 2, 5)
RATE, MOMENTUM, DECAY = 0.125, 0.9, 0.25
COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def grad(t, n):
    """Element i is scaled by 2^-(i mod 5)."""
    words = [((t * 37 + i * 101 + 13) * 2654435761) % 2**32 for i in range(n)]
    return np.array([((x >> 16) / 32768 - 1) * 2.0 ** -(i % 5) for i, x in enumerate(words)])


def bits(x):
    pack = ">f" if x.dtype == np.float32 else ">d"
    return [struct.pack(pack, v).hex() for v in np.asarray(x).ravel()]


def of_optax(x, rows, columns):
    optimiser = muon(RATE, ns_coeffs=COEFFICIENTS, beta=MOMENTUM, eps=0.0, weight_decay=DECAY, nesterov=False)
    params = jnp.asarray(x.T)
    state = optimiser.init(params)
    for t in range(1, STEPS + 1):
        g = jnp.asarray(grad(t, rows * columns).reshape(rows, columns).T.astype(x.dtype))
        updates, state = optimiser.update(g, state, params)
        params = optax.apply_updates(params, updates)
        yield t, np.asarray(params).T


def of_jordan(x, rows, columns):
    momentum = np.zeros_like(x)
    for t in range(1, STEPS + 1):
        g = grad(t, rows * columns).reshape(rows, columns).astype(x.dtype)
        momentum = momentum + x.dtype.type(1 - MOMENTUM) * (g - momentum)
        u = g + x.dtype.type(MOMENTUM) * (momentum - g)
        step = orthogonalize_via_newton_schulz(jnp.asarray(u), jnp.asarray(COEFFICIENTS), eps=1e-7)
        scale = RATE * max(1, rows / columns) ** 0.5
        x = (x * x.dtype.type(1 - RATE * DECAY) - x.dtype.type(scale) * np.asarray(step)).astype(x.dtype)
        yield t, x


print(f"# optax {optax.__version__}, jax {jax.__version__}, numpy {np.__version__}")
for dtype, name in ((np.float32, "f32"), (np.float64, "f64")):
    for rows, columns in ((3, 5), (5, 3), (4, 4), (1, 6), (6, 1)):
        start = (np.arange(rows * columns) - 3.0).reshape(rows, columns).astype(dtype) / 4
        for nesterov, run in ((0, of_optax), (1, of_jordan)):
            shown = [b for t, x in run(start, rows, columns) if t in SHOWN for b in bits(x)]
            print(name, rows, columns, nesterov, *shown)
