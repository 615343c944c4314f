"""Tensor files by another hand, for `tests.rs`: one with our check, built here from the format's description, and one that
the safetensors library writes. That library must read both.

    python std-ext/src/train/tests.py > std-ext/src/train/tests.txt
    python std-ext/src/train/tests.py FILE        what the library reads in a file, and whether our check of it holds

Run with Python 3.11.7, NumPy 2.4.6, safetensors 0.8.0."""

import struct
import sys

import numpy as np
import safetensors
from safetensors.numpy import load, save


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def checked(data):
    """The file with the check of the file in which its digits are zeros."""
    key = b'"thalweg.crc32c":"'
    at = data.index(key) + len(key)
    blank = data[:at] + b"0" * 8 + data[at + 8 :]
    return blank[:at] + b"%08x" % crc32c(blank) + blank[at + 8 :]


TENSORS = {
    "w": np.array([[1.0], [-0.0]], np.float32),
    "b": np.array(0.5, np.float64),
    "s": np.array([1, 2, 3], np.uint8),
}

if len(sys.argv) > 1:
    with open(sys.argv[1], "rb") as file:
        data = file.read()
    for name, tensor in load(data).items():
        print(name, tensor.dtype, list(tensor.shape), float(np.abs(tensor.astype(np.float64)).sum()))
    with safetensors.safe_open(sys.argv[1], "np") as file:
        print(file.metadata())
    print("check", "holds" if checked(data) == data else "DOES NOT HOLD")
    sys.exit()

header = (
    b'{"__metadata__":{"thalweg.crc32c":"00000000","thalweg.file":"1","format":"pt","quote":"\\"\\u000a"},'
    b'"w":{"dtype":"F32","shape":[2, 1],"data_offsets":[0,8]},'
    b'"b":{"dtype":"F64","shape":[],"data_offsets":[8,16]},'
    b'"s":{"dtype":"U8","shape":[3],"data_offsets":[16,19]}}'
)
header += b" " * (-(8 + len(header)) % 64)
body = b"".join(tensor.tobytes() for tensor in TENSORS.values())
ours = checked(struct.pack("<Q", len(header)) + header + body)
theirs = save(TENSORS, metadata={"format": "pt"})
for data in (ours, theirs):
    read = load(data)
    assert read.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert read[name].dtype == tensor.dtype and read[name].shape == tensor.shape
        assert read[name].tobytes() == tensor.tobytes()
print("ours", ours.hex())
print("theirs", theirs.hex())
