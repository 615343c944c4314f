"""Trajectories of torch.optim and optax on the gradients below, for core/tests/optim.rs.

    python -P core/tests/golden/optim.py > core/tests/golden/optim.txt

One line per case: scalar type, algorithm, its options, and the parameters after steps 1, 2, 5 and 20 as the hex
bits of each number. Gradients are multiples of 2^-15, scaled by powers of two, so that both sides build the same ones.
"""
import itertools
import struct

import jax
jax.config.update("jax_enable_x64", True)
import jax.numpy as jnp
import numpy as np
import optax
import torch

N, STEPS, SHOWN = 7, 20, (1, 2, 5, 20)


def grad(t):
    """Element 3 is always zero; element i is scaled by 4^-i."""
    out = []
    for i in range(N):
        x = ((t * 37 + i * 101 + 13) * 2654435761) % 2**32
        out.append(0.0 if i == 3 else ((x >> 16) / 32768 - 1) * 4.0**-i)
    return np.array(out)


def start():
    return np.array([(i - 3) / 4 for i in range(N)])


def bits(x):
    if x.dtype == np.float32:
        return [struct.pack(">f", v).hex() for v in x]
    return [struct.pack(">d", v).hex() for v in x]


def show(dtype, algorithm, options, trajectory):
    words = [f"{k}={v}" for k, v in options.items()]
    print(dtype, algorithm, *words, ":", *[b for x in trajectory for b in bits(x)])


def run_torch(algorithm, cls, options, **extra):
    for dtype, name in ((torch.float32, "f32"), (torch.float64, "f64")):
        x = torch.tensor(start(), dtype=dtype, requires_grad=True)
        optimiser = cls([x], **options, **extra)
        shown = []
        for t in range(1, STEPS + 1):
            x.grad = torch.tensor(grad(t), dtype=dtype)
            optimiser.step()
            if t in SHOWN:
                shown.append(x.detach().numpy().copy())
        show(name, algorithm, {k: float(v) for k, v in options.items()}, shown)


def run_optax(algorithm, make, options):
    for dtype, name in ((np.float32, "f32"), (np.float64, "f64")):
        x = jnp.array(start(), dtype=dtype)
        optimiser = make(**options)
        state = optimiser.init(x)
        shown = []
        for t in range(1, STEPS + 1):
            updates, state = optimiser.update(jnp.array(grad(t), dtype=dtype), state, x)
            x = optax.apply_updates(x, updates)
            if t in SHOWN:
                shown.append(np.asarray(x))
        show(name, algorithm, {k: float(v) for k, v in options.items()}, shown)


def grid(**options):
    for values in itertools.product(*options.values()):
        yield dict(zip(options, values))


print(f"# torch {torch.__version__}, optax {optax.__version__}, jax {jax.__version__}, numpy {np.__version__}")
for o in grid(lr=(0.1,), momentum=(0.0, 0.9), dampening=(0.0, 0.3), nesterov=(False, True),
              weight_decay=(0.0, 0.1), maximize=(False, True)):
    if o["nesterov"] and (o["momentum"] == 0 or o["dampening"] != 0):
        continue
    run_torch("sgd", torch.optim.SGD, o, foreach=False)
for o in grid(lr=(0.01,), beta1=(0.9, 0.5), beta2=(0.999,), eps=(1e-8, 1e-3), weight_decay=(0.0, 0.1),
              amsgrad=(False, True), maximize=(False, True)):
    for algorithm, cls in (("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)):
        class Betas(cls):
            def __init__(self, params, beta1, beta2, **rest):
                super().__init__(params, betas=(beta1, beta2), **rest)
        run_torch(algorithm, Betas, o, foreach=False)
for o in grid(lr=(0.01,), alpha=(0.99,), eps=(1e-8, 1e-3), centered=(False, True), momentum=(0.0, 0.9),
              weight_decay=(0.0, 0.1), maximize=(False, True)):
    run_torch("rmsprop", torch.optim.RMSprop, o, foreach=False)
for o in grid(learning_rate=(0.01,), decay=(0.9,), eps=(1e-8, 1e-3), momentum=(0.0, 0.9)):
    run_optax("rmsprop_optax", lambda momentum, **k: optax.rmsprop(momentum=momentum or None, eps_in_sqrt=True, **k), o)
for o in grid(lr=(0.1,), lr_decay=(0.0, 0.2), initial_accumulator_value=(0.0, 0.5), eps=(1e-10,),
              weight_decay=(0.0, 0.1), maximize=(False, True)):
    run_torch("adagrad", torch.optim.Adagrad, o, foreach=False)
for o in grid(learning_rate=(0.01,), b1=(0.9, 0.5), b2=(0.99,), weight_decay=(0.0, 1e-3, 0.1)):
    run_optax("lion", optax.lion, o)
