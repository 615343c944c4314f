"""Golden vectors of the particle samplers: the published sums over pairs in float64, term by term.

numpy 2.4.6 (any version gives these digits to about 1e-15); run as `python3 particle.py > particle.txt`.
Particles, momenta and scores are ((37 i + 53 phase) mod 251) / 64 - 1.95 for i = 0, 1, ...
"""

import numpy as np


def painted(phase, *shape):
    i = np.arange(np.prod(shape))
    return (((37 * i + 53 * phase) % 251) / 64 - 1.95).reshape(shape)


def squared(z):
    return ((z[:, None, :] - z[None, :, :]) ** 2).sum(-1)


def median_h(z, scale=1.0):
    return scale * np.median(squared(z)) / np.log(len(z) + 1)


def kernel(z, h, family="rbf"):
    """k_ij and grad_{z_j} k_ij."""
    q, difference = squared(z), z[:, None, :] - z[None, :, :]
    if family == "rbf":
        k = np.exp(-q / h)
        return k, (2 / h) * k[..., None] * difference
    k = (1 + q / h) ** -0.5
    return k, ((1 + q / h) ** -1.5 / h)[..., None] * difference


def svgd(x, g, h, family="rbf"):
    k, s = kernel(x, h, family)
    return (k @ g + s.sum(1)) / len(x)


def general(z, gradient, h, matrix, gamma, scales=None):
    """phi_i = (1/n) sum_j [k_ij (M_j G_j + Gamma_j) + M_j grad_{z_j} k_ij]."""
    n, out = len(z), np.zeros_like(z)
    k, s = kernel(z, h)
    for i in range(n):
        for j in range(n):
            m = matrix(z[j])
            out[i] += k[i, j] * (m @ gradient[j] + gamma(z[j])) + m @ s[i, j]
    return out / n


def show(name, values):
    print(name, *(repr(float(v)) for v in np.ravel(values)))


n, d = 7, 3
x, r, g = painted(1, n, d), painted(2, n, d), painted(3, n, d)
show("median_odd", np.median(squared(x)))
show("median_even", np.median(squared(x[:6])))
show("svgd_fixed", svgd(x, g, 2.5))
show("svgd_median", svgd(x, g, median_h(x)))
show("svgd_imq", svgd(x, g, 2.5, "imq"))
shape = np.array([[2.0, 0.3, 0.1], [0.3, 1.5, -0.2], [0.1, -0.2, 0.8]])
root = np.linalg.cholesky(shape)
y = x @ root
show("matrix_svgd", svgd(y, g @ np.linalg.inv(root).T, 2.5) @ np.linalg.inv(root))

zero, eye, c = np.zeros((d, d)), np.eye(d), 0.7
z = np.hstack([x, r])
h = median_h(z, 4.0)
show("joint_median", h)
sghmc = np.block([[zero, -eye], [eye, c * eye]])
phi = general(z, np.hstack([g, -r]), h, lambda _: sghmc, lambda _: np.zeros(2 * d))
show("sghmc_position", phi[:, :d])
show("sghmc_momentum", phi[:, d:])

metric = lambda t: 1 / np.sqrt(1 + t**2)  # the diagonal of S, and its own derivative
slope = lambda t: -t * (1 + t**2) ** -1.5


def sgrhmc(z):
    s = np.diag(metric(z[:d]))
    return np.block([[zero, -s], [s, s @ s]])


phi = general(z, np.hstack([g, -r]), h, sgrhmc, lambda z: np.concatenate([np.zeros(d), slope(z[:d])]))
show("sgrhmc_position", phi[:, :d])
show("sgrhmc_momentum", phi[:, d:])

phi = general(x, g, 2.5, lambda t: np.diag(metric(t)), slope)
show("rld", phi)

a = 0.7
xi = 0.9 + 0.1 * np.arange(n)[:, None]
z = np.hstack([x, r, xi])


def sgnht(z):
    rd = z[d : 2 * d, None] / d
    column, row = np.zeros((d, 1)), np.zeros((1, d))
    return np.block([[zero, -eye, column], [eye, a * eye, rd], [row, -rd.T, np.zeros((1, 1))]])


gamma = np.zeros(2 * d + 1)
gamma[-1] = -1
phi = general(z, np.hstack([g, -r, -d * (xi - a)]), 6.0, sgnht, lambda _: gamma)
show("sgnht_position", phi[:, :d])
show("sgnht_momentum", phi[:, d : 2 * d])
show("sgnht_thermostat", phi[:, -1])


def ksd(x, g, family, h):
    """u(x, y) summed from the derivatives of k, V- and U-statistic."""
    n, d = x.shape
    u = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            delta = x[i] - x[j]
            q = delta @ delta
            if family == "rbf":
                k = np.exp(-q / h)
                grad_x = -2 / h * k * delta
                trace = k * (2 * d / h - 4 * q / h**2)
            else:
                k = (1 + q / h) ** -0.5
                grad_x = -((1 + q / h) ** -1.5) * delta / h
                trace = d * (1 + q / h) ** -1.5 / h - 3 * q * (1 + q / h) ** -2.5 / h**2
            u[i, j] = k * (g[i] @ g[j]) - g[i] @ grad_x + g[j] @ grad_x + trace
    return u.mean(), (u.sum() - np.trace(u)) / (n * (n - 1))


show("ksd_imq", ksd(x, g, "imq", 1.3))
show("ksd_rbf", ksd(x, g, "rbf", 1.3))
y = painted(4, 5, d)
between = lambda x, y: ((x[:, None] - y[None]) ** 2).sum(-1)
mean = lambda x, y: np.exp(-between(x, y) / 3.0).mean()
show("mmd", mean(x, x) + mean(y, y) - 2 * mean(x, y))
length = lambda x, y: np.sqrt(between(x, y)).mean()
show("energy", 2 * length(x, y) - length(x, x) - length(y, y))
