"""Independent reference for the accuracies of `federated --check`.

NumPy only, apart from the data: its own network, partition, compressors and protocols, with NumPy's random numbers. Ten
Dirichlet(0.5) clients, network 64-32-10, uplink budget of 60 gradients of 32 d bits per client, each method at its best
step of {0.125, 0.25, 0.5} by training loss. Prints the accuracy on 359 held-out digits for ten seeds.

    python examples/tests/reference/federated.py

Output:
    numpy 2.4.6 scikit-learn 1.9.1
    FedAvg           min 0.953 mean 0.969   0.972 0.967 0.964 0.953 0.981 0.958 0.969 0.978 0.978 0.967
    MARINA + PermK   min 0.936 mean 0.958   0.961 0.967 0.942 0.936 0.981 0.936 0.969 0.972 0.964 0.955
    MARINA + RandK   min 0.944 mean 0.965   0.967 0.964 0.961 0.958 0.983 0.944 0.961 0.975 0.972 0.969
    EF21 + TopK      min 0.953 mean 0.968   0.967 0.969 0.975 0.953 0.975 0.958 0.975 0.981 0.969 0.961
"""

import numpy as np
import sklearn
from sklearn.datasets import load_digits

SIZES, CLIENTS, GRADIENTS, STEPS, BATCH = (64, 32, 10), 10, 60, (0.125, 0.25, 0.5), 16
D = 64 * 32 + 32 + 32 * 10 + 10


def parts(w):
    a, b, c = 64 * 32, 64 * 32 + 32, 64 * 32 + 32 + 320
    return w[:a].reshape(32, 64), w[a:b], w[b:c].reshape(10, 32), w[c:]


def loss_and_gradient(w, x, y):
    w1, b1, w2, b2 = parts(w)
    a = np.maximum(x @ w1.T + b1, 0)
    z = a @ w2.T + b2
    z = z - z.max(1, keepdims=True)
    p = np.exp(z)
    p /= p.sum(1, keepdims=True)
    rows = np.arange(len(y))
    loss = -np.log(p[rows, y]).mean()
    p[rows, y] -= 1
    p /= len(y)
    back = (p @ w2) * (a > 0)
    return loss, np.concatenate([(back.T @ x).ravel(), back.sum(0), (p.T @ a).ravel(), p.sum(0)])


def accuracy(w, x, y):
    w1, b1, w2, b2 = parts(w)
    return (np.argmax(np.maximum(x @ w1.T + b1, 0) @ w2.T + b2, 1) == y).mean()


def dirichlet(y, rng):
    shards = [[] for _ in range(CLIENTS)]
    for c in range(10):
        rows = rng.permutation(np.flatnonzero(y == c))
        cuts = np.rint(np.cumsum(rng.dirichlet([0.5] * CLIENTS))[:-1] * len(rows)).astype(int)
        for shard, piece in zip(shards, np.split(rows, cuts)):
            shard.extend(piece)
    return [np.array(s) for s in shards if len(s)]


def start(rng):
    normal = lambda o, i: rng.normal(0, np.sqrt(2 / i), (o, i)).ravel()
    return np.concatenate([normal(32, 64), np.zeros(32), normal(10, 32), np.zeros(10)])


def fed_avg(w, x, y, shards, step, rng):
    sizes = np.array([len(s) for s in shards])
    for _ in range(GRADIENTS):
        models = []
        for shard in shards:
            v = w.copy()
            order = rng.permutation(shard)
            for rows in np.split(order, range(BATCH, len(order), BATCH)):
                v -= step * loss_and_gradient(v, x[rows], y[rows])[1]
            models.append(v)
        w = np.average(models, axis=0, weights=sizes)
    return w


def estimators(w, x, y, shards, step, rng, method):
    n, total = len(shards), sum(map(len, shards))
    k = D // n
    grads = lambda w: np.array([n * len(s) / total * loss_and_gradient(w, x[s], y[s])[1] for s in shards])
    bits, budget = 32 * D, GRADIENTS * 32 * D
    previous = grads(w)
    g = previous.mean(0)
    memory = previous.copy()
    w = w - step * g
    while True:
        full = method != "EF21 + TopK" and rng.random() < 1 / n
        cost = 32 * D if full else 32 * -(-D // n)
        if method == "EF21 + TopK":
            cost = k * (32 + 12)
        if bits + cost > budget:
            return w
        bits += cost
        now = grads(w)
        if full:
            g = now.mean(0)
        elif method == "MARINA + PermK":
            owner = np.empty(D, int)
            for i, block in zip(rng.permutation(n), np.array_split(rng.permutation(D), n)):
                owner[block] = i
            g = g + (now - previous)[owner, np.arange(D)]
        elif method == "MARINA + RandK":
            m = np.zeros_like(now)
            for i in range(n):
                j = rng.choice(D, k, replace=False)
                m[i, j] = (now - previous)[i, j] * D / k
            g = g + m.mean(0)
        else:
            m = np.zeros_like(now)
            for i in range(n):
                j = np.argsort(-np.abs(now[i] - memory[i]), kind="stable")[:k]
                m[i, j] = (now[i] - memory[i])[j]
            memory += m
            g = g + m.mean(0)
        previous = now
        w = w - step * g


if __name__ == "__main__":
    print("numpy", np.__version__, "scikit-learn", sklearn.__version__)
    data, labels = load_digits(return_X_y=True)
    data = data / 16
    for method in ("FedAvg", "MARINA + PermK", "MARINA + RandK", "EF21 + TopK"):
        found = []
        for seed in range(10):
            rng = np.random.default_rng(seed)
            rows = rng.permutation(len(labels))
            test, train = rows[:359], rows[359:]
            x, y = data[train], labels[train]
            shards, w = dirichlet(y, rng), start(rng)
            runs = []
            with np.errstate(all="ignore"):
                for step in STEPS:
                    if method == "FedAvg":
                        v = fed_avg(w, x, y, shards, step, rng)
                    else:
                        v = estimators(w, x, y, shards, step, rng, method)
                    loss = loss_and_gradient(v, x, y)[0]
                    runs.append((loss if np.isfinite(loss) else np.inf, step, accuracy(v, data[test], labels[test])))
            loss, step, score = min(runs)
            found.append(score)
        print(f"{method:16} min {min(found):.3f} mean {np.mean(found):.3f}  ", " ".join(f"{s:.3f}" for s in found), flush=True)
