"""False alarms of stationarity tests on AR(1) noise, two windows of 4096, nominal level 1 %.

NumPy 2.4. The batch means are direct block sums: 16 a window (256 samples each), and 63 for the square-root rule.
The Kolmogorov-Smirnov test takes samples as independent. Prints the shares that the tests of
`dynamics::invariant_measure` hold themselves against.
"""
import sys
import numpy as np

RUNS, N = 10_000, 4096
T30, T124 = 2.7500, 2.6161  # scipy.stats.t.isf(0.005, 30) and (0.005, 124)


def ar1(rho, rng):
    e = rng.standard_normal((2 * N, RUNS))
    x = np.empty_like(e)
    x[0] = e[0] / np.sqrt(1 - rho * rho)
    for t in range(1, 2 * N):
        x[t] = rho * x[t - 1] + e[t]
    return x[:N], x[N:]


def batches(x, count):
    size = N // count
    means = x[N - count * size:].reshape(count, size, -1).mean(axis=1)
    return means.mean(axis=0), means.var(axis=0, ddof=1) / count


def alarms(a, b, count, critical):
    (m, s), (n, t) = batches(a, count), batches(b, count)
    return np.mean(np.abs(m - n) > critical * np.sqrt(s + t))


def ks(a, b):
    hits = 0
    for x, y in zip(np.sort(a.T), np.sort(b.T)):
        both = np.concatenate([x, y])
        gap = np.abs(np.searchsorted(x, both, "right") - np.searchsorted(y, both, "right")).max() / N
        hits += gap > 1.628 * np.sqrt(2 / N)
    return hits / RUNS


print("numpy", np.__version__, file=sys.stderr)
for rho in (0.0, 0.9, 0.98):
    a, b = ar1(rho, np.random.default_rng(1))
    print(f"{rho} {alarms(a, b, 16, T30):.4f} {alarms(a, b, 63, T124):.4f} {ks(a, b):.4f}")
