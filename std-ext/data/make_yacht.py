"""Writes yacht.csv from the UCI file yacht_hydrodynamics.data.

Run:  python std-ext/data/make_yacht.py PATH_TO/yacht_hydrodynamics.data
The file has seven numbers a row, between spaces (a copy with commas and a line of names gives the same bytes). A row of
yacht.csv: five properties of the hull, the Froude number, then the resistance; numbers without trailing zeros.
"""

import hashlib
import pathlib
import re
import sys

rows = [re.split(r"[\s,]+", line.strip()) for line in open(sys.argv[1]) if re.match(r"\s*-?\d", line)]
assert len(rows) == 308 and all(len(row) == 7 for row in rows)
text = "".join(",".join(format(float(cell), "g") for cell in row) + "\n" for row in rows).encode()
pathlib.Path(__file__).with_name("yacht.csv").write_bytes(text)
print("file", len(text), hashlib.sha256(text).hexdigest())
columns = list(zip(*(map(float, row) for row in rows)))
print("sums of columns", " ".join(f"{sum(column):.3f}" for column in columns))
print("last row", rows[-1])
