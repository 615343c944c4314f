"""Independent reference for the figures of `stein_mcmc --check`.

NumPy only, float64, NumPy's random numbers: its own kernels, samplers and discrepancies. n = 50 particles, one score per
particle and step. Prints MMD^2 against 3000 reference draws at the listed steps, the kernel Stein discrepancy (inverse
multiquadric, V-statistic, square root) and the moments at the last step. First the grids, means over seeds 0..3 as the
published tables have 2 to 4 seeds; with an argument, the rows that the check holds, means over 256 seeds (B: 128), each
followed by the deviation over seeds, of the moments too; and the logistic regression on 24 data sets, means over 16 seeds
each, then mean, deviation, least and largest over the data sets. All seeds of a row run side by side, each with its own
generator.

    python examples/tests/reference/stein_mcmc.py          output: stein_mcmc.txt
    python examples/tests/reference/stein_mcmc.py check    output: stein_mcmc_check.txt
"""

import sys

import numpy as np

N, SEEDS = 50, range(4)


# --- targets: score(theta), start(rng), reference(rng, count) -------------------------------------------------------


class Gaussian:
    dim = 2

    def __init__(self, cov, centre, spread, mmd_h=None):
        self.cov, self.inv = np.array(cov), np.linalg.inv(cov)
        self.root = np.linalg.cholesky(self.cov)
        self.centre, self.spread, self.mmd_h = np.array(centre), spread, mmd_h

    def score(self, x):
        return -x @ self.inv

    def start(self, rng):
        return self.centre + self.spread * rng.standard_normal((N, len(self.centre)))

    def reference(self, rng, count):
        return rng.standard_normal((count, len(self.centre))) @ self.root.T


class Mixture:
    dim = 2
    means = np.array([[-2.0, 0.0], [2.0, 0.0], [0.0, 2.5]])
    weights = np.array([0.4, 0.4, 0.2])
    variance = 0.5
    mmd_h = 8.5

    def score(self, x):
        diff = self.means - x[..., None, :]
        log = np.log(self.weights) - (diff**2).sum(-1) / (2 * self.variance)
        r = np.exp(log - log.max(-1, keepdims=True))
        r /= r.sum(-1, keepdims=True)
        return (r[..., None] * diff).sum(-2) / self.variance

    def start(self, rng):
        return rng.standard_normal((N, 2))

    def reference(self, rng, count):
        which = rng.choice(3, count, p=self.weights)
        return self.means[which] + np.sqrt(self.variance) * rng.standard_normal((count, 2))


class Banana:
    dim = 2
    mmd_h = None

    def forward(self, x):
        a, b = 1 - x[..., 0], x[..., 1] - x[..., 0] ** 2
        q = a**2 + 100 * b**2
        return a, b, q, np.log(30) - np.log(q)

    def score(self, x):
        a, b, q, rest = self.forward(x)
        dq = np.stack([-2 * a - 400 * x[..., 0] * b, 200 * b], -1)
        return -x + (rest / (0.09 * q))[..., None] * dq

    def start(self, rng):
        return rng.standard_normal((N, 2))

    def reference(self, rng, count):
        """Rejection from the prior: exact."""
        kept = np.empty((0, 2))
        while len(kept) < count:
            x = rng.standard_normal((100_000, 2))
            log = -self.forward(x)[3] ** 2 / (2 * 0.09)
            kept = np.concatenate([kept, x[np.log(rng.random(len(x))) < log]])
        return kept[:count]


class Logistic:
    """200 rows of 5 normal features and an intercept, weights from the prior N(0, 4 I)."""

    dim, mmd_h = 6, None
    proposals = 200_000

    def __init__(self, seed=0):
        rng = np.random.default_rng(seed)
        self.x = np.concatenate([rng.standard_normal((200, 5)), np.ones((200, 1))], 1)
        self.w = rng.standard_normal(6)
        self.y = np.where(rng.random(200) < 1 / (1 + np.exp(-self.x @ self.w)), 1.0, -1.0)
        test = np.concatenate([rng.standard_normal((1000, 5)), np.ones((1000, 1))], 1)
        self.test = test, np.where(rng.random(1000) < 1 / (1 + np.exp(-test @ self.w)), 1.0, -1.0)

    def log_density(self, w):
        return -np.logaddexp(0, -(w @ self.x.T) * self.y).sum(1) - (w**2).sum(1) / 8

    def score(self, w):
        s = 1 / (1 + np.exp((w @ self.x.T) * self.y))
        return (s * self.y) @ self.x - w / 4

    def start(self, rng):
        return rng.standard_normal((N, 6)) * 0.5

    def laplace(self):
        w = np.zeros((1, 6))
        for _ in range(50):
            p = 1 / (1 + np.exp(-(w @ self.x.T)[0]))
            h = (self.x * (p * (1 - p))[:, None]).T @ self.x + np.eye(6) / 4
            w = w + np.linalg.solve(h, self.score(w)[0])
        return w[0], h

    def reference(self, rng, count):
        """Rejection from a widened Laplace proposal: exact while the bound holds, which is asserted."""
        mode, h = self.laplace()
        root = np.linalg.cholesky(np.linalg.inv(h)) * 1.2
        kept = np.empty((0, 6))
        bound = None
        while len(kept) < count:
            z = rng.standard_normal((self.proposals, 6))
            w = mode + z @ root.T
            log = self.log_density(w) + (z**2).sum(1) / 2
            bound = log.max() + 0.5 if bound is None else bound
            assert log.max() <= bound
            kept = np.concatenate([kept, w[np.log(rng.random(len(z))) < log - bound]])
        return kept[:count]

    def predictive(self, w):
        x, y = self.test
        log = -np.logaddexp(0, -(w @ x.T) * y)
        return np.log(np.exp(log).mean(0)).mean()


# --- discrepancies ---------------------------------------------------------------------------------------------------


def sq(x, y):
    return sum((x[..., :, None, c] - y[..., None, :, c]) ** 2 for c in range(x.shape[-1]))


def ksd(x, g):
    d = x.shape[1]
    diff = x[:, None] - x[None]
    r2 = (diff**2).sum(2)
    q = 1 + r2
    k = q**-0.5
    dk = -(q**-1.5)[:, :, None] * diff
    u = k * (g @ g.T)
    u += np.einsum("jd,ijd->ij", g, dk) - np.einsum("id,ijd->ij", g, dk)
    u += d * q**-1.5 - 3 * q**-2.5 * r2
    return np.sqrt(u.mean())


class Mmd:
    def __init__(self, ref, h):
        part = sq(ref[:500], ref[:500])
        self.ref, self.h = ref, h or np.median(part)
        self.rr = np.mean([np.exp(-sq(row, ref) / self.h).mean() for row in np.split(ref, 30)])

    def __call__(self, x):
        return np.exp(-sq(x, x) / self.h).mean() + self.rr - 2 * np.exp(-sq(x, self.ref) / self.h).mean()

    def floor(self):
        return (1 - self.rr) / N


# --- samplers: generators that yield theta after each step -----------------------------------------------------------


def bandwidth(d2):
    n = d2.shape[-1]
    middle = np.median(d2.reshape(*d2.shape[:-2], n * n), -1)[..., None, None]
    return np.maximum(middle / np.log(n + 1), 1e-8)


def svgd(target, theta, rng, eps, adagrad=False):
    acc = None
    while True:
        d2 = sq(theta, theta)
        h = bandwidth(d2)
        k = np.exp(-d2 / h)
        f = (k @ target.score(theta) + 2 / h * (theta * k.sum(-1)[..., None] - k @ theta)) / N
        if adagrad:
            acc = f**2 if acc is None else 0.9 * acc + 0.1 * f**2
            f = f / (1e-6 + np.sqrt(acc))
        theta = theta + eps * f
        yield theta


def gsvgd(target, theta, rng, eps, c=1.0, b=4.0, explicit=False, product=False):
    r = rng.standard_normal(theta.shape)

    def kernel(theta, r):
        dt, dr = sq(theta, theta), sq(r, r)
        if product:
            ht, hr = b * bandwidth(dt), b * bandwidth(dr)
        else:
            ht = hr = b * bandwidth(dt + dr)
        k = np.exp(-dt / ht - dr / hr)
        rho = k.sum(-1)[..., None]
        return k, 2 / ht * (theta * rho - k @ theta), 2 / hr * (r * rho - k @ r)

    while True:
        k, st, sr = kernel(theta, r)
        new = r + eps / N * (k @ (target.score(theta) - c * r) + st + c * sr)
        if not explicit:
            k, st, sr = kernel(theta, new)
            theta = theta + eps / N * (k @ new - sr)
        else:
            theta = theta + eps / N * (k @ r - sr)
        r = new
        yield theta


def sghmc(target, theta, rng, eps, c=1.0):
    r = rng.standard_normal(theta.shape)
    while True:
        r = r + eps * (target.score(theta) - c * r) + np.sqrt(2 * c * eps) * rng.standard_normal(r.shape)
        theta = theta + eps * r
        yield theta


def langevin(target, theta, rng, eps):
    while True:
        theta = theta + eps * target.score(theta) + np.sqrt(2 * eps) * rng.standard_normal(theta.shape)
        yield theta


class Streams:
    """A generator for each seed; the first axis of what they draw is the seed."""

    def __init__(self, seeds):
        self.each = [np.random.default_rng(seed) for seed in seeds]

    def standard_normal(self, shape):
        return np.stack([rng.standard_normal(shape[1:]) for rng in self.each])


def row(target, mmd, name, sampler, steps, extra, seeds, **settings):
    streams, values = Streams(seeds), []
    start = np.stack([target.start(rng) for rng in streams.each])
    with np.errstate(all="ignore"):
        for t, theta in enumerate(sampler(target, start, streams, **settings), 1):
            if not np.isfinite(theta).all() or np.abs(theta).max() > 1e6:
                print(f"  {name:46} diverges")
                return None
            if t in steps:
                values.append([mmd(x) for x in theta])
            if t == max(steps):
                break
    values, covs = np.array(values).T, [np.cov(x.T, bias=True) for x in theta]
    ksds = [ksd(x, target.score(x)) for x in theta]
    moments = [[*np.diag(cov), cov[0, 1]] for cov in covs]
    extras = [extra(x) for x in theta] if extra else []
    for kind in [np.mean] + [np.std] * (len(seeds) > len(SEEDS)):
        cells = " ".join(f"{v:8.5f}" for v in kind(values, 0))
        text = " ".join(f"{v:6.3f}" for v in kind(moments, 0)) if target.dim == 2 else ""
        tail = " " + " ".join(f"{v:.4f}" for v in kind(extras, 0)) if extra else ""
        title = name if kind is np.mean else ""
        print(f"  {title:46} {cells}  ksd {kind(ksds):6.3f}  {text}{tail}", flush=True)
    return [*values.mean(0), *(np.mean(extras, 0) if extra else [])]


def table(title, target, steps, rows, extra=None, seeds=SEEDS):
    ref = target.reference(np.random.default_rng(1000), 3000)
    mmd = Mmd(ref, target.mmd_h)
    print(f"{title}: mmd h {mmd.h:.3f}, floor {mmd.floor():.4f}, reference mean {ref.mean(0).round(3)}")
    print(f"  {'steps':46} " + " ".join(f"{s:8}" for s in steps) + "  then variances, covariance")
    if extra:
        extra = extra(target, ref)
        print("  reference", np.round(extra(ref), 3))
    iid = [mmd(target.reference(np.random.default_rng(2000 + i), N)) for i in range(40)]
    print(f"  {'exact draws, 40 sets of 50':46} {np.mean(iid):8.4f}")
    for name, sampler, settings in rows:
        row(target, mmd, name, sampler, steps, extra, seeds, **settings)


def logistic_extra(target, ref):
    """Predictive log-likelihood, least and largest ratio of deviations to those of the reference."""

    def extra(w):
        ratio = w.std(0) / ref.std(0)
        return [target.predictive(w), ratio.min(), ratio.max()]

    return extra


def main():
    print("numpy", np.__version__)
    ill = Gaussian([[4, 0], [0, 0.04]], [4, 4], 0.5)
    rows = [(f"SVGD eps {e}", svgd, {"eps": e}) for e in (0.1, 0.2, 0.3, 0.4)]
    rows += [(f"SVGD AdaGrad eps {e}", svgd, {"eps": e, "adagrad": True}) for e in (0.1, 0.2)]
    for e in (0.2, 0.4, 0.6, 0.8):
        for c in (1.0, 2.0):
            rows.append((f"GSVGD-SGHMC eps {e} c {c} b 4", gsvgd, {"eps": e, "c": c}))
    rows.append(("GSVGD-SGHMC eps 0.6 c 1 b 1", gsvgd, {"eps": 0.6, "b": 1.0}))
    for e in (0.1, 0.2, 0.4, 0.6):
        rows.append((f"GSVGD-SGHMC eps {e} c 1 b 4 explicit", gsvgd, {"eps": e, "explicit": True}))
    rows += [(f"SGHMC eps {e} c 1", sghmc, {"eps": e}) for e in (0.1, 0.2, 0.3, 0.4)]
    rows += [(f"LD eps {e}", langevin, {"eps": e}) for e in (0.01, 0.02, 0.04)]
    table("A, N(0, diag(4, 0.04))", ill, (25, 50, 100, 200), rows)

    correlated = Gaussian([[1, 0.9], [0.9, 1]], [3, 3], 1.0, 2.08)
    rows = [(f"SVGD eps {e}", svgd, {"eps": e}) for e in (0.2, 0.4, 0.6)]
    rows += [(f"GSVGD-SGHMC joint eps {e} c 1 b 4", gsvgd, {"eps": e}) for e in (0.3, 0.5, 0.7)]
    rows.append(("GSVGD-SGHMC joint eps 0.5 c 1 b 1", gsvgd, {"eps": 0.5, "b": 1.0}))
    rows.append(("GSVGD-SGHMC separate medians eps 0.5 c 1 b 1", gsvgd, {"eps": 0.5, "b": 1.0, "product": True}))
    rows.append(("SGHMC eps 0.2 c 1", sghmc, {"eps": 0.2}))
    table("B, N(0, [[1, .9], [.9, 1]])", correlated, (25, 50, 100, 200, 800), rows)

    rows = [(f"SVGD eps {e}", svgd, {"eps": e}) for e in (0.5, 1.0, 1.5)]
    for b in (1.0, 4.0):
        rows += [(f"GSVGD-SGHMC eps {e} c 1 b {b}", gsvgd, {"eps": e, "b": b}) for e in (0.25, 0.5, 0.7)]
    rows.append(("SGHMC eps 0.3 c 1", sghmc, {"eps": 0.3}))
    table("C, mixture of three", Mixture(), (25, 50, 100, 200), rows)

    rows = [(f"SVGD eps {e}", svgd, {"eps": e}) for e in (0.01, 0.02, 0.05)]
    for b in (1.0, 4.0):
        for e in (0.05, 0.1, 0.15):
            rows += [(f"GSVGD-SGHMC eps {e} c {c} b {b}", gsvgd, {"eps": e, "c": c, "b": b}) for c in (1.0, 3.0)]
    rows += [(f"SGHMC eps {e} c 1", sghmc, {"eps": e}) for e in (0.01, 0.02, 0.05)]
    table("D, double banana", Banana(), (50, 100, 300), rows)

    rows = [(f"SVGD eps {e}", svgd, {"eps": e}) for e in (0.05, 0.1)]
    rows += [(f"GSVGD-SGHMC eps {e} c 3 b 4", gsvgd, {"eps": e, "c": 3.0}) for e in (0.1, 0.2)]
    rows += [(f"SGHMC eps {e} c 1", sghmc, {"eps": e}) for e in (0.05, 0.1)]
    print("E: the last three columns: predictive log-likelihood, least and largest ratio of deviations")
    table("E, logistic regression", Logistic(), (25, 100, 300), rows, logistic_extra)


def check():
    print("numpy", np.__version__, "256 seeds, B 128, E 24 data sets of 16 seeds")
    ill = Gaussian([[4, 0], [0, 0.04]], [4, 4], 0.5)
    correlated = Gaussian([[1, 0.9], [0.9, 1]], [3, 3], 1.0, 2.08)
    many = range(256)
    rows = [("SVGD eps 0.2", svgd, {"eps": 0.2}), ("SVGD eps 0.3", svgd, {"eps": 0.3})]
    rows += [(f"SVGD AdaGrad eps {e}", svgd, {"eps": e, "adagrad": True}) for e in (0.1, 0.2)]
    rows += [(f"GSVGD-SGHMC eps 0.6 c {c} b 4", gsvgd, {"eps": 0.6, "c": c}) for c in (1.0, 2.0)]
    rows += [("SGHMC eps 0.2 c 1", sghmc, {"eps": 0.2}), ("LD eps 0.02", langevin, {"eps": 0.02})]
    table("A", ill, (25, 50, 100, 200), rows, seeds=many)
    rows = [("SVGD eps 1", svgd, {"eps": 1.0})]
    rows += [(f"GSVGD-SGHMC eps 0.5 c 1 b {b}", gsvgd, {"eps": 0.5, "b": b}) for b in (1.0, 4.0)]
    table("C", Mixture(), (25, 200), rows, seeds=many)
    rows = [("SVGD eps 0.02", svgd, {"eps": 0.02})]
    rows.append(("GSVGD-SGHMC eps 0.15 c 3 b 1", gsvgd, {"eps": 0.15, "c": 3.0, "b": 1.0}))
    table("D", Banana(), (300,), rows, seeds=many)
    rows = [("SVGD eps 0.4", svgd, {"eps": 0.4}), ("GSVGD-SGHMC joint eps 0.5 c 1 b 4", gsvgd, {"eps": 0.5})]
    rows.append(("GSVGD-SGHMC separate medians eps 0.5 c 1 b 1", gsvgd, {"eps": 0.5, "b": 1.0, "product": True}))
    table("B", correlated, (50, 100, 200, 800), rows, seeds=range(128))
    logistic(24)


def shrunk(r):
    """MMD^2 between N(0, r S) and N(0, S) in six dimensions, h the median squared distance of the latter."""
    h = 2 * 5.348
    return (1 + 4 * r / h) ** -3 + (1 + 4 / h) ** -3 - 2 * (1 + 2 * (1 + r) / h) ** -3


def logistic(count):
    """Data sets of their own: means over 16 seeds of each."""
    rows = [("SVGD eps 0.1", svgd, {"eps": 0.1}), ("GSVGD-SGHMC eps 0.2 c 3 b 4", gsvgd, {"eps": 0.2, "c": 3.0})]
    rows.append(("SGHMC eps 0.1 c 1", sghmc, {"eps": 0.1}))
    print("E: MMD^2 at 300, that over the MMD^2 of its shrinkage, predictive less that of the reference, ratios of deviations")
    found = {name: [] for name, _, _ in rows}
    for seed in range(count):
        target = Logistic(seed)
        target.proposals = 40_000
        ref = target.reference(np.random.default_rng(1000 + seed), 3000)
        mmd, base = Mmd(ref, None), target.predictive(ref)
        for name, sampler, settings in rows:
            streams = Streams(range(100 * seed, 100 * seed + 16))
            start = np.stack([target.start(rng) for rng in streams.each])
            with np.errstate(over="ignore"):
                for _, theta in zip(range(300), sampler(target, start, streams, **settings)):
                    pass
            ratio = np.mean([x.std(0) for x in theta], 0) / ref.std(0)
            value = np.mean([mmd(x) for x in theta])
            predictive = np.mean([target.predictive(x) for x in theta]) - base
            found[name].append([value, value / shrunk((ratio**2).mean()), predictive, ratio.min(), ratio.max()])
    for name, values in found.items():
        for title, kind in [(name, np.mean), ("", np.std), ("", np.min), ("", np.max)]:
            print(f"  {title:46} " + " ".join(f"{v:8.4f}" for v in kind(values, 0)), flush=True)


if __name__ == "__main__":
    check() if sys.argv[1:] else main()
