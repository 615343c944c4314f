#!/usr/bin/env python3
"""True values of the functions of `simd::math` for f64, by mpmath 1.3.

    python math_table.py 150 > core/tests/golden/math.txt          the table in the repository
    python math_table.py 100000 > table.txt                        a larger one; then
    THALWEG_MATH_TABLE=$PWD/table.txt cargo test --release -p thalweg --lib math -- --ignored --nocapture large_table

Lines: name, then the bit patterns of the argument, of the correctly rounded value and of the rounded rest.
Besides the points at random, each function gets the same list of hard ones.
"""

import struct
import sys

sys.path.pop(0)  # The files beside this one are not the modules of their names.
import random

from mpmath import acos, mp, mpf, cos, erf, erfc, exp, expm1, inf, ln, log1p, nan, pi, sin, sqrt, tanh

mp.prec = 1400


def pattern(x):
    return struct.pack(">d", x).hex()


def number(bits):
    return struct.unpack(">d", struct.pack(">Q", bits))[0]


def nearest(x):
    """Correctly rounded double of an mpf: float(mpf) rounds twice beneath the normal range."""
    if x == 0 or mp.isnan(x) or mp.isinf(x):
        return float(x)
    least = mpf(2) ** -1074
    if abs(x) < mpf(2) ** -1022:
        return float(mp.nint(x / least)) * 2.0**-1074
    if abs(x) >= mpf(2) ** 1024 - mpf(2) ** 970:
        return float("inf") if x > 0 else float("-inf")
    with mp.workprec(53):
        return float(+x)


def sigmoid(x):
    return 1 / (1 + exp(-x))


def softplus(x):
    return (x if x > 0 else 0) + log1p(exp(-abs(x)))


def normal_cdf(x):
    return erfc(-x / sqrt(mpf(2))) / 2


def sin_turns(x):
    r = x - mp.nint(x)
    return sin(2 * pi * r) if (r * 2) % 1 != 0 else mpf(0)


def cos_turns(x):
    r = x - mp.nint(x)
    return cos(2 * pi * r) if (r * 4) % 2 != 1 else mpf(0)


def acos_1m_integral(x):
    a = acos(1 - x)
    return sin(a) - a * cos(a)


# name: (function, range for even points, range of exponents, values at special points)
TRIG = 1.6e6
FUNCTIONS = {
    "exp": (exp, (-745.2, 709.8), (-60, 9), {"0": 1.0, "-0": 1.0, "inf": "inf", "-inf": 0.0}),
    "exp2": (lambda x: mpf(2) ** x, (-1075, 1024), (-60, 10), {"0": 1.0, "-0": 1.0, "inf": "inf", "-inf": 0.0}),
    "expm1": (expm1, (-45, 709.8), (-1070, 9), {"0": 0.0, "-0": -0.0, "inf": "inf", "-inf": -1.0}),
    "ln": (ln, (0, 3), (-1074, 1023), {"0": "-inf", "-0": "-inf", "inf": "inf", "-inf": "nan", -1.0: "nan", -5e-324: "nan"}),
    "ln_1p": (log1p, (-1, 3), (-1074, 1023), {"0": 0.0, "-0": -0.0, -1.0: "-inf", "inf": "inf", "-inf": "nan", -1.5: "nan"}),
    "tanh": (tanh, (-22, 22), (-1070, 5), {"0": 0.0, "-0": -0.0, "inf": 1.0, "-inf": -1.0}),
    "sigmoid": (sigmoid, (-745, 40), (-60, 9), {"0": 0.5, "-0": 0.5, "inf": 1.0, "-inf": 0.0}),
    "softplus": (softplus, (-745, 40), (-60, 9), {"inf": "inf", "-inf": 0.0}),
    "erf": (erf, (-6, 6), (-1070, 3), {"0": 0.0, "-0": -0.0, "inf": 1.0, "-inf": -1.0}),
    "normal_cdf": (normal_cdf, (-38.5, 9), (-60, 5), {"0": 0.5, "-0": 0.5, "inf": 1.0, "-inf": 0.0}),
    "sin": (sin, (-20, 20), (-1070, 20), {"0": 0.0, "-0": -0.0, "inf": "nan", "-inf": "nan"}),
    "cos": (cos, (-20, 20), (-60, 20), {"0": 1.0, "-0": 1.0, "inf": "nan", "-inf": "nan"}),
    "sin_turns": (sin_turns, (-2, 2), (-1065, 20), {"0": 0.0, "-0": -0.0, "inf": "nan", "-inf": "nan"}),
    "cos_turns": (cos_turns, (-2, 2), (-60, 20), {"0": 1.0, "-0": 1.0, "inf": "nan", "-inf": "nan"}),
    "ln_normal_cdf": (lambda x: ln(normal_cdf(x)), (-50, 9), (-60, 9), {"inf": 0.0, "-inf": "-inf"}),
    "acos_1m": (lambda x: acos(1 - x), (0, 2), (-1074, 1), {"0": 0.0, "-0": 0.0, "inf": "nan", "-inf": "nan", -5e-324: "nan", 2.0000000000000004: "nan"}),
    "acos_1m_integral": (acos_1m_integral, (0, 2), (-700, 1), {"0": 0.0, "-0": 0.0, "inf": "nan", "-inf": "nan", -5e-324: "nan", 2.0000000000000004: "nan"}),
}
SIGNED = {"ln_normal_cdf", "exp", "exp2", "expm1", "tanh", "sigmoid", "softplus", "erf", "normal_cdf", "sin", "cos", "sin_turns", "cos_turns"}
HARD = [
    5e-324, 1e-310, 2.2250738585072014e-308, 1e-300, 1e-160, 1e-30, 2.0**-54, 2.0**-53, 2.0**-27, 1e-5, 0.1, 0.25,
    0.34657359027997264, 0.3465735902799727, 0.5, 0.5493061443340549, 0.7071067811865475, 0.7071067811865476,
    0.7853981633974483, 0.9999999999999999, 1.0, 1.0000000000000002, 1.4142135623730951, 1.5707963267948966, 2.0,
    3.141592653589793, 6.283185307179586, 11.0, 22.0, 36.7, 37.5, 708.3964185322641, 709.0895657128241,
    709.782712893384, 709.7827128933841, 744.4400719213812, 745.1332191019411, 745.1332191019412, 1023.9999999999999,
    1024.0, 1074.0, 1075.0, 1075.0000000000002, 1e5, 1.7976931348623157e308,
]


def defined(name, x):
    if name in ("sin", "cos"):
        return abs(x) <= TRIG
    if name in ("sin_turns", "cos_turns"):
        return abs(x) <= 2.0**20
    if name in ("acos_1m", "acos_1m_integral"):
        return 0 < x <= 2
    if name == "ln_normal_cdf":
        return abs(x) < 1100
    return x > {"ln": 0.0, "ln_1p": -1.0}.get(name, float("-inf"))


def value(name, f, x):
    # Beneath, working precision would not hold the sum with one; above, the value overflows.
    if abs(x) > 1100 and name in ("exp", "exp2", "expm1", "tanh", "sigmoid", "softplus", "erf", "normal_cdf"):
        limits = {"tanh": 1.0, "erf": 1.0, "sigmoid": 1.0, "normal_cdf": 1.0, "softplus": x}
        low = {"expm1": -1.0, "tanh": -1.0, "erf": -1.0}
        return mpf(limits.get(name, inf)) if x > 0 else mpf(low.get(name, 0.0))
    if name in ("exp", "exp2", "sigmoid", "softplus", "normal_cdf", "cos", "sin", "ln"):
        with mp.workprec(1400 if abs(x) > 1e-20 and name == "normal_cdf" and x > 8 else 300):
            return f(mpf(x))
    return f(mpf(x))


def main(count):
    random.seed(20)
    for name, (f, even, exponents, special) in FUNCTIONS.items():
        points = [random.uniform(*even) for _ in range(count // 2)]
        for _ in range(count // 2):
            x = random.uniform(1, 2) * 2.0 ** random.randint(exponents[0], exponents[1] - 1)
            points.append(-x if name in SIGNED and random.random() < 0.5 else x)
        points += HARD + [-x for x in HARD]
        if name in ("sin", "cos"):
            # The numbers next to multiples of a quarter turn.
            points += [float(mp.nint(mpf(random.uniform(1, 2**k))) * pi / 2) for k in range(1, 20) for _ in range(1 + count // 400)]
        for x in points:
            if not defined(name, x):
                continue
            y = value(name, f, x)
            high = nearest(y)
            if name == "sin_turns" and high == 0:
                high = -0.0 if x < 0 else 0.0
            low = float(y - mpf(high)) if abs(high) < float("inf") else 0.0
            print(name, pattern(x), pattern(high), pattern(low))
        for x, y in special.items():
            print(name, pattern(float(x)), pattern(float(y)), pattern(0.0))
        print(name, pattern(float("nan")), pattern(float("nan")), pattern(0.0))


if __name__ == "__main__":
    main(int(sys.argv[1]))
