"""Our kernels beside what a user could take instead: NumPy, PyTorch, JAX with Optax, scikit-learn.

    python benches/peers/run.py [--threads 1,2] [--quick] [--only svgd,gemm]

builds `benches/benches/peers.rs`, then times every task with ours and with each peer that can be imported (the others are named), once for
each number of threads, and prints one Markdown table. Contenders take turns, a burst each, round after round in one run, so that a change of clock or
a busy neighbour meets all alike; what is printed is the least time of a call. All is `f32` but scikit-learn's mixture (`f64`, which it
insists on). Inputs are normal draws of the same law, not the same numbers: no time depends on them.

A peer is written the way somebody who knows the library writes it: Gram matrices in place of differences, compiled steps whose
arguments are donated, fused optimisers, a threshold by partition in place of a sort. `ours / peer` above 1: ours is faster.

With one thread everything is bound to one processor (where the system allows it). Measured with numpy 2.4.6, torch 2.15.0 (CPU), jax 0.10.2,
optax 0.2.8, scikit-learn 1.9.1; nothing here needs those versions. Install: `pip install numpy torch jax optax scikit-learn`.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import time
import warnings

ROOT = pathlib.Path(__file__).resolve().parents[2]
RATE = 1e-6

COMPRESSORS = ["topk_1%", "topk_0.1%", "sign", "natural", "qsgd", "randk_1%"]
STEPS = ["sgd", "momentum", "adam", "adam_fast", "rmsprop", "adagrad", "lion"]
PARTICLES = ["svgd_fixed", "svgd_fixed_fast", "svgd_median", "svgd_median_fast"]


def tasks(quick):
    for d in [1_000_000] if quick else [1_000_000, 10_000_000]:
        yield from ((name, (d,)) for name in COMPRESSORS)
    for n in [1_000, 100_000] if quick else [1_000, 100_000, 10_000_000]:
        yield from ((name, (n,)) for name in STEPS)
    for size in [(100, 10), (1000, 50), (2000, 200)]:
        yield from ((name, size) for name in PARTICLES)
    yield "em_full", (20_000, 20, 10) if quick else (100_000, 100, 10)
    for name in ["ntk", "ntk_fast", "ntk_full", "ntk_full_fast"]:
        yield name, (256, 784, 100, 10)
    for n in [512, 1024]:
        yield from ((name, (n,)) for name in ["gemm", "gemm_fast"])


def least(call, budget):
    """The least seconds of a call within a budget: bursts long enough to be timed."""
    start, found, calls = time.perf_counter(), float("inf"), 1
    while found == float("inf") or time.perf_counter() - start < budget:
        burst = time.perf_counter()
        for _ in range(calls):
            call()
        seconds = time.perf_counter() - burst
        if seconds < 2e-5 and calls < 1 << 20:
            calls *= 2
            continue
        found = min(found, seconds / calls)
    return found


def base(name):
    return name.removesuffix("_fast")


class Numpy:
    def __init__(self):
        import numpy as np

        self.np = np
        self.name = "numpy " + np.__version__
        self.rng = np.random.default_rng(0)

    def normals(self, *shape):
        return self.rng.standard_normal(shape, dtype=self.np.float32)

    def task(self, name, size):
        np, rng, name = self.np, self.rng, base(name)
        n = size[0]
        if name.startswith("topk"):
            x, k = self.normals(n), int(n * float(name[5:-1]) / 100)

            def top_k():
                magnitudes = np.abs(x)
                threshold = np.partition(magnitudes, n - k)[n - k]
                indices = np.flatnonzero(magnitudes >= threshold)[:k]
                return indices, x[indices]

            return top_k
        if name == "sign":
            x = self.normals(n)
            return lambda: (np.packbits(x < 0), np.abs(x).mean())
        if name == "natural":
            x = self.normals(n).view(np.uint32)

            def natural():
                noise = rng.integers(0, 1 << 23, n, dtype=np.uint32)
                noise += x
                noise &= np.uint32(0xFF800000)
                return noise.view(np.float32)

            return natural
        if name == "qsgd":
            x = self.normals(n)

            def qsgd():
                norm = np.linalg.norm(x)
                t = np.abs(x)
                t *= np.float32(15) / norm
                t += rng.random(n, dtype=np.float32)
                np.floor(t, out=t)
                np.copysign(t, x, out=t)
                return norm, t.astype(np.int8)

            return qsgd
        if name.startswith("randk"):
            x, k = self.normals(n), n // 100
            return lambda: x[rng.choice(n, k, replace=False, shuffle=False)]
        if name in ("sgd", "momentum", "adam"):
            x, g, b, m, v, w = (self.normals(n) for _ in range(6))
            b[:], m[:], v[:] = 0, 0, 0

            def sgd():
                np.multiply(g, np.float32(RATE), out=w)
                np.subtract(x, w, out=x)

            def momentum():
                np.multiply(b, np.float32(0.9), out=b)
                np.add(b, g, out=b)
                np.multiply(b, np.float32(RATE), out=w)
                np.subtract(x, w, out=x)

            def adam():
                np.multiply(m, np.float32(0.9), out=m)
                np.multiply(g, np.float32(0.1), out=w)
                np.add(m, w, out=m)
                np.multiply(v, np.float32(0.999), out=v)
                np.multiply(g, g, out=w)
                np.multiply(w, np.float32(0.001), out=w)
                np.add(v, w, out=v)
                np.sqrt(v, out=w)
                np.add(w, np.float32(1e-8), out=w)
                np.divide(m, w, out=w)
                np.multiply(w, np.float32(RATE), out=w)
                np.subtract(x, w, out=x)

            return {"sgd": sgd, "momentum": momentum, "adam": adam}[name]
        if name.startswith("svgd"):
            x, g = (self.normals(*size) for _ in range(2))
            fixed, two = np.float32(size[1]), np.float32(2)

            def svgd():
                norms = np.einsum("ij,ij->i", x, x)
                k = x @ x.T
                k *= -2
                k += norms[:, None]
                k += norms
                np.fill_diagonal(k, 0)
                h = fixed
                if name == "svgd_median":
                    h = np.median(k) / np.float32(np.log(n + 1))
                k *= -1 / h
                np.exp(k, out=k)
                phi = k @ (g - (two / h) * x) + (two / h) * x * k.sum(1, keepdims=True)
                return x + np.float32(0.01 / n) * phi

            return svgd
        if name == "em_full":
            return self.mixture(*size)
        if name.startswith("ntk"):
            return self.tangent(name, *size)
        if name == "gemm":
            a, b, c = (self.normals(n, n) for _ in range(3))
            return lambda: np.matmul(a, b, out=c)
        return None

    def tangent(self, name, n, d, hidden, c):
        """Layer by layer: no Jacobian is formed."""
        np = self.np
        x, w1, b1, w2 = self.normals(n, d), self.normals(hidden, d), self.normals(hidden), self.normals(c, hidden)

        def activations():
            a = x @ w1.T
            a += b1
            np.maximum(a, 0, out=a)
            return a, (a > 0).astype(np.float32)

        def trace():
            a, m = activations()
            h = x @ x.T
            h += 1
            h *= (m * (w2 * w2).mean(0)) @ m.T
            h += a @ a.T
            h += 1
            return h

        def full():
            a, m = activations()
            slopes = (m[:, None] * w2).reshape(n * c, hidden)
            k = (slopes @ slopes.T).reshape(n, c, n, c)
            t = x @ x.T
            t += 1
            k *= t[:, None, :, None]
            t = a @ a.T
            t += 1
            for j in range(c):
                k[:, j, :, j] += t
            return k

        return {"ntk": trace, "ntk_full": full}[name]

    def mixture(self, n, k, d):
        """One step of EM as two products with the features (1, x, x x^T)."""
        np = self.np
        x = self.normals(n, d)
        rows, columns = np.triu_indices(d)
        features = np.concatenate([np.ones((n, 1), np.float32), x, x[:, rows] * x[:, columns]], 1)
        state = {"w": np.full(k, 1 / k), "m": x[:k].astype(float), "c": np.tile(np.eye(d), (k, 1, 1))}

        def step():
            precision = np.linalg.inv(state["c"])
            linear = np.einsum("kij,kj->ki", precision, state["m"])
            constant = np.log(state["w"]) + 0.5 * np.linalg.slogdet(precision)[1]
            constant -= 0.5 * np.einsum("ki,ki->k", linear, state["m"])
            quadratic = -0.5 * precision[:, rows, columns] * np.where(rows == columns, 1, 2)
            theta = np.concatenate([constant[:, None], linear, quadratic], 1).astype(np.float32)
            r = features @ theta.T
            r -= r.max(1, keepdims=True)
            np.exp(r, out=r)
            r /= r.sum(1, keepdims=True)
            s = (r.T @ features).astype(float)
            w = s[:, :1]
            m = s[:, 1 : d + 1] / w
            c = np.empty((k, d, d))
            c[:, rows, columns] = c[:, columns, rows] = s[:, d + 1 :] / w
            c -= m[:, :, None] * m[:, None]
            c += 1e-6 * np.eye(d)
            state.update(w=w[:, 0] / n, m=m, c=c)

        return step


class Torch:
    def __init__(self, threads):
        import torch

        torch.set_num_threads(threads)
        torch.set_grad_enabled(False)
        self.torch = torch
        self.name = "torch " + torch.__version__

    def task(self, name, size):
        torch, name = self.torch, base(name)
        n = size[0]
        if name.startswith("topk"):
            x, k = torch.randn(n), int(n * float(name[5:-1]) / 100)

            def top_k():
                indices = torch.topk(x.abs(), k, sorted=False).indices
                return indices, x[indices]

            return top_k
        if name == "natural":
            x, noise = torch.randn(n).view(torch.int32), torch.empty(n, dtype=torch.int32)
            mask = -(1 << 23)
            return lambda: noise.random_(0, 1 << 23).add_(x).bitwise_and_(mask)
        if name == "qsgd":
            x, u = torch.randn(n), torch.empty(n)

            def qsgd():
                norm = x.norm()
                t = torch.addcmul(u.uniform_(), x.abs(), 15 / norm)
                return norm, t.floor_().copysign_(x).to(torch.int8)

            return qsgd
        if name.startswith("randk"):
            x, k = torch.randn(n), n // 100
            return lambda: x[torch.randperm(n, dtype=torch.int32)[:k]]
        if name in STEPS:
            return self.optimiser(name, n)
        if name.startswith("svgd"):
            x, g = torch.randn(*size), torch.randn(*size)

            def svgd():
                norms = (x * x).sum(1)
                k = torch.addmm(norms[:, None] + norms, x, x.T, alpha=-2).fill_diagonal_(0)
                h = float(size[1])
                if name == "svgd_median":
                    # The lower of the middle two: half of the work of their mean.
                    h = k.view(-1).median() / torch.log(torch.tensor(n + 1.0))
                k.mul_(-1 / h).exp_()
                phi = torch.addmm((2 / h) * x * k.sum(1, keepdim=True), k, g - (2 / h) * x)
                return x + (0.01 / n) * phi

            return svgd
        if name == "em_full":
            return self.mixture(*size)
        if name.startswith("ntk"):
            return self.tangent(name, *size)
        if name == "gemm":
            a, b, c = (torch.randn(n, n) for _ in range(3))
            return lambda: torch.mm(a, b, out=c)
        return None

    def tangent(self, name, n, d, hidden, c):
        """The contraction of torch.func's tutorial."""
        torch = self.torch
        from torch.func import jacrev, vmap

        x = torch.randn(n, d)
        weights = torch.randn(hidden, d), torch.randn(hidden), torch.randn(c, hidden), torch.randn(c)

        def f(weights, x):
            w1, b1, w2, b2 = weights
            return w2 @ torch.relu(w1 @ x + b1) + b2

        def kernel():
            jacobian = vmap(jacrev(f), (None, 0))(weights, x)
            rows = (j.flatten(2) for j in jacobian)
            if name == "ntk":
                return sum(torch.einsum("icp,jcp->ij", j, j) for j in rows) / c
            return sum(torch.einsum("icp,jdp->icjd", j, j) for j in rows)

        return kernel

    def optimiser(self, name, n):
        torch = self.torch
        x = torch.ones(n, requires_grad=True)
        x.grad = torch.randn(n)
        makers = {
            "sgd": lambda **form: torch.optim.SGD([x], RATE, **form),
            "momentum": lambda **form: torch.optim.SGD([x], RATE, momentum=0.9, **form),
            "adam": lambda **form: torch.optim.Adam([x], RATE, **form),
            "rmsprop": lambda **form: torch.optim.RMSprop([x], RATE, **form),
            "adagrad": lambda **form: torch.optim.Adagrad([x], RATE, **form),
        }
        if name not in makers:
            return None
        try:
            step = makers[name](fused=True).step
            step()
        except (TypeError, RuntimeError):
            step = makers[name](foreach=False).step
        return step

    def mixture(self, n, k, d):
        torch = self.torch
        x = torch.randn(n, d)
        rows, columns = torch.triu_indices(d, d)
        features = torch.cat([torch.ones(n, 1), x, x[:, rows] * x[:, columns]], 1)
        double = {"dtype": torch.float64}
        state = [torch.full((k,), 1 / k, **double), x[:k].double(), torch.eye(d, **double).repeat(k, 1, 1)]
        twice = torch.where(rows == columns, 1.0, 2.0)

        def step():
            w, m, c = state
            precision = torch.linalg.inv(c)
            linear = (precision @ m[:, :, None])[:, :, 0]
            constant = w.log() + 0.5 * torch.logdet(precision) - 0.5 * (linear * m).sum(1)
            quadratic = -0.5 * precision[:, rows, columns] * twice
            theta = torch.cat([constant[:, None], linear, quadratic], 1).float()
            r = torch.softmax(features @ theta.T, 1)
            s = (r.T @ features).double()
            w, m = s[:, :1], s[:, 1 : d + 1] / s[:, :1]
            c = torch.empty(k, d, d, **double)
            c[:, rows, columns] = c[:, columns, rows] = s[:, d + 1 :] / w
            c += 1e-6 * torch.eye(d, **double) - m[:, :, None] * m[:, None]
            state[:] = w[:, 0] / n, m, c

        return step


class Jax:
    def __init__(self):
        import jax
        import jax.numpy as jnp

        self.jax, self.jnp = jax, jnp
        self.name = "jax " + jax.__version__
        self.key = jax.random.key(0, impl="rbg")
        try:
            import optax

            self.optax = optax
            self.name += ", optax " + optax.__version__
        except ImportError:
            self.optax = None
            print("optax is not installed")

    def normals(self, phase, *shape):
        return self.jax.random.normal(self.jax.random.key(phase), shape)

    def task(self, name, size):
        jax, jnp, name = self.jax, self.jnp, base(name)
        n = size[0]
        lax, random = jax.lax, jax.random

        def of(f, *arguments):
            f = jax.jit(f)
            return lambda: jax.block_until_ready(f(*arguments))

        if name.startswith("topk"):
            k = int(n * float(name[5:-1]) / 100)

            def top_k(x):
                indices = lax.top_k(jnp.abs(x), k)[1]
                return indices, x[indices]

            return of(top_k, self.normals(1, n))
        if name == "sign":
            return of(lambda x: (jnp.packbits(x < 0), jnp.abs(x).mean()), self.normals(1, n))
        if name == "natural":

            def natural(x, key):
                noise = random.bits(key, x.shape, jnp.uint32) >> 9
                bits = (lax.bitcast_convert_type(x, jnp.uint32) + noise) & jnp.uint32(0xFF800000)
                return lax.bitcast_convert_type(bits, jnp.float32)

            return of(natural, self.normals(1, n), self.key)
        if name == "qsgd":

            def qsgd(x, key):
                norm = jnp.linalg.norm(x)
                t = jnp.floor(jnp.abs(x) * (15 / norm) + random.uniform(key, x.shape))
                return norm, jnp.copysign(t, x).astype(jnp.int8)

            return of(qsgd, self.normals(1, n), self.key)
        if name in STEPS and self.optax:
            return self.optimiser(name, n)
        if name.startswith("svgd"):

            def svgd(x, g):
                norms = (x * x).sum(1)
                q = norms[:, None] + norms - 2 * x @ x.T
                h = float(size[1])
                if name == "svgd_median":
                    q = jnp.fill_diagonal(q, 0, inplace=False)
                    h = jnp.median(q) / jnp.log(n + 1.0)
                k = jnp.exp(-q / h)
                phi = k @ (g - (2 / h) * x) + (2 / h) * x * k.sum(1, keepdims=True)
                return x + (0.01 / n) * phi

            return of(svgd, self.normals(1, *size), self.normals(2, *size))
        if name.startswith("ntk"):
            return of(self.tangent(name), *self.network(*size))
        if name == "gemm":
            return of(jnp.matmul, self.normals(1, n, n), self.normals(2, n, n))
        return None

    def network(self, n, d, hidden, c):
        weights = self.normals(2, hidden, d), self.normals(3, hidden), self.normals(4, c, hidden), self.normals(5, c)
        return weights, self.normals(1, n, d)

    def tangent(self, name):
        """Contraction of the Jacobians of the samples, parameter by parameter."""
        jax, jnp = self.jax, self.jnp

        def f(weights, x):
            w1, b1, w2, b2 = weights
            return w2 @ jax.nn.relu(w1 @ x + b1) + b2

        def kernel(weights, x):
            jacobian = jax.vmap(jax.jacrev(f), (None, 0))(weights, x)
            rows = (j.reshape(*j.shape[:2], -1) for j in jacobian)
            if name == "ntk":
                return sum(jnp.einsum("icp,jcp->ij", j, j) for j in rows) / jacobian[0].shape[1]
            return sum(jnp.einsum("icp,jdp->icjd", j, j) for j in rows)

        return kernel

    def optimiser(self, name, n):
        jax, optax = self.jax, self.optax
        rule = {
            "sgd": lambda: optax.sgd(RATE),
            "momentum": lambda: optax.sgd(RATE, momentum=0.9),
            "adam": lambda: optax.adam(RATE),
            "rmsprop": lambda: optax.rmsprop(RATE, decay=0.99),
            "adagrad": lambda: optax.adagrad(RATE),
            "lion": lambda: optax.lion(RATE),
        }[name]()

        def update(x, state, g):
            updates, state = rule.update(g, state, x)
            return optax.apply_updates(x, updates), state

        compiled = jax.jit(update, donate_argnums=(0, 1))
        g = self.normals(1, n)
        x = self.jnp.ones(n)
        held = [x, rule.init(x)]

        def step():
            held[:] = compiled(*held, g)
            jax.block_until_ready(held[0])

        return step


class Sklearn:
    def __init__(self):
        import numpy as np
        import sklearn

        self.np = np
        self.name = "scikit-learn " + sklearn.__version__

    def task(self, name, size):
        if name != "em_full":
            return None
        from sklearn.mixture import GaussianMixture

        np = self.np
        n, k, d = size
        x = np.random.default_rng(0).standard_normal((n, d))
        unit = np.tile(np.eye(d), (k, 1, 1))
        start = {"weights_init": np.full(k, 1 / k), "means_init": x[:k], "precisions_init": unit}
        fit = GaussianMixture(k, max_iter=1, init_params="random_from_data", **start)
        with warnings.catch_warnings():
            # One step does not converge.
            warnings.simplefilter("ignore")
            fit.fit(x)

        def step():
            _, log_responsibilities = fit._e_step(x)
            fit._m_step(x, log_responsibilities)

        return step


def worker(arguments, threads):
    """Times all tasks with this number of threads; a line of JSON each."""
    if hasattr(os, "sched_setaffinity"):
        # XLA counts the processors of the process.
        os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[-threads:]))
    peers = []
    for label, make in [
        ("NumPy", Numpy),
        ("PyTorch", lambda: Torch(threads)),
        ("JAX", Jax),
        ("scikit-learn", Sklearn),
    ]:
        try:
            peers.append(make())
        except ImportError:
            print(f"{label} is not installed")
    print("peers: " + "; ".join(peer.name for peer in peers), flush=True)
    pipe = subprocess.PIPE
    ours = subprocess.Popen([arguments.binary, "serve"], stdin=pipe, stdout=pipe, text=True)
    budget = 0.02 if arguments.quick else 0.06
    for name, size in tasks(arguments.quick):
        if arguments.only and not any(name.startswith(o) for o in arguments.only.split(",")):
            continue
        calls = {peer.name.split()[0]: peer.task(name, size) for peer in peers}
        times = {}
        for _ in range(arguments.rounds):
            print(name, "x".join(map(str, size)), threads, budget, file=ours.stdin, flush=True)
            answer = ours.stdout.readline().strip()
            if answer != "none":
                times["ours"] = min(times.get("ours", float("inf")), float(answer))
            for peer, call in calls.items():
                if call:
                    times[peer] = min(times.get(peer, float("inf")), least(call, budget))
        print(json.dumps({"task": name, "size": size, "threads": threads, "times": times}), flush=True)
    ours.stdin.close()
    ours.wait()


def build():
    """The path of our side, built with the profile of benches."""
    command = ["cargo", "bench", "-p", "thalweg_benches", "--bench", "peers", "--no-run"]
    command.append("--message-format=json")
    out = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    for line in out.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["target"]["name"] == "peers":
            return message["executable"]
    raise SystemExit("cargo has built no bench named peers")


def seconds(x):
    for unit, scale in [("s", 1), ("ms", 1e3), ("us", 1e6)]:
        if x * scale >= 1:
            return f"{x * scale:.3g} {unit}"
    return f"{x * 1e9:.3g} ns"


def table(rows):
    names = ["numpy", "torch", "jax", "scikit-learn"]
    names = [name for name in names if any(name in row["times"] for row in rows)]
    print("\n| task | size | threads | ours | " + " | ".join(names) + " | fastest peer / ours |")
    print("|---" * (5 + len(names)) + "|")
    for row in rows:
        times, size = row["times"], " x ".join(f"{n:,}" for n in row["size"])
        ours = times.pop("ours", None)
        cells = [seconds(times[name]) if name in times else "-" for name in names]
        ratio = f"{min(times.values()) / ours:.2f}" if ours and times else "-"
        cells = [row["task"], size, str(row["threads"]), seconds(ours) if ours else "-", *cells, ratio]
        print("| " + " | ".join(cells) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", default="1,2", help="numbers of threads, separated by commas")
    parser.add_argument("--quick", action="store_true", help="smaller sizes, shorter bursts")
    parser.add_argument("--only", help="beginnings of names of tasks, separated by commas")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each contender")
    parser.add_argument("--binary", help="our side, if it is built already")
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        return worker(arguments, arguments.worker)
    arguments.binary = arguments.binary or build()
    rows, seen = [], set()
    for threads in map(int, arguments.threads.split(",")):
        # Libraries read these when they are imported.
        names = ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"]
        environment = {**os.environ, **dict.fromkeys(names, str(threads))}
        command = [sys.executable, __file__, "--worker", str(threads), "--binary", arguments.binary]
        command += ["--rounds", str(arguments.rounds)] + ["--quick"] * arguments.quick
        command += ["--only", arguments.only] if arguments.only else []
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        for line in process.stdout:
            if line.startswith("{"):
                rows.append(json.loads(line))
                print(".", end="", file=sys.stderr, flush=True)
            elif line not in seen:
                seen.add(line)
                print(line, end="")
        if process.wait():
            raise SystemExit(process.returncode)
    table(rows)


if __name__ == "__main__":
    main()
