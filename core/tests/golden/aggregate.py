"""Medians and trimmed means of NumPy and SciPy, and moments of normal order statistics, for core/tests/aggregate.rs.

Run: python -P aggregate.py (random.py beside it is not Python's)      numpy 2.2.6 and scipy 1.14.1 printed the numbers in the tests.
"""
from math import comb

import numpy as np
import scipy
from scipy import integrate, stats

print("numpy", np.__version__, "scipy", scipy.__version__)

ROWS = np.array([[(37 * i + 11 * j * j + 5 * i * j) % 64 / 8 - 4 for j in range(4)] for i in range(7)])
for n in (6, 7):
    print(n, "median", np.median(ROWS[:n], axis=0).tolist())
    for fraction in (0.15, 0.3):
        print(n, fraction, stats.trim_mean(ROWS[:n], fraction, axis=0).tolist())


def moments(r, n):
    """Mean and variance of the r-th of n normal numbers in ascending order."""
    density = lambda x: r * comb(n, r) * stats.norm.cdf(x) ** (r - 1) * stats.norm.sf(x) ** (n - r) * stats.norm.pdf(x)
    m1, m2 = (integrate.quad(lambda x: x**p * density(x), -12, 12, epsabs=1e-12)[0] for p in (1, 2))
    return m1, m2 - m1 * m1


# One of nine vectors is far above the others: their fifth is the median, and the trimmed mean is that without their first.
print("median of eight and one far above", moments(5, 8))
mean, variance = moments(1, 8)
# The mean of normal numbers has covariance 1/n with each of their order statistics.
print("trimmed mean", -mean / 7, (8 - 2 + variance) / 49)
