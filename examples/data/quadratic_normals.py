"""The normals of the published small table of random quadratics, for src/permutation_compressors/problem.rs.

Run: python quadratic_normals.py > quadratic_normals.txt      numpy 2.4.6 wrote the file in the repository.
With n clients, the first n are their xi and the next n their xi'.
"""
import numpy as np

for x in np.random.default_rng(1234).standard_normal(2000):
    print(repr(float(x)))
