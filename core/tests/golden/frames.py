"""Golden frames of thalweg::wire, one or more of each kind, written from the table in its module docs.

Independent of the Rust code: fields by `struct`, packed codes by shifting one big integer, the check
bit by bit from the polynomial. Standard library only (made with CPython 3.11).

    python3 frames.py > frames.txt      # each line: name, then the frame in hexadecimal
"""

import struct


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


assert crc32c(b"123456789") == 0xE3069283

F32, F64, NONE = 1, 2, 0
LETTER = {F32: "f", F64: "d"}


def reals(dtype, values):
    return struct.pack(f"<{len(values)}{LETTER[dtype]}", *values)


def packed(width, fields):
    whole = sum(field << (width * i) for i, field in enumerate(fields))
    return whole.to_bytes((width * len(fields) + 7) // 8, "little")


def ceil_log2(n):
    bits = 0
    while 2**bits < n:
        bits += 1
    return bits


def natural(dtype, values):
    """Sign and exponent: the highest 9 (12) bits of the number."""
    width = 9 if dtype == F32 else 12
    whole = 32 if dtype == F32 else 64
    codes = [int.from_bytes(reals(dtype, [v]), "little") >> (whole - width) for v in values]
    return packed(width, codes)


def dithered(dtype, norm, s, levels):
    v = ceil_log2(s + 1)
    return reals(dtype, [norm]) + packed(v + 1, [abs(x) | (x < 0) << v for x in levels])


def frame(name, kind, dtype, d, k, payload, flags=0, client=3, round_=0x0102030405060708, seed=42):
    head = b"\xD7TWF" + struct.pack("<BBBBHHI", 1, 0, kind, dtype, flags, 0, client)
    head += struct.pack("<QQIII", round_, seed, d, k, len(payload))
    assert len(head) == 44
    check = struct.pack("<I", crc32c(head))
    print(name, (head + check + payload + struct.pack("<I", crc32c(head + payload))).hex())


SERVER = 0xFFFFFFFF
VALUES = [1.0, -2.5, 0.0, -0.0, 3.0e-39, 1.0e20, 0.1]

for dtype, t in ((F32, "f32"), (F64, "f64")):
    five = [1.0, -0.25, 0.0, -0.0, 4096.0]
    frame(f"hello_{t}", 1, dtype, 7, 0, struct.pack("<Q", 1797))
    frame(f"model_{t}", 2, dtype, 7, 7, reals(dtype, VALUES), client=SERVER)
    frame(f"estimate_{t}", 3, dtype, 7, 7, reals(dtype, VALUES), client=SERVER)
    frame(f"dense_{t}", 4, dtype, 7, 7, reals(dtype, VALUES))
    frame(f"perm_k_{t}", 5, dtype, 1000, 7, reals(dtype, VALUES))
    frame(f"rand_k_{t}", 6, dtype, 1000, 7, reals(dtype, VALUES))
    frame(f"rand_seq_k_{t}", 7, dtype, 1000, 7, reals(dtype, VALUES))
    indices = [0, 1, 2, 511, 512, 998, 999]
    payload = packed(ceil_log2(1000), indices) + reals(dtype, VALUES)
    frame(f"sparse_{t}", 8, dtype, 1000, 7, payload)
    frame(f"natural_{t}", 9, dtype, 5, 5, natural(dtype, five))
    frame(f"sign_{t}", 10, dtype, 9, 9, reals(dtype, [0.75]) + packed(1, [0, 1, 1, 0, 1, 0, 0, 0, 1]))
    frame(f"dithered_{t}", 11, dtype, 5, 5, dithered(dtype, 2.5, 5, [0, 5, -5, 1, -2]))
    frame(f"jacobian_{t}", 17, dtype, 7, 12, reals(dtype, VALUES))
    # 4 of 1000 elements in levels of 3 bits: of the last two fields a sign stands above each level.
    kept = [3, 500, 501, 999]
    payload = struct.pack("<I", 12) + reals(dtype, [0.5, 4.0])
    payload += packed(ceil_log2(1000), kept) + packed(4, [0, 7, 8 | 3, 8 | 7])
    frame(f"quantised_jacobian_{t}", 18, dtype, 1000, 3 << 27 | len(kept), payload)
    frame(f"logits_{t}", 20, dtype, 3, 2, reals(dtype, VALUES[:6]))
    frame(f"candidate_{t}", 21, dtype, 7, 4, reals(dtype, VALUES), client=SERVER)
    frame(f"losses_{t}", 22, dtype, 7, 7, reals(dtype, VALUES))
    frame(f"natural_dithered_{t}", 12, dtype, 3, 1, dithered(dtype, 1.5, 1, [0, 1, -1]))

nan = b"\x00\x00\xC0\x7F"
frame("non_finite", 4, F32, 2, 2, nan + b"\x00\x00\x80\xFF", flags=1)
frame("sparse_one_coordinate", 8, F32, 1, 1, reals(F32, [1.5]))
frame("perm_k_idle", 5, F32, 3, 0, b"")
frame("round_full", 13, NONE, 7, 0, b"\x01", client=SERVER)
frame("round_compressed", 13, NONE, 7, 0, b"\x00", client=SERVER)
frame("labels", 19, NONE, 10, 5, packed(4, [9, 0, 3, 3, 8]))
frame("public_key", 23, NONE, 7, 4, b"\x01\x02\xFE\xFF")
frame("sealed_seed", 24, NONE, 7, 5, b"seed!", client=SERVER)
frame("ack", 14, NONE, 7, 0, b"")
frame("drop", 15, NONE, 7, 0, b"")
frame("stop", 16, NONE, 7, 0, b"", client=SERVER)
