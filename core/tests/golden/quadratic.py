"""Constants of the random quadratics from dense eigenvalues, for core/src/model/quadratic.rs.

Run: python quadratic.py      numpy 2.4.6 printed the numbers in the tests.
"""
import numpy as np

print("numpy", np.__version__)


def family(d, n, s, mu, seed=1234):
    rng = np.random.default_rng(seed)
    xi, xi2 = rng.standard_normal(n), rng.standard_normal(n)
    nu, nu2 = 1 + s * xi, s * xi2
    T = (2 * np.eye(d) - np.eye(d, k=1) - np.eye(d, k=-1)) / 4
    A = [v * T for v in nu]
    b = [np.eye(d)[0] * v / 4 * (-1 + w) for v, w in zip(nu, nu2)]
    lam = np.linalg.eigvalsh(sum(A) / n)[0]
    A = [a + (mu - lam) * np.eye(d) for a in A]
    return xi, xi2, A, b


def constants(A):
    mean = sum(A) / len(A)
    square = sum(a @ a for a in A) / len(A)
    own = np.array([np.abs(np.linalg.eigvalsh(a)).max() for a in A])
    return dict(
        l_minus=np.abs(np.linalg.eigvalsh(mean)).max(),
        l_plus=np.sqrt(np.linalg.eigvalsh(square).max()),
        l_plus_minus=np.sqrt(max(0, np.linalg.eigvalsh(square - mean @ mean).max())),
        l_tilde=np.sqrt((own**2).mean()),
        l_max=own.max(),
        l_mean=own.mean(),
    )


for d, n, s, mu in [(50, 10, 0.8, 1e-3), (50, 4, 2.5, 1e-2)]:
    xi, xi2, A, b = family(d, n, s, mu)
    print(f"d={d} n={n} s={s} mu={mu}")
    print(" xi ", [float(x) for x in xi])
    print(" xi2", [float(x) for x in xi2])
    for name, value in constants(A).items():
        print(f" {name} {value!r}")
    mean, linear = sum(A) / n, sum(b) / n
    x = np.linalg.solve(mean, linear)
    print(" minimum", repr(0.5 * x @ mean @ x - linear @ x))
    x = np.cos(np.arange(d))
    i = 2
    print(" value_2", repr(0.5 * x @ A[i] @ x - b[i] @ x))
    g = A[i] @ x - b[i]
    print(" grad_2", [float(g[j]) for j in (0, 1, 25, 49)], float(np.sum(g * g)))
