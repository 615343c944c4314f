"""Writes digits.csv.gz from scikit-learn's copy of the UCI optical digits.

Run with scikit-learn 1.9.1:  python std-ext/data/make_digits.py
A row an image: 64 pixels in 0..16, row by row, then the digit. The bytes do not depend on the day (gzip
time stamp 0), but may on the zlib that compresses; the text within does not.
"""

import gzip
import hashlib
import pathlib

from sklearn.datasets import load_digits

digits = load_digits()
assert digits.data.shape == (1797, 64)
lines = [
    ",".join(str(int(value)) for value in [*pixels, digit]) + "\n"
    for pixels, digit in zip(digits.data, digits.target)
]
text = "".join(lines).encode()
path = pathlib.Path(__file__).with_name("digits.csv.gz")
path.write_bytes(gzip.compress(text, compresslevel=9, mtime=0))
print("text", len(text), hashlib.sha256(text).hexdigest())
print("file", path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())
print("sum of pixels", int(digits.data.sum()))
print("rows of each digit", [int((digits.target == digit).sum()) for digit in range(10)])
print("first digits", digits.target[:12].tolist(), "last", digits.target[-3:].tolist())
print("last row", digits.data[-1].astype(int).tolist())
