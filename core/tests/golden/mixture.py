"""Gaussian mixtures of scikit-learn for core/tests/mixture/shapes.rs.

    python -P core/tests/golden/mixture.py > core/tests/golden/mixture.txt

One line per covariance type and number of steps: weights, means, covariances (lower triangles), the mean log-likelihood after the steps, BIC, AIC, and
the label of every row, from the same start. The second block has every row twice, or not at all.
"""
import sys

import numpy as np
import scipy
import sklearn
from sklearn.mixture import GaussianMixture

ROWS, K, D, REG = 60, 3, 3, 1e-3


def data():
    """Rows near three centres, of multiples of 2^-10."""
    words = (np.arange(ROWS * D, dtype=np.uint64) * np.uint64(2654435761) + np.uint64(12345)) % np.uint64(2**32)
    noise = ((words >> np.uint64(20)).astype(float) / 1024 - 2).reshape(ROWS, D)
    centres = np.array([[0, 0, 0], [3, 0, 1.5], [0.5, 2.5, -1]])
    return centres[np.arange(ROWS) % 3] + noise * np.array([1, 0.5, 0.75])


def packed(kind, covariances):
    covariances = np.asarray(covariances)
    if kind == "full":
        return np.concatenate([c[np.tril_indices(D)] for c in covariances])
    if kind == "tied":
        return covariances[np.tril_indices(D)]
    return covariances.ravel()


def line(kind, steps, name, x):
    means = np.array([[0, 0, 0.0], [2, 0, 1], [1, 2, 0]])
    identity = {"full": np.stack([np.eye(D)] * K), "tied": np.eye(D), "diag": np.ones((K, D)), "spherical": np.ones(K)}[kind]
    model = GaussianMixture(K, covariance_type=kind, tol=0, reg_covar=REG, max_iter=steps, weights_init=[0.25, 0.25, 0.5],
                            means_init=means, precisions_init=identity)
    model.fit(x)
    numbers = np.concatenate([model.weights_, model.means_.ravel(), packed(kind, model.covariances_),
                              [model.score(x), model.bic(x), model.aic(x)]])
    print(name, kind, steps, *(repr(float(v)) for v in numbers), *model.predict(x))


import warnings
warnings.simplefilter("ignore")
print("# scikit-learn", sklearn.__version__, "scipy", scipy.__version__, "numpy", np.__version__)
for kind in ["full", "diag", "spherical", "tied"]:
    for steps in [1, 7]:
        line(kind, steps, "all", data())
for kind in ["full", "tied"]:
    line(kind, 5, "twice", np.repeat(data()[: ROWS // 2], 2, axis=0))
