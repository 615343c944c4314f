"""Eigenvalues quoted in core/src/matrix/eigen.rs. Run with numpy 2.4.6."""

import numpy as np

i = np.arange(6)
a = ((7 * i[:, None] + 7 * i[None, :] + 5 * i[:, None] * i[None, :]) % 11 - 5) / 4.0
print(a.tolist())
print([float(x) for x in np.linalg.eigvalsh(a)])

n = np.arange(8)
hilbert = 1.0 / (1.0 + n[:, None] + n[None, :])
print([float(x) for x in np.linalg.eigvalsh(hilbert)])
