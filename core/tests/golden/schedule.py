"""Values of optax schedules and torch's plateau, for core/tests/schedule.rs.

    python -P core/tests/golden/schedule.py > core/tests/golden/schedule.txt

-P because random.py beside this file hides the standard module. One line per schedule: its name and the values at steps 0 to 39 as the hex bits of each f64.
"""
import struct

import jax
jax.config.update("jax_enable_x64", True)
import jax.numpy as jnp
import optax
import torch

STEPS = 40


def show(name, values):
    print(name, *[struct.pack(">d", float(v)).hex() for v in values])


def optax_case(name, schedule):
    show(name, [schedule(jnp.asarray(t, dtype=jnp.float64)) for t in range(STEPS)])


print(f"# optax {optax.__version__}, jax {jax.__version__}, torch {torch.__version__}")
optax_case("linear", optax.linear_schedule(0.2, 1.0, 10, 5))
optax_case("polynomial", optax.polynomial_schedule(1.0, 0.1, 2.5, 20, 3))
optax_case("exponential", optax.exponential_decay(1.0, 7, 0.6, 2))
optax_case("staircase", optax.exponential_decay(1.0, 7, 0.6, 2, True, 0.3))
optax_case("growth", optax.exponential_decay(1.0, 7, 1.6, 0, False, 3.0))
optax_case("cosine", optax.cosine_decay_schedule(0.7, 25, 0.1, 1.5))
optax_case("warmup_constant", optax.warmup_constant_schedule(0.1, 0.9, 8))
optax_case("warmup_cosine", optax.warmup_cosine_decay_schedule(0.1, 0.9, 8, 30, 0.05, 1.0))
optax_case("warmup_exponential", optax.warmup_exponential_decay_schedule(0.1, 0.9, 8, 5, 0.7, 2, False, 0.2))
optax_case("piecewise_constant", optax.piecewise_constant_schedule(1.0, {10: 0.5, 20: 0.1, 30: 4.0}))
optax_case("piecewise_linear", optax.piecewise_interpolate_schedule("linear", 1.0, {10: 0.5, 20: 3.0, 30: 0.1}))
optax_case("piecewise_cosine", optax.piecewise_interpolate_schedule("cosine", 1.0, {10: 0.5, 20: 3.0, 30: 0.1}))
optax_case("linear_onecycle", optax.linear_onecycle_schedule(35, 0.8))
optax_case("cosine_onecycle", optax.cosine_onecycle_schedule(35, 0.8))
optax_case("sgdr", optax.sgdr_schedule([
    dict(init_value=0.1, peak_value=1.0, warmup_steps=3, decay_steps=10, end_value=0.05),
    dict(init_value=0.05, peak_value=0.6, warmup_steps=2, decay_steps=20, end_value=0.01),
]))
optax_case("join", optax.join_schedules(
    [optax.constant_schedule(0.4), optax.linear_schedule(1.0, 0.0, 10), optax.cosine_decay_schedule(0.3, 9)], [6, 20]))

parameter = torch.zeros(1, requires_grad=True)
optimiser = torch.optim.SGD([parameter], lr=1.0)
plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
    optimiser, factor=0.5, patience=2, threshold=1e-2, cooldown=3, min_lr=0.05, eps=0.0)
values = []
for t in range(STEPS):
    plateau.step(1.0 / (1 + t) if t < 12 else 0.09 - 0.0001 * t)
    values.append(optimiser.param_groups[0]["lr"])
show("plateau", values)
stepped = torch.optim.lr_scheduler.StepLR(torch.optim.SGD([parameter], lr=0.3), 9, 0.4)
values = []
for t in range(STEPS):
    values.append(stepped.get_last_lr()[0])
    stepped.optimizer.step()
    stepped.step()
show("step", values)
