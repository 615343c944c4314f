#!/usr/bin/env python3
"""Arc-cosine kernels and tangent kernels by their textbook formulas, in mpmath 1.3 with 400 bits.

    python kernel.py > core/tests/golden/kernel.txt

Lines `gap`: depth, bit pattern of the signed gap (1 - c, or -(1 + c)), then of K of order 0 and 1 and of Theta.
Lines `rows`: depth, then K and Theta of two rows of the matrix in `ROWS`, in pairs i < j.
"""

import struct
import sys

sys.path.pop(0)  # The files beside this one are not the modules of their names.

from mpmath import acos, mp, mpf, pi, sqrt

mp.prec = 400


def pattern(x):
    return struct.pack(">d", float(x)).hex()


def order_0(c):
    return 1 - acos(c) / pi


def order_1(c):
    return (sqrt(1 - c * c) + c * (pi - acos(c))) / pi


def network(h, c, depth):
    for _ in range(depth - 1):
        c = h(c)
    return c


def tangent(c, depth):
    theta = c
    for _ in range(depth - 1):
        slope = order_0(c)
        c = order_1(c)
        theta = c + theta * slope
    return theta


GAPS = [0.0, 2.0**-140, 2.0**-100, 1e-20, 2.0**-53, 2.0**-48, 3e-12, 1e-9, 2.0**-24, 1e-6, 1e-4, 0.0078125, 0.0234375, 0.1, 0.3, 0.5, 0.75, 0.9, 0.999, 1.0]
ROWS = [
    (3.0, -1.0, 0.5),
    (3.0, -1.0, 0.5 + 2.0**-16),
    (-3.0, 1.0, -0.5 + 2.0**-14),
    (0.25, 2.0, -1.0),
    (-1.0, -1.0, 4.0),
    (6.0, -2.0, 1.0),
    (3.0 + 2.0**-5, -1.0, 0.5),
]

if __name__ == "__main__":
    for depth in [1, 2, 3, 7, 20]:
        for gap in GAPS:
            for sign in [1, -1]:
                # The nearest f32, so that both types read the same number.
                g = struct.unpack("f", struct.pack("f", gap))[0]
                c = sign * (1 - mpf(g))
                print("gap", depth, pattern(g * sign if g else (0.0 if sign > 0 else -0.0)), pattern(network(order_0, c, depth)), pattern(network(order_1, c, depth)), pattern(tangent(c, depth)))
    for depth in [2, 5]:
        for i, x in enumerate(ROWS):
            for y in ROWS[i + 1 :]:
                dot = lambda a, b: sum(mpf(s) * mpf(t) for s, t in zip(a, b))
                c = dot(x, y) / sqrt(dot(x, x) * dot(y, y))
                c = min(max(c, mpf(-1)), mpf(1))
                print("rows", depth, pattern(network(order_1, c, depth)), pattern(tangent(c, depth)))
