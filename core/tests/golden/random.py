"""Golden values for thalweg::random, written from the papers and not from the Rust code.

Run with Python 3.9 or later, no packages: python3 core/tests/golden/random.py
"""
import math

M = (1 << 64) - 1


def splitmix(x):
    """First output of SplitMix64 with state x (Steele, Lea, Flood 2014; Vigna's constants)."""
    z = (x + 0x9E3779B97F4A7C15) & M
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & M
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & M
    return z ^ (z >> 31)


def rotl(x, k):
    return ((x << k) | (x >> (64 - k))) & M


class Xoshiro256pp:
    def __init__(self, s):
        self.s = list(s)

    def next(self):
        s = self.s
        out = (rotl((s[0] + s[3]) & M, 23) + s[0]) & M
        t = (s[1] << 17) & M
        s[2] ^= s[0]
        s[3] ^= s[1]
        s[1] ^= s[2]
        s[0] ^= s[3]
        s[2] ^= t
        s[3] = rotl(s[3], 45)
        return out


def stream(seed, round_, client, purpose):
    a, x = [], 0
    for w in (seed, round_, client, purpose):
        x = splitmix(x ^ w)
        a.append(x)
    s, y = [0] * 4, 0
    for i in (3, 2, 1, 0):
        y = splitmix(a[i] ^ y)
        s[i] = y
    return Xoshiro256pp(s)


def below(g, n):
    while True:
        p = (g.next() >> 32) * n
        if p % 2**32 >= 2**32 % n:
            return p >> 32


def shuffle(g, x):
    for i in range(len(x) - 1, 0, -1):
        j = below(g, i + 1)
        x[i], x[j] = x[j], x[i]
    return x


def floyd(g, d, k):
    taken = []
    for j in range(d - k, d):
        t = below(g, j + 1)
        taken.append(j if t in taken else t)
    return taken


def permutation(key, d, i):
    """The mixed-radix network of random/permutation.rs, from its module docs."""
    a = max(math.isqrt(d - 1) + 1, 2)  # ceil(sqrt(d))
    a += a % 2
    b = -(-d // a)
    rounds = 2
    while b ** (rounds // 2 - 1) < 10**6 and rounds < 42:
        rounds += 2
    keys, c = [], splitmix(key)
    for _ in range(4):
        w = splitmix(c)
        keys += [w % 2**32, w >> 32]
        c = (c + 0x9E3779B97F4A7C15) & M

    def f(v, r, n):
        v = (v + keys[r % 8] + r // 8 * 0x9E3779B9) % 2**32
        v = (v ^ v >> 16) * 0x7FEB352D % 2**32
        v = (v ^ v >> 15) * 0x846CA68B % 2**32
        return v * n >> 32

    while True:
        x, y = divmod(i, b)
        for r in range(0, rounds, 2):
            x = (x + f(y, r, a)) % a
            y = (y + f(x, r + 1, b)) % b
        i = x * b + y
        if i < d:
            return i


if __name__ == "__main__":
    g = Xoshiro256pp([1, 2, 3, 4])
    print("xoshiro256++ of (1,2,3,4):", [g.next() for _ in range(4)])
    for key in [(0, 0, 0, 0), (1, 2, 3, 4), (M, 10**6, 7, 1)]:
        g = stream(*key)
        print(key, "state", [hex(w) for w in g.s], "next", [hex(g.next()) for _ in range(2)])
    print("shuffle", shuffle(stream(1, 2, 3, 4), list(range(10))))
    print("floyd", floyd(stream(1, 2, 3, 4), 100, 8))
    g = stream(1, 2, 3, 4)
    print("uniform", [(g.next() >> 11) / 2**53 for _ in range(2)])
    g = stream(1, 2, 3, 4)
    u, v = (g.next() >> 11) / 2**53, (g.next() >> 11) / 2**53
    r = math.sqrt(-2 * math.log(1 - u))
    print("normal pair", repr(r * math.cos(2 * math.pi * v)), repr(r * math.sin(2 * math.pi * v)))
    for key, d, start in [(1, 9, 0), (2, 24, 10), (3, 113, 100), (4, 10**6, 0), (5, 2**32, 0), (6, 2**64 - 1, 2**63)]:
        print("permutation", key, d, start, [permutation(key, d, i) for i in range(start, min(start + 6, d))])
