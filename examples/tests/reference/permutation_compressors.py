"""Independent reference for the random figures of `permutation_compressors --check`.

NumPy only, float64, NumPy's random numbers: its own family of quadratics, step sizes, MARINA with PermK and RandK, and
count of bits. For each figure of the check the natural logarithm of |grad f|^2 once a client's budget is spent: mean
and deviation over 32 runs with draws of their own.

    python examples/tests/reference/permutation_compressors.py    output: permutation_compressors.txt (numpy 2.4.6)
"""

import numpy as np

D, MU, BUDGET, RUNS = 1000, 1e-6, 2.5e8, 32
NOISE = (0.0, 0.1, 0.8)
# Exponents of the multiples of the theory's step: those with a published figure, by clients and noise.
EXPONENTS = {
    "perm_k": {10: ((0,), (0, 1), (0, 2)), 100: ((0,), (0, 2), (0, 3)), 1000: ((0,), (0, 1), (0, 1))},
    "rand_k": {10: ((0, 2),) * 3, 100: ((0, 1),) * 3, 1000: ((0, 2),) * 3},
}


def laplacian(x):
    """tridiag(-1, 2, -1) x / 4."""
    y = 2.0 * x
    y[..., 1:] -= x[..., :-1]
    y[..., :-1] -= x[..., 1:]
    return y / 4.0


class Family:
    """Constants of n clients with one noise."""

    def __init__(self, n, s):
        z = np.random.default_rng(1234).standard_normal(2 * n)
        self.nu = 1.0 + s * z[:n]
        self.b = np.mean(self.nu / 4.0 * (s * z[n:] - 1.0))
        cos = np.cos(np.arange(1, D + 1) * np.pi / (D + 1))
        t, mean = (1.0 - cos) / 2.0, self.nu.mean()
        self.mean, self.shift = mean, MU - mean * t[0]
        self.l_minus = mean * t[-1] + self.shift
        self.l_plus_minus = self.nu.std() * t[-1]
        self.l_plus = np.sqrt(np.max(np.mean(self.nu**2) * t**2 + 2 * self.shift * mean * t + self.shift**2))

    def step(self, method, n, k):
        if method == "perm_k":
            return 1.0 / (self.l_minus + np.sqrt(n - 1.0) * self.l_plus_minus)
        return 1.0 / (self.l_minus + self.l_plus * (D / k - 1.0) / np.sqrt(n))


def supports(rng, n, k):
    """Coordinates of each client of each run, k without repetition: (RUNS, n, k)."""
    if k == 1:
        return rng.integers(D, size=(RUNS, n, 1))
    if k * k > D:
        return rng.permuted(np.tile(np.arange(D), (RUNS * n, 1)), axis=1)[:, :k].reshape(RUNS, n, k)
    drawn = rng.integers(D, size=(RUNS * n, k))
    while True:
        ordered = np.sort(drawn, axis=1)
        again = np.flatnonzero((ordered[:, 1:] == ordered[:, :-1]).any(axis=1))
        if len(again) == 0:
            return drawn.reshape(RUNS, n, k)
        drawn[again] = rng.integers(D, size=(len(again), k))


def figures(method, n, rng):
    k = D // n
    settings = [(family, e) for family, of in zip(map(lambda s: Family(n, s), NOISE), EXPONENTS[method][n]) for e in of]
    column = lambda values: np.array(values)[:, None, None]
    gamma = column([family.step(method, n, k) * 2.0**e for family, e in settings])
    shift, mean, b = (column([getattr(family, name) for family, _ in settings]) for name in ("shift", "mean", "b"))
    nu = np.array([family.nu for family, _ in settings])

    def gradient(x):
        g = mean * laplacian(x) + shift * x
        g[..., :1] -= b
        return g

    x = np.zeros((len(settings), RUNS, D))
    x[..., 0] = np.sqrt(D)
    last, g = x.copy(), np.zeros_like(x)
    bits, is_open = np.zeros(RUNS), np.ones(RUNS, bool)
    found = np.full((len(settings), RUNS), np.nan)
    blocks = np.repeat(np.arange(n), k)
    for r in range(10**6):
        full = rng.random(RUNS) < 1.0 / n
        if r == 0:
            full[:] = True
        cost = np.where(full, 32.0 * D, 32.0 * k)
        ends = is_open & (bits + cost > BUDGET / n)
        if ends.any():
            found[:, ends] = np.log(np.sum(gradient(x[:, ends]) ** 2, axis=-1))
            is_open &= ~ends
            if not is_open.any():
                return settings, found
        bits += cost
        y = x - last
        t = laplacian(y)
        if method == "perm_k":
            order = rng.permuted(np.tile(np.arange(D), (RUNS, 1)), axis=1)
            owner = np.empty_like(order)
            np.put_along_axis(owner, order, np.broadcast_to(blocks, order.shape), axis=1)
            change = nu[:, owner] * t + shift * y
        else:
            at = (supports(rng, n, k) + D * np.arange(RUNS)[:, None, None]).ravel()
            count = np.bincount(at, minlength=RUNS * D).reshape(RUNS, D)
            sums = {}
            for family, _ in settings:
                weights = np.broadcast_to(family.nu[None, :, None], (RUNS, n, k)).ravel()
                if family not in sums:
                    sums[family] = np.bincount(at, weights, minlength=RUNS * D).reshape(RUNS, D)
            weight = np.array([sums[family] for family, _ in settings])
            change = D / (k * n) * (weight * t + shift * count * y)
        g += change
        if full.any():
            g[:, full] = gradient(x[:, full])
        last = x
        x = x - gamma * g


for n in (10, 100, 1000):
    for index, method in enumerate(("perm_k", "rand_k")):
        settings, found = figures(method, n, np.random.default_rng((7, n, index)))
        labels = [(s, e) for s, of in zip(NOISE, EXPONENTS[method][n]) for e in of]
        for (s, e), values in zip(labels, found):
            print(f"{method} n {n:4} s {s} exponent {e}: {values.mean():8.4f} {values.std(ddof=1):.4f}", flush=True)
