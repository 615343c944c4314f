"""Laws of the figures of `invariant_measure --check`, over independent seeds, for examples/src/invariant_measure/check.rs.

    OPENBLAS_NUM_THREADS=1 python -P examples/tests/reference/invariant_measure.py SEEDS > examples/tests/reference/invariant_measure.txt

A NumPy network of 64-16-10 on scikit-learn's digits, a fifth of the labels replaced; SGD with batches of 16. Each row is a figure:
mean, deviation over seeds, number of seeds.
"""
import sys
from multiprocessing import Pool

import numpy as np
import scipy
import sklearn
from sklearn.datasets import load_digits

DECAY, BATCH, HIDDEN = 1e-3, 16, 16
STEPS, POINTS = 60_000, 100
SHAPES = [(64, HIDDEN), (HIDDEN,), (HIDDEN, 10), (10,)]
CUTS = np.cumsum([int(np.prod(s)) for s in SHAPES])
D = CUTS[-1]
FEATURES = load_digits().data / 16


class Problem:
    def __init__(self, rng):
        self.x, self.y = FEATURES, load_digits().target.copy()
        wrong = rng.permutation(len(self.y))[: round(0.2 * len(self.y))]
        self.y[wrong] = rng.integers(0, 10, len(wrong))

    def value(self, theta, rows=slice(None)):
        """Loss and gradient over some rows."""
        a, b, c = CUTS[0], CUTS[1], CUTS[2]
        W, V = theta[:a].reshape(64, HIDDEN), theta[b:c].reshape(HIDDEN, 10)
        x, y = self.x[rows], self.y[rows]
        h = np.tanh(x @ W + theta[a:b])
        o = h @ V + theta[c:]
        o -= o.max(axis=1, keepdims=True)
        p = np.exp(o)
        p /= p.sum(axis=1, keepdims=True)
        at = np.arange(len(y))
        loss = -np.log(p[at, y]).mean() + 0.5 * DECAY * (theta @ theta)
        p[at, y] -= 1
        p /= len(y)
        back = (p @ V.T) * (1 - h * h)
        g = np.concatenate([(x.T @ back).ravel(), back.sum(0), (h.T @ p).ravel(), p.sum(0)])
        return loss, g + DECAY * theta

    def product(self, theta, v):
        e = 1e-5 * max(1, np.linalg.norm(theta))
        return (self.value(theta + e * v)[1] - self.value(theta - e * v)[1]) / (2 * e)

    def sharpness(self, theta, rng):
        v = rng.normal(size=D)
        v /= np.linalg.norm(v)
        for _ in range(25):
            hv = self.product(theta, v)
            v = hv / np.linalg.norm(hv)
        return v @ self.product(theta, v)

    def noise(self, theta, rng):
        """Root of E |g - grad|^2."""
        gs = np.array([self.value(theta, rng.integers(0, len(self.y), BATCH))[1] for _ in range(100)])
        return np.sqrt(gs.var(axis=0, ddof=1).sum())


def start(rng):
    theta = np.zeros(D)
    theta[: CUTS[0]] = rng.normal(size=CUTS[0]) / 8
    theta[CUTS[1] : CUTS[2]] = rng.normal(size=CUTS[2] - CUTS[1]) / 4
    return theta


def means(x):
    """Mean and squared error of the last 16 batches of the longest power of two."""
    size = 2 ** int(np.log2(len(x) // 16))
    batches = x[len(x) // size * size - 16 * size : len(x) // size * size].reshape(16, size).mean(axis=1)
    return batches.mean(), batches.var(ddof=1) / 16


def score(x):
    a, b = means(x[: len(x) // 2]), means(x[len(x) // 2 :])
    return (a[0] - b[0]) / np.sqrt(a[1] + b[1])


def run(problem, rate, steps, table, rng, lowered=None):
    """Figures of one run."""
    theta, every = start(rng), max(1, steps // POINTS)
    losses, tg, gg = np.empty(steps), np.empty(steps), np.empty(steps)
    points, out, late = [], {}, None
    curvature = []
    eta = rate
    for k in range(steps + 1):
        if k == lowered:
            eta = rate / 10
        if k % every == 0:
            loss, full = problem.value(theta)
            points.append((k, loss, np.linalg.norm(full)))
        if k == table:
            out["sharpness"], out["noise"] = problem.sharpness(theta, rng), problem.noise(theta, rng)
        if k == steps * 4 // 5:
            late = theta.copy()
        if k == steps:
            break
        loss, g = problem.value(theta, rng.integers(0, len(problem.y), BATCH))
        losses[k], tg[k], gg[k] = loss, theta @ g, g @ g
        if k % every == 0 and table * 3 // 4 <= k < table and rate == 0.1:
            v = g / np.linalg.norm(g)
            curvature.append((gg[k] * (v @ problem.product(theta, v)), full @ full))
        theta = theta - eta * g
    points = np.array(points)

    def quarter(a, b):
        inside = points[(points[:, 0] >= a) & (points[:, 0] < b)]
        return inside[:, 1].mean(), np.sqrt((inside[:, 2] ** 2).mean())

    third, fourth = quarter(table // 2, table * 3 // 4), quarter(table * 3 // 4, table)
    out["fall of the loss"] = points[0, 1] - fourth[0]
    out["loss"], out["rms gradient"] = fourth
    out["loss, third to fourth quarter"] = third[0] - fourth[0]
    out["movement over norm"] = np.linalg.norm(theta - late) / np.linalg.norm(theta)
    out["late gradient"] = quarter(steps * 4 // 5, steps)[1]
    if curvature:
        c = np.array(curvature).mean(axis=0)
        out["R2"] = rate / 2 * c[0] / c[1]
    at = lambda a, b: 2 * tg[a:b].mean() / (rate * gg[a:b].mean())
    if steps == STEPS:
        out["R1, 400 to 800"], out["R1, 36000 to 48000"] = at(400, 800), at(36_000, 48_000)
        out["score of the loss, 36000 to 48000"] = score(losses[36_000:48_000])
    return out


def figures_of(seed, seeds):
    """All figures of one seed."""
    rng = np.random.default_rng(seed)
    problem, figures, found = Problem(rng), {}, {}
    for rate in (0.4, 0.2, 0.1, 0.05):
        found[rate] = run(problem, rate, STEPS, min(STEPS, round(4800 / rate)), rng)
        figures |= {f"eta {rate}: {name}": value for name, value in found[rate].items()}
    low, first = run(problem, 0.4, 32_000, 32_000, rng, 12_000), found[0.4]
    figures["lowered: noise, root, over that before"] = low["noise"] / first["noise"]
    figures["lowered: sharpness over that before"] = low["sharpness"] / first["sharpness"]
    figures["lowered: rms gradient over that before"] = low["late gradient"] / first["rms gradient"]
    figures["lowered: rms gradient"] = low["late gradient"]
    if seed < seeds // 2:
        theta = start(rng)
        first = np.linalg.norm(problem.value(theta)[1])
        for _ in range(2000):
            theta = theta - 0.4 * problem.value(theta)[1]
        fall = np.log(np.linalg.norm(problem.value(theta)[1]) / first)
        figures["all rows, eta 0.4: ln gradient after 2000 steps over the first"] = fall
    print(seed, file=sys.stderr, flush=True)
    return figures


def main():
    seeds = int(sys.argv[1])
    with Pool(4) as pool:
        rows = pool.starmap(figures_of, [(seed, seeds) for seed in range(seeds)], chunksize=1)
    print(f"NumPy {np.__version__}, SciPy {scipy.__version__}, scikit-learn {sklearn.__version__}")
    print(f"{'figure':70} {'mean':>11} {'deviation':>11} {'draws':>6}")
    for name in rows[0]:
        values = np.array([row[name] for row in rows if name in row])
        print(f"{name:70} {values.mean():11.5g} {values.std(ddof=1):11.4g} {len(values):6}")


if __name__ == "__main__":
    main()
