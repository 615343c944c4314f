"""Log-densities, scores and moments of the test targets, for core/src/particle/target/*.rs.

Run: python -P target.py (random.py beside it hides the library of that name).
"""
import numpy as np
import scipy
from scipy import stats
from scipy.special import logsumexp

print("numpy", np.__version__, "scipy", scipy.__version__)


def slope(f, x, h=1e-5):
    """Central differences of fourth order."""
    e = h * np.eye(len(x))
    return np.array([(8 * (f(x + v) - f(x - v)) - f(x + 2 * v) + f(x - 2 * v)) / (12 * h) for v in e])


def show(name, f, x):
    x = np.array(x, float)
    print(name, "at", x, "log density %.15g" % f(x), "score", slope(f, x))


L = np.array([[2, 0, 0], [0.5, 0.3, 0], [-1, 0.2, 0.1]])
mean = [1.0, -2.0, 0.5]
show("gaussian", stats.multivariate_normal(mean, L @ L.T).logpdf, [0.3, -1.5, 0.2])

means, weights, variances = np.array([[-2, 0], [2, 0], [0, 2.5]]), np.array([2, 2, 1]), np.array([0.5, 0.5, 0.25])
parts = [stats.multivariate_normal(m, v) for m, v in zip(means, variances)]
show("mixture", lambda x: logsumexp([p.logpdf(x) for p in parts], b=weights / weights.sum()), [0.4, 0.9])
p = weights / weights.sum()
m = p @ means
print("mixture mean", m, "covariance", ((means - m).T * p) @ (means - m) + (p @ variances) * np.eye(2))

show("funnel", lambda x: stats.norm(0, 3).logpdf(x[0]) + stats.norm(0, np.exp(x[0] / 2)).logpdf(x[1:]).sum(), [1.2, 0.4, -2.0])


def banana(x, y):
    return -(x * x + y * y) / 2 - (np.log(30) - np.log((1 - x) ** 2 + 100 * (y - x * x) ** 2)) ** 2 / (2 * 0.09)


show("banana", lambda x: banana(*x), [0.7, 0.2])
# The density lives within the prior; 6000^2 midpoints.
g = (np.arange(6000) + 0.5) / 6000
x, y = np.meshgrid(-3.5 + 7 * g, -3.5 + 7 * g)
w = np.exp(banana(x, y))
print("banana: integral / 2 pi = chance of acceptance", w.sum() * (7 / 6000) ** 2 / (2 * np.pi))
w /= w.sum()
mx, my = (w * x).sum(), (w * y).sum()
print("banana mean", mx, my, "covariance", (w * x * x).sum() - mx**2, (w * x * y).sum() - mx * my, (w * y * y).sum() - my**2)
