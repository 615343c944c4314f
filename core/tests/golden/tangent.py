"""Tangent kernels of small networks and their gradient flows, for core/tests/kernel/tangent.rs and evolution.rs.

    python -P core/tests/golden/tangent.py > core/tests/golden/tangent.txt

Jacobians by automatic differentiation (jax.jacrev), the weights by jax.vjp, in float64: jax 0.10.2. The flow of cross-entropy by SciPy
(DOP853, tolerances 1e-13), that of the squared loss by the exponential of the matrix of the linear system: scipy 1.17.1, numpy 2.4.6.
Inputs are the fractions of the tests' `painted`. Each line: what, sizes, activation, numbers.
"""
import jax
import jax.numpy as jnp
import numpy as np
from scipy.integrate import solve_ivp
from scipy.linalg import expm

jax.config.update("jax_enable_x64", True)
M = (1 << 64) - 1
N = 5
TIMES = [0.5, 3.0, 20.0]


def painted(n, phase):
    state, out = (phase * 0x9E3779B97F4A7C15 & M) | 1, []
    for _ in range(n):
        state = (state * 6364136223846793005 + 1442695040888963407) & M
        out.append((state >> 40) / (1 << 23) - 1.0)
    return np.array(out)


def network(sizes, h):
    def f(params, x):
        at, a = 0, x
        for l, (i, o) in enumerate(zip(sizes, sizes[1:])):
            w = params[at : at + i * o].reshape(o, i)
            b = params[at + i * o : at + i * o + o]
            at += i * o + o
            a = a @ w.T + b
            if l + 2 < len(sizes):
                a = h(a)
        return a

    return f


def show(what, sizes, name, numbers):
    print(what, "-".join(map(str, sizes)), name, *(repr(float(x)) for x in np.ravel(numbers)))


ACTIVATIONS = {"relu": jax.nn.relu, "tanh": jnp.tanh, "sigmoid": jax.nn.sigmoid}
for sizes, name in [([3, 2], "relu"), ([5, 4, 3], "relu"), ([5, 4, 3], "sigmoid"), ([6, 5, 4, 3], "tanh"), ([4, 6, 5, 3, 2], "sigmoid"), ([4, 7, 6, 2], "relu"), ([5, 6, 1], "tanh")]:
    f = network(sizes, ACTIVATIONS[name])
    dim = sum(o * (i + 1) for i, o in zip(sizes, sizes[1:]))
    x, params, C = painted(N * sizes[0], 21).reshape(N, -1), painted(dim, 23), sizes[-1]
    J = np.asarray(jax.jacrev(f)(params, x)).reshape(N * C, dim)
    K = J @ J.T
    H = np.trace(K.reshape(N, C, N, C), axis1=1, axis2=3) / C
    show("trace", sizes, name, H)
    show("full", sizes, name, K)
    if (sizes, name) not in [([5, 4, 3], "relu"), ([6, 5, 4, 3], "tanh")]:
        continue
    start = np.asarray(f(params, x)).ravel()
    onehot = np.eye(C)[[(7 * i) % C for i in range(N)]]

    def residual(f):
        e = np.exp(f.reshape(N, C) - f.reshape(N, C).max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True) - onehot

    def flow(_, y):
        r = residual(y[: N * C])
        return np.concatenate([(-H @ r / N).ravel(), r.ravel()])

    y0 = np.concatenate([start, np.zeros(N * C)])
    path = solve_ivp(flow, (0, TIMES[-1]), y0, "DOP853", TIMES, rtol=1e-13, atol=1e-13).y.T
    # d/dt (f - Y, S) = ((-H / (N C), 0), (1, 0)) (f - Y, S), a column for each output.
    A = np.block([[-H / (N * C), np.zeros((N, N))], [np.eye(N), np.zeros((N, N))]])
    r0 = np.vstack([start.reshape(N, C) - onehot, np.zeros((N, C))])
    _, pull = jax.vjp(lambda w: f(w, x), jnp.asarray(params))
    for k, t in enumerate(TIMES):
        S = path[k][N * C :].reshape(N, C)
        show(f"cross_entropy_{t}", sizes, name, np.concatenate([path[k], params - np.asarray(pull(jnp.asarray(S))[0]) / N]))
        y = expm(A * t) @ r0
        S = y[N:]
        show(f"squared_{t}", sizes, name, np.concatenate([(y[:N] + onehot).ravel(), S.ravel(), params - np.asarray(pull(jnp.asarray(S))[0]) / (N * C)]))
