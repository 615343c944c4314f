"""Bilevel optimisation in NumPy float64: the figures that `bilevel --check` compares with.

    python3 examples/tests/reference/bilevel.py

Python 3.11.7, NumPy 2.4.6 with OPENBLAS_NUM_THREADS=1; 40 draws of A, 32 of B, 8 of the larger A, five minutes. The program holds mean and
standard deviation of ln(loss) and of ln(loss / base) at the last mark (`examples/src/bilevel/published.rs`). Mean losses there:

    A, step 99: direct only .00884; ITD .0136; ESJ unit sphere .0088; Gaussian Q=1 40.1, Q=10 5.46; AID-FP .0655; AID-CG .0699;
    stocBiO .0704; HOZOG unit sphere 17.5, Gaussian Q=10 1.30
    B, step 300, validation / test: direct only 1.81 / 1.77; ITD, AID-CG and AID-FP .128 / .176; stocBiO .130 / .175;
    ESJ and HOZOG Q=5 .159 / .190; ESJ Q=20 .143 / .174
    larger A, step 149: direct only .0065; ITD .0102; ESJ unit sphere .0068; Gaussian 46; AID-CG .12; HOZOG unit sphere 10;
    AID-FP .04 to .11 in six draws, 1.8 and 5.9 in two, where the series of products diverges on the way

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

    inputs, features, n, alpha, steps = 64, 128, 500, 1e-3, 20

    def __init__(self, rng):
        shape = (self.inputs, self.features)
        h, w = rng.standard_normal(shape), rng.standard_normal(self.features)
        self.data = []
        for _ in range(2):
            x = rng.standard_normal((self.n, self.inputs))
            self.data.append((x, x @ (h @ w) + 0.1 * rng.standard_normal(self.n)))
        self.x0, self.w0 = rng.standard_normal(shape), rng.standard_normal(self.features)

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

    def paths(self, hs):
        return [path(self, h) for h in hs]


class Larger(Shallow):
    """The same with twice as many inputs, features and rows."""

    inputs, features, n = 128, 256, 1000


class Ridge:
    """Experiment B: x holds the logarithms of 40 penalties."""

    n, d, alpha, steps = 60, 40, 0.2, 50

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

    def paths(self, ls):
        """Ends of the inner loops at some l, all at once: one column each."""
        (x, y), penalties = self.data[0], np.exp(np.array(ls).T)
        w = np.zeros_like(penalties)
        for _ in range(self.steps):
            w = w - self.alpha * (x.T @ (x @ w - y[:, None]) / self.n + penalties * w)
        return w.T


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
    if kind == "stocbio":
        # Equation 6 of Ji, Yang and Liang (2021): the sum from q = -1 to Q - 1, here on all rows.
        term = v = fy
        for _ in range(rest[0]):
            term = term - problem.alpha * problem.hessian(x, w, term)
            v = v + term
        return fx - problem.mixed(x, w, problem.alpha * v), w
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
    us = rng.standard_normal((count, *x.shape))
    if sphere:
        us /= np.sqrt(np.sum(us.reshape(count, -1) ** 2, axis=1)).reshape(count, *[1] * x.ndim)
    for u, w_z in zip(us, problem.paths([x + mu * u for u in us])):
        c = (w_z - w) @ fy if kind == "esj" else problem.f(x + mu * u, w_z) - f0
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
    ("ESJ unit sphere, Q = 1", ("esj", 1, True), 0.05),
    ("ESJ Gaussian, Q = 1", ("esj", 1, False), 0.05),
    ("ESJ Gaussian, Q = 10", ("esj", 10, False), 0.05),
    ("AID-FP", ("fp",), 0.05),
    ("AID-CG", ("cg", 20), 0.05),
    ("stocBiO, all rows", ("stocbio", 20), 0.05),
    ("HOZOG unit sphere, Q = 1", ("hozog", 1, True), 0.1),
    ("HOZOG Gaussian, Q = 10", ("hozog", 10, False), 0.1),
]
LARGER = [
    ("direct only", ("direct",), 0.05),
    ("ITD", ("itd",), 0.05),
    ("ESJ unit sphere, Q = 1", ("esj", 1, True), 0.05),
    ("ESJ Gaussian, Q = 1", ("esj", 1, False), 0.05),
    ("AID-FP", ("fp",), 0.05),
    ("AID-CG", ("cg", 20), 0.01),
    ("HOZOG unit sphere, Q = 1", ("hozog", 1, True), 0.1),
]
B = [
    ("direct only", ("direct",), 0.05),
    ("ITD", ("itd",), 0.05),
    ("AID-CG", ("cg", 10), 0.05),
    ("AID-FP", ("fp",), 0.05),
    ("stocBiO, all rows", ("stocbio", 10), 0.05),
    ("ESJ Q = 1", ("esj", 1, False), 0.05),
    ("ESJ Q = 5", ("esj", 5, False), 0.05),
    ("ESJ Q = 20", ("esj", 20, False), 0.05),
    ("HOZOG Q = 5", ("hozog", 5, False), 0.05),
]

EXPERIMENTS = {
    "A": (Shallow, A, "direct only", [0, 10, 20, 50, 99]),
    "Larger": (Larger, LARGER, "direct only", [0, 10, 20, 50, 149]),
    "B": (Ridge, B, "ITD", [0, 50, 100, 200, 300]),
}


def table(experiment, seeds):
    """Mean losses at the marks; mean and standard deviation of ln(loss) and of ln(loss / base) at the last mark."""
    make, rows, base, marks = EXPERIMENTS[experiment]
    losses = {}
    for name, method, rate in rows:
        losses[name] = np.array([
            run(make(np.random.default_rng(seed)), method, rate, np.random.default_rng([seed, 7]), marks)
            for seed in range(seeds)
        ])
        for part, label in enumerate(["validation", "test"][: losses[name].shape[2]]):
            means = "  ".join(f"{m:.4g}" for m in losses[name][:, :, part].mean(0))
            print(f"  {name:24} {label:10} {means}", flush=True)
    for part, label in enumerate(["validation", "test"][: losses[base].shape[2]]):
        print(f"  {label}: mean and deviation of ln(loss), of ln(loss / that of {base}), after {marks[-1]} steps")
        for name, found in losses.items():
            end = np.log(found[:, -1, part])
            ratio = end - np.log(losses[base][:, -1, part])
            cells = [end.mean(), end.std(ddof=1), ratio.mean(), ratio.std(ddof=1)]
            print(f'    ("{name}", [{", ".join(f"{c:.4g}" for c in cells)}]),', flush=True)
    return losses


if __name__ == "__main__":
    print(f"Python {sys.version.split()[0]}, NumPy {np.__version__}")
    for experiment, seeds in [("A", 40), ("B", 32), ("Larger", 8)]:
        print(f"{experiment}: {seeds} draws, outer steps {EXPERIMENTS[experiment][3]}", flush=True)
        table(experiment, seeds)
