"""Bilevel optimisation in NumPy float64: the figures that `bilevel --check` is held to.

    python3 examples/tests/reference/bilevel.py

Python 3.11.7, NumPy 2.4.6, means over 40 draws of the outer loss of A and over 50 of the validation / test loss of B, at the last two marks,
and in brackets the standard deviation of one draw at the last as a share of the mean:

    A, steps 50, 99: direct only .150 .00884 [.57]; ITD .110 .0136 [.26]; ESJ unit sphere .155 .0088 [.56]; Gaussian Q=1 96.6 40.1 [.38],
    Q=10 15.4 5.46 [.31]; AID-FP .283 .0655 [.38]; AID-CG .256 .0698 [.46]; HOZOG unit sphere 60.1 17.5 [.46], Gaussian Q=10 5.27 1.30 [.34]
    B, steps 200, 300: direct only 1.80 / 1.79; ITD .135 / .182, .126 / .176 [.25 / .11]; AID-CG the same;
    ESJ Q=1 .280 / .336, .211 / .253 [.23 / .19]; Q=5 .181 / .216, .156 / .188 [.23 / .13]; Q=20 .155 / .186, .141 / .173 [0.24 / 0.11];
    HOZOG Q=5 as ESJ Q=5

Written from Sow, Ji and Liang, *On the convergence theory for Hessian-free bilevel algorithms* (NeurIPS 2022), and from the
constants of their public code; it shares no line and no random draw with the crate.
"""

import sys

import numpy as np


class Adam:
    def __init__(self, rate, shape):
        self.rate, self.t = rate, 0
        self.m, self.v = np.zeros(shape), np.zeros(shape)

    def __call__(self, x, h):
        self.t += 1
        self.m = 0.9 * self.m + 0.1 * h
        self.v = 0.999 * self.v + 0.001 * h * h
        m, v = self.m / (1 - 0.9**self.t), self.v / (1 - 0.999**self.t)
        return x - self.rate * m / (np.sqrt(v) + 1e-8)


class Shallow:
    """Experiment A: x is the 64 x 128 matrix H, w is in R^128."""

    n, alpha, steps, outer, rate = 500, 1e-3, 20, 100, 0.05

    def __init__(self, rng):
        h, w = rng.standard_normal((64, 128)), rng.standard_normal(128)
        self.data = []
        for _ in range(2):
            x = rng.standard_normal((self.n, 64))
            self.data.append((x, x @ (h @ w) + 0.1 * rng.standard_normal(self.n)))
        self.x0, self.w0 = rng.standard_normal((64, 128)), rng.standard_normal(128)

    def s(self, part, h, w):
        x, y = self.data[part]
        return x.T @ (x @ (h @ w) - y) / self.n

    def g_y(self, h, w):
        return h.T @ self.s(0, h, w) + 0.1 * w

    def f(self, h, w, part=1):
        x, y = self.data[part]
        return np.sum((x @ (h @ w) - y) ** 2) / (2 * self.n)

    def f_x(self, h, w):
        return np.outer(self.s(1, h, w), w)

    def f_y(self, h, w):
        return h.T @ self.s(1, h, w)

    def hessian(self, h, w, v):
        x = self.data[0][0]
        return h.T @ (x.T @ (x @ (h @ v))) / self.n + 0.1 * v

    def mixed(self, h, w, v):
        x = self.data[0][0]
        return np.outer(self.s(0, h, w), v) + np.outer(x.T @ (x @ (h @ v)) / self.n, w)

    def project(self, h):
        return h


class Ridge:
    """Experiment B: x holds the logarithms of 40 penalties."""

    n, d, alpha, steps, outer, rate = 60, 40, 0.2, 50, 300, 0.05

    def __init__(self, rng):
        w = np.zeros(self.d)
        active = rng.permutation(self.d)[:8]
        w[active] = rng.choice([-1.0, 1.0], 8) * rng.uniform(0.5, 1.5, 8)
        self.data = []
        for n in (self.n, self.n, 2000):
            x = rng.standard_normal((n, self.d))
            self.data.append((x, x @ w + 0.5 * rng.standard_normal(n)))
        self.x0, self.w0 = np.zeros(self.d), np.zeros(self.d)

    def g_y(self, l, w):
        x, y = self.data[0]
        return x.T @ (x @ w - y) / self.n + np.exp(l) * w

    def f(self, l, w, part=1):
        x, y = self.data[part]
        return np.mean((x @ w - y) ** 2) / 2

    def f_x(self, l, w):
        return np.zeros(self.d)

    def f_y(self, l, w):
        x, y = self.data[1]
        return x.T @ (x @ w - y) / self.n

    def hessian(self, l, w, v):
        x = self.data[0][0]
        return x.T @ (x @ v) / self.n + np.exp(l) * v

    def mixed(self, l, w, v):
        return np.exp(l) * w * v

    def project(self, l):
        return np.clip(l, -6, 1)


def path(problem, x):
    w = problem.w0
    for _ in range(problem.steps):
        w = w - problem.alpha * problem.g_y(x, w)
    return w


def hypergradient(problem, method, x, rng, mu=0.01):
    kind, *rest = method
    w = path(problem, x)
    fx, fy = problem.f_x(x, w), problem.f_y(x, w)
    if kind == "direct":
        return fx, w
    if kind == "itd":
        ws = [problem.w0]
        for _ in range(problem.steps):
            ws.append(ws[-1] - problem.alpha * problem.g_y(x, ws[-1]))
        h, a = fx, fy
        for w_t in reversed(ws[:-1]):
            h = h - problem.alpha * problem.mixed(x, w_t, a)
            a = a - problem.alpha * problem.hessian(x, w_t, a)
        return h, w
    if kind == "fp":
        v = np.zeros_like(fy)
        for _ in range(problem.steps):
            v = v - problem.alpha * problem.hessian(x, w, v) + fy
        return fx - problem.alpha * problem.mixed(x, w, v), w
    if kind == "cg":
        v, r = np.zeros_like(fy), fy.copy()
        q, rr = r.copy(), fy @ fy
        for _ in range(rest[0]):
            hq = problem.hessian(x, w, q)
            step = rr / (q @ hq)
            v, r = v + step * q, r - step * hq
            old, rr = rr, r @ r
            if rr == 0:
                break
            q = r + rr / old * q
        return fx - problem.mixed(x, w, v), w
    count, sphere = rest
    h = fx.copy() if kind == "esj" else np.zeros_like(fx)
    f0 = problem.f(x, w)
    for _ in range(count):
        u = rng.standard_normal(x.shape)
        if sphere:
            u /= np.linalg.norm(u)
        z = x + mu * u
        w_z = path(problem, z)
        c = (w_z - w) @ fy if kind == "esj" else problem.f(z, w_z) - f0
        h = h + c / mu / count * u
    return h, w


def run(problem, method, rate, rng, marks):
    x, adam, out = problem.x0, Adam(rate, problem.x0.shape), []
    for k in range(max(marks) + 1):
        h, w = hypergradient(problem, method, x, rng)
        if k in marks:
            out.append([problem.f(x, w, part) for part in range(1, len(problem.data))])
        x = problem.project(adam(x, h))
    return np.array(out)


A = [
    ("direct only", ("direct",), 0.05),
    ("ITD", ("itd",), 0.05),
    ("ESJ unit sphere Q=1", ("esj", 1, True), 0.05),
    ("ESJ Gaussian Q=1", ("esj", 1, False), 0.05),
    ("ESJ Gaussian Q=10", ("esj", 10, False), 0.05),
    ("AID-FP", ("fp",), 0.05),
    ("AID-CG", ("cg", 20), 0.05),
    ("HOZOG unit sphere Q=1", ("hozog", 1, True), 0.1),
    ("HOZOG Gaussian Q=10", ("hozog", 10, False), 0.1),
]
B = [
    ("direct only", ("direct",), 0.05),
    ("ITD", ("itd",), 0.05),
    ("AID-CG", ("cg", 10), 0.05),
    ("AID-FP", ("fp",), 0.05),
    ("ESJ Q=1", ("esj", 1, False), 0.05),
    ("ESJ Q=5", ("esj", 5, False), 0.05),
    ("ESJ Q=20", ("esj", 20, False), 0.05),
    ("HOZOG Q=5", ("hozog", 5, False), 0.05),
]

if __name__ == "__main__":
    print(f"Python {sys.version.split()[0]}, NumPy {np.__version__}")
    for title, make, rows, seeds, marks in [
        ("A", Shallow, A, 40, [0, 10, 20, 50, 99]),
        ("B", Ridge, B, 50, [0, 50, 100, 200, 300]),
    ]:
        print(f"{title}: mean and standard deviation over {seeds} seeds at outer steps {marks}")
        for name, method, rate in rows:
            runs = np.array([
                run(make(np.random.default_rng(seed)), method, rate, np.random.default_rng([seed, 7]), marks)
                for seed in range(seeds)
            ])
            for part, label in enumerate(["validation", "test"][: runs.shape[2]]):
                mean, deviation = runs[:, :, part].mean(0), runs[:, :, part].std(0, ddof=1)
                cells = "  ".join(f"{m:.4g} [{s:.3g}]" for m, s in zip(mean, deviation))
                print(f"  {name:24} {label:10} {cells}", flush=True)
