"""Label noise on the sparse model: a short trajectory and the limit at three times, for core/src/dynamics.

    python -P core/tests/golden/label_noise.py > core/tests/golden/label_noise.txt

The trajectory is the plain recurrence in NumPy float64 with listed samples and signs. The limit at delta^2 t is
found without the dual problem: gradient flow from the start whose u and v have both shrunk by exp(-2 delta^2 m t),
integrated by SciPy (LSODA) until the residual is gone. Data are multiples of 2^-15, so that both sides build the same ones.
"""
import sys

import numpy as np
import scipy
from scipy.integrate import solve_ivp

N, D = 3, 6


def word(k):
    return ((k * 2654435761) % 2**32 >> 16) / 32768 - 1


Z = np.array([[2 * word(37 * i + 101 * j + 13) for j in range(D)] for i in range(N)])
Y = np.array([word(11 * i + 5) for i in range(N)])
# Both signs, no zero.
U = np.array([1.0, -0.75, 0.5, 1.25, -1.0, 0.875])
V = np.array([0.75, 1.0, -0.5, -1.5, 1.25, 1.0])
M = (Z**2).mean(axis=0)


def show(name, x):
    print(name, *(float(v).hex() for v in x))


def trajectory(eta=0.0078125, delta=0.5, steps=24):
    u, v = U.copy(), V.copy()
    for k in range(steps):
        i = (7 * k + k // 5) % N
        e = delta if (k * k + k // 3) % 2 == 0 else -delta
        r = Z[i] @ (u * u - v * v) - Y[i] + e
        c = 2 * eta * r
        u, v = u - c * Z[i] * u, v + c * Z[i] * v
        if k + 1 in (1, 8, 24):
            show(f"trajectory {k + 1}", np.concatenate([u, v]))


def limit(clock):
    shrink = np.exp(-2 * M * clock)
    start = np.concatenate([U * shrink, V * shrink])

    def flow(_, x):
        u, v = x[:D], x[D:]
        g = 2 * Z.T @ (Z @ (u * u - v * v) - Y) / N
        return np.concatenate([-g * u, g * v])

    run = solve_ivp(flow, (0, 2e6), start, method="LSODA", rtol=1e-13, atol=1e-16)
    x = run.y[:, -1]
    residual = np.abs(Z @ (x[:D] ** 2 - x[D:] ** 2) - Y).max()
    assert residual < 1e-11, residual
    show(f"limit {clock}", x)


print(f"# NumPy {np.__version__}, SciPy {scipy.__version__}, Python {sys.version.split()[0]}")
trajectory()
for clock in (0.0, 0.25, 0.75):
    limit(clock)
