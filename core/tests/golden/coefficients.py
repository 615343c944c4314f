#!/usr/bin/env python3
"""Coefficients of the polynomials in core/src/simd/math/*.rs, by the exchange algorithm of Remez.

    python coefficients.py [NAME ...]        (mpmath 1.3; without names: all)

For each series it prints the Rust array for f32 and f64 and the largest weighted error of the *rounded*
coefficients, as a power of two. Coefficient 0 belongs to the lowest power.
"""

import struct
import sys

sys.path.pop(0)  # The files beside this one are not the modules of their names.

from mpmath import acos, mp, mpf, cos, erfc, erf, exp, fabs, ln, log, lu_solve, matrix, pi, sin, sqrt

mp.dps = 110


def to_f32(x):
    return mpf(struct.unpack("f", struct.pack("f", float(x)))[0])


def to_f64(x):
    return mpf(float(x))


def remez(f, weight, low, high, powers):
    """Minimises max |weight (f - sum c_p x^p)| on [low, high]."""
    n = len(powers)
    nodes = [(low + high) / 2 - (high - low) / 2 * cos(pi * i / n) for i in range(n + 1)]
    grid = [(low + high) / 2 - (high - low) / 2 * cos(pi * (i + mpf(1) / 2) / (40 * n)) for i in range(40 * n)]
    grid = [low] + grid + [high]
    values = [(x, f(x), weight(x), [x**p for p in powers]) for x in grid]
    for _ in range(30):
        a, b = matrix(n + 1, n + 1), matrix(n + 1, 1)
        for i, x in enumerate(nodes):
            for j, p in enumerate(powers):
                a[i, j] = x**p
            a[i, n] = (-1) ** i / weight(x)
            b[i] = f(x)
        solution = lu_solve(a, b)
        c, level = [solution[j] for j in range(n)], fabs(solution[n])
        errors = [(x, w * (y - sum(cj * xp for cj, xp in zip(c, xs)))) for x, y, w, xs in values]
        # The largest error between two changes of sign.
        peaks = [errors[0]]
        for x, e in errors[1:]:
            if (e < 0) == (peaks[-1][1] < 0):
                if fabs(e) > fabs(peaks[-1][1]):
                    peaks[-1] = (x, e)
            else:
                peaks.append((x, e))
        while len(peaks) > n + 1:
            peaks.pop(0 if fabs(peaks[0][1]) < fabs(peaks[-1][1]) else -1)
        if len(peaks) < n + 1:
            break
        nodes = [x for x, _ in peaks]
        if max(fabs(e) for _, e in peaks) < level * mpf("1.02"):
            break
    return c


def rounded(f, weight, low, high, degree, rounding):
    fixed = [rounding(c) for c in remez(f, weight, low, high, list(range(degree + 1)))]
    worst = mpf(0)
    for i in range(3001):
        x = low + (high - low) * i / 3000
        worst = max(worst, fabs(weight(x) * (f(x) - sum(cj * x**j for j, cj in enumerate(fixed)))))
    return fixed, log(worst, 2)


def shifted(f, at=mpf(0)):
    """Keeps a function with a removable singularity at `at` away from it."""
    return lambda x: f(x + mpf(10) ** -25 if fabs(x - at) < mpf(10) ** -25 else x)


HALF_LN2 = ln(2) / 2 * mpf("1.001")
QUARTER_PI = pi / 4 * mpf("1.001")
LN_EDGE = ((sqrt(mpf(2)) - 1) / (sqrt(mpf(2)) + 1)) ** 2 * mpf("1.001")


def atanh_series(z):
    s = sqrt(z)
    return (ln((1 + s) / (1 - s)) - 2 * s) / (s * z)


def tail(k):
    """(1 + y) exp(y^2 / 2) Q(y) in t = (y - k) / (y + k), Q the upper tail of the normal distribution."""

    def f(t):
        if 1 - t < mpf(10) ** -20:
            return 1 / sqrt(2 * pi)
        y = k * (1 + t) / (1 - t)
        if y > 300:
            total, term, i = mpf(0), mpf(1), 0
            while fabs(term) > mpf(10) ** -50 and i < 40:
                total += term
                i += 1
                term *= -(2 * i - 1) / y**2
            return (1 + y) * total / (y * sqrt(2 * pi))
        return (1 + y) * exp(y * y / 2) * erfc(y / sqrt(mpf(2))) / 2

    return f


def segment(x):
    a = acos(1 - x)
    return (sin(a) - a * cos(a)) / (x * sqrt(2 * x))


# name: (function, weight, low, high, degree for f32, degree for f64)
SERIES = {
    # (e^r - 1 - r) / r^2; the error of e^r - 1 relative to r is r times that of the series.
    "exp": (shifted(lambda r: (exp(r) - 1 - r) / r**2), lambda r: fabs(r) + mpf("0.01"), -HALF_LN2, HALF_LN2, 4, 10),
    # (ln((1 + s) / (1 - s)) - 2 s) / s^3 in z = s^2, relative to ln((1 + s) / (1 - s)) ~ 2 s.
    "ln": (shifted(atanh_series), lambda z: z / 2 + mpf("0.0005"), mpf(0), LN_EDGE, 3, 6),
    # (sin r - r) / r^3 in z = r^2, relative to r.
    "sin": (shifted(lambda z: (sin(sqrt(z)) - sqrt(z)) / (sqrt(z) * z)), lambda z: z + mpf("0.01"), mpf(0), QUARTER_PI**2, 3, 5),
    # (cos r - 1 + r^2 / 2) / r^4 in z = r^2.
    "cos": (shifted(lambda z: (cos(sqrt(z)) - 1 + z / 2) / z**2), lambda z: z**2 + mpf("0.01"), mpf(0), QUARTER_PI**2, 2, 5),
    # erf(x) / x - 1 in z = x^2 for |x| <= 1.
    "erf": (shifted(lambda z: erf(sqrt(z)) / sqrt(z) - 1), lambda z: mpf(1), mpf(0), mpf(1), 7, 12),
    # (acos(1 - x) / sqrt(2 x) - 1) / x for 0 <= x <= 1, relative to the angle.
    "acos_1m": (shifted(lambda x: (acos(1 - x) / sqrt(2 * x) - 1) / x), lambda x: x + mpf("0.01"), mpf(0), mpf(1), 7, 18),
    # (sin a - a cos a) / (x sqrt(2 x)) with cos a = 1 - x: the integral of acos(1 - t) from 0 to x.
    "acos_1m_integral": (shifted(segment), lambda x: mpf("1.5"), mpf(0), mpf(1), 8, 18),
    # See `tail`: all y >= 0. The centre k differs, since the fewest terms are needed at another one.
    "tail_f32": (tail(mpf(3)), lambda t: mpf(1), mpf(-1), mpf(1), 11, None),
    "tail_f64": (tail(mpf(5)), lambda t: mpf(1), mpf(-1), mpf(1), None, 24),
}

# name: (number, bits of each part but the last for f32, for f64, parts)
PARTS = {
    # Exponents have 8 and 11 bits: their products with the high part are exact.
    "ln2": (ln(mpf(2)), 15, 41, 2),
    # Quadrants have up to 11 and 20 bits.
    "half_pi": (pi / 2, 12, 32, 4),
}


def split(x, bits, parts, rounding):
    """`x` as a sum of numbers with `bits` bits and a last one to full precision."""
    out = []
    for _ in range(parts - 1):
        scale = mpf(2) ** (bits - 1 - int(mp.floor(log(fabs(x), 2))))
        out.append(mp.nint(x * scale) / scale)
        x -= out[-1]
    return out + [rounding(x)]


if __name__ == "__main__":
    for name in sys.argv[1:] or [*SERIES, *PARTS]:
        if name in PARTS:
            x, b32, b64, parts = PARTS[name]
            print(f"// {name} f32", [repr(float(y)) for y in split(x, b32, parts, to_f32)])
            print(f"// {name} f64", [repr(float(y)) for y in split(x, b64, parts, to_f64)])
            continue
        f, weight, low, high, d32, d64 = SERIES[name]
        for kind, degree, rounding in (("f32", d32, to_f32), ("f64", d64, to_f64)):
            if degree is None:
                continue
            c, error = rounded(f, weight, low, high, degree, rounding)
            print(f"// {name} {kind}: error 2^{float(error):.1f}")
            print("[" + ", ".join(repr(float(x)) for x in c) + "]", flush=True)
