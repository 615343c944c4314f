"""Laws of the figures of `label_noise --check`, over independent draws, for examples/src/label_noise/check.rs.

    python -P examples/tests/reference/label_noise.py SEEDS > examples/tests/reference/label_noise.txt

NumPy draws data and signals and solves the limit by gradient flow's dual (Newton, from nothing, at each time); SciPy's HiGHS solves the
linear programs; scikit-learn's coordinate descent the Lasso; a C compiler takes the steps of the recurrence, which is written out
below. Each row is a figure: mean, deviation over draws, number of draws; `ln` is of the figure.
"""
import ctypes
import math
import os
import subprocess
import sys
import tempfile

import numpy as np
import scipy
import sklearn
from scipy.optimize import linprog
from sklearn.linear_model import Lasso

SOURCE = r"""
#include <math.h>
#include <stdint.h>
static uint64_t s0, s1;
static uint64_t word(void) {
  uint64_t a = s0, b = s1;
  s0 = b; a ^= a << 23; s1 = a ^ b ^ (a >> 17) ^ (b >> 26);
  return s1 + b;
}
void seed(uint64_t a, uint64_t b) { s0 = a; s1 = b; for (int i = 0; i < 64; i++) word(); }
/* delta: noise on the label. sigma: a random sign on every parameter in each step, which for steps so small has the law of
   normal noise of that size. Returns steps taken. */
int64_t run(int n, int d, const double *z, const double *y, double *u, double *v, double eta, double delta,
            double sigma, int64_t steps) {
  for (int64_t k = 0; k < steps; k++) {
    uint64_t w = word();
    const double *row = z + d * ((w >> 32) % n);
    double r = -y[(w >> 32) % n] + (w & 1 ? delta : -delta);
    for (int j = 0; j < d; j++) r += row[j] * (u[j] * u[j] - v[j] * v[j]);
    if (!(fabs(r) < 1e6)) return k;
    double c = 2 * eta * r;
    for (int j = 0; j < d; j++) { u[j] -= c * row[j] * u[j]; v[j] += c * row[j] * v[j]; }
    if (sigma > 0) for (int j = 0; j < d; j += 32) {
      uint64_t bits = word();
      for (int i = j; i < j + 32 && i < d; i++, bits >>= 2) {
        u[i] += bits & 1 ? sigma : -sigma;
        v[i] += bits & 2 ? sigma : -sigma;
      }
    }
  }
  return steps;
}
"""


def compiled():
    folder = tempfile.mkdtemp()
    source, library = os.path.join(folder, "run.c"), os.path.join(folder, "run.so")
    with open(source, "w") as file:
        file.write(SOURCE)
    subprocess.run(["cc", "-O3", "-march=native", "-ffast-math", "-shared", "-fPIC", "-o", library, source, "-lm"],
                   check=True)
    return ctypes.CDLL(library)


C = compiled()
DOUBLES = ctypes.POINTER(ctypes.c_double)


def sgd(Z, y, u, v, eta, delta, steps, sigma=0.0):
    """Steps in place; the number taken."""
    at = lambda x: x.ctypes.data_as(DOUBLES)
    C.run.restype = ctypes.c_int64
    return C.run(*Z.shape, at(Z), at(y), at(u), at(v), ctypes.c_double(eta), ctypes.c_double(delta),
                 ctypes.c_double(sigma), ctypes.c_int64(int(steps)))


def draw(rng, n, d, kappa):
    Z = rng.normal(size=(n, d))
    w = np.zeros(d)
    w[rng.choice(d, kappa, replace=False)] = rng.choice([-1.0, 1.0], kappa)
    return Z, Z @ w, w


def limit(Z, y, t, alpha=1.0):
    """w at delta^2 t, and the mean of ln (u v)."""
    n = len(y)
    m = (Z**2).mean(axis=0)
    log_q = 2 * math.log(alpha) - 4 * t * m
    nu = np.zeros(n)
    for _ in range(300):
        s = Z.T @ nu
        w = np.sign(s) * np.exp(log_q + np.abs(s)) * -np.expm1(-2 * np.abs(s))
        residual = Z @ w - y
        if np.linalg.norm(residual) < 1e-11 * np.linalg.norm(y):
            return w, log_q.mean()
        weight = np.exp(log_q + np.abs(s)) * (1 + np.exp(-2 * np.abs(s)))
        H = (Z * weight) @ Z.T
        for power in range(-17, 1):
            try:
                step = np.linalg.solve(H + (0 if power == -17 else 10.0**power * np.trace(H)) * np.eye(n), residual)
                break
            except np.linalg.LinAlgError:
                continue
        reach = np.abs(Z.T @ step).max()
        nu -= step * (1 if reach <= 1 else math.log1p(reach) / reach)
    raise ArithmeticError("limit")


def pursuit(Z, y, c):
    """Smallest sum c |w| with Z w = y."""
    d = Z.shape[1]
    found = linprog(np.concatenate([c, c]), A_eq=np.hstack([Z, -Z]), b_eq=y, method="highs")
    return found.x[:d] - found.x[d:]


def error(w, w_star):
    return float(((w - w_star) ** 2).sum() / (w_star**2).sum())


def apart(w, v):
    return float(np.linalg.norm(w - v) / np.linalg.norm(v))


def show(name, values):
    values = np.asarray(values)
    print(f"{name:56} {values.mean():11.5g} {values.std(ddof=1):11.4g} {len(values):6}", flush=True)


def ln(x):
    return math.log(max(x, 1e-300))


def recovery(seeds):
    figures = {}
    note = lambda name, x: figures.setdefault(name, []).append(x)
    for seed in range(seeds):
        rng = np.random.default_rng(1000 + seed)
        Z, y, w_star = draw(rng, 40, 100, 5)
        C.seed(ctypes.c_uint64(rng.integers(2**63)), ctypes.c_uint64(rng.integers(2**63)))
        eta = 1e-3
        u, v = np.ones(100), np.ones(100)
        sgd(Z, y, u, v, eta, 1.0, 2.5 / eta**2)
        w = u * u - v * v
        there, _ = limit(Z, y, 2.5)
        note("label noise less limit, ln distance", ln(apart(w, there)))
        note("label noise, ln error", ln(error(w, w_star)))
        note("limit, ln error", ln(error(there, w_star)))
        sgd(Z, y, u, v, eta, 0.0, 200_000)
        cooled = u * u - v * v
        note("cooled less limit, ln distance", ln(apart(cooled, there)))
        note("cooled, ln error", ln(error(cooled, w_star)))
        u, v = np.ones(100), np.ones(100)
        sgd(Z, y, u, v, eta, 0.0, 200_000)
        least = np.linalg.pinv(Z) @ y
        note("single samples without noise, error", error(u * u - v * v, w_star))
        note("smallest 2-norm, error", error(least, w_star))
        # w at the start of descent from alpha.
        descent, _ = limit(Z, y, 0.0)
        note("descent from 1, error", error(descent, w_star))
        note("descent from 1 less smallest 2-norm, error", error(descent, w_star) - error(least, w_star))
        note("descent from 1e-3, ln error", ln(error(limit(Z, y, 0.0, 1e-3)[0], w_star)))
        if seed < seeds // 4:
            u, v = np.ones(100), np.ones(100)
            # delta^2 tr H at the signal, shared by 200 parameters.
            share = 4 * float(((Z**2).mean(axis=0) * np.abs(w_star)).sum()) / 200
            taken = sgd(Z, y, u, v, eta, 0.0, 2.5 / eta**2, eta * math.sqrt(share))
            sgd(Z, y, u, v, eta, 0.0, 200_000)
            note("isotropic noise, cooled, error", error(u * u - v * v, w_star) if taken == 2_500_000 else math.nan)
    for name, values in figures.items():
        show(name, values)


def programs(seeds):
    figures = {}
    note = lambda name, x: figures.setdefault(name, []).append(x)
    for seed in range(seeds):
        rng = np.random.default_rng(5000 + seed)
        Z, y, w_star = draw(rng, 40, 100, 5)
        w = pursuit(Z, y, np.ones(100))
        note("basis pursuit, share of errors below 0.01", float(error(w, w_star) < 0.01))
        # lambda |w|_1 + |Z w - y|^2 / (2 n), lambda a hundredth of the smallest at which w = 0.
        most = np.abs(Z.T @ y).max() / 40
        lasso = Lasso(alpha=0.01 * most, fit_intercept=False, tol=1e-10, max_iter=200_000).fit(Z, y)
        note("Lasso, ln error", ln(error(lasso.coef_, w_star)))
        m = (Z**2).mean(axis=0)
        note("limit at 8 and its program, share of distances below 0.01",
             float(apart(limit(Z, y, 8.0)[0], pursuit(Z, y, m)) < 0.01))
        Z, y, w_star = draw(rng, 20, 100, 5)
        end = pursuit(Z, y, (Z**2).mean(axis=0))
        note("n = 20: ln of the distance to the program, t = 8 over t = 2",
             ln(apart(limit(Z, y, 8.0)[0], end)) - ln(apart(limit(Z, y, 2.0)[0], end)))
    for name, values in figures.items():
        show(name, values)


def sweep(seeds):
    for d, kappa, samples in [(100, 5, [20, 25, 30, 40, 60]), (400, 5, [30, 40, 50, 60]), (100, 10, [30, 40, 50, 60])]:
        for n in samples:
            hits = []
            for seed in range(seeds):
                rng = np.random.default_rng([9000 + seed, d, kappa, n])
                Z, y, w_star = draw(rng, n, d, kappa)
                hits.append(float(error(limit(Z, y, 4.0)[0], w_star) < 0.01))
            show(f"sweep {d} {kappa} {n}: share recovered", hits)


def trajectories(seeds):
    figures = {}
    note = lambda name, x: figures.setdefault(name, []).append(x)
    for seed in range(seeds):
        rng = np.random.default_rng(7000 + seed)
        Z, y, w_star = draw(rng, 40, 100, 5)
        places = {t: limit(Z, y, t) for t in (0.25, 0.5, 1.0, 1.5, 2.0)}
        for eta in (2e-3, 1e-3, 5e-4):
            C.seed(ctypes.c_uint64(rng.integers(2**63)), ctypes.c_uint64(rng.integers(2**63)))
            u, v, done = np.ones(100), np.ones(100), 0
            for t, (there, log) in places.items():
                steps = round(t / eta**2)
                sgd(Z, y, u, v, eta, 1.0, steps - done)
                done = steps
                note(f"trajectory {eta:g} {t}: ln distance", ln(apart(u * u - v * v, there)))
                if t == 1.0:
                    note(f"trajectory {eta:g}: bias of ln uv at 1", np.log(np.abs(u * v)).mean() - log)
    for name, values in figures.items():
        show(name, values)


def main():
    seeds = int(sys.argv[1])
    print(f"NumPy {np.__version__}, SciPy {scipy.__version__}, scikit-learn {sklearn.__version__}")
    print(f"{'figure':56} {'mean':>11} {'deviation':>11} {'draws':>6}")
    recovery(seeds)
    programs(4 * seeds)
    sweep(5 * seeds)
    trajectories(seeds)


main()
