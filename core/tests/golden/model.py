"""Losses and gradients of small models by automatic differentiation, for core/src/model.

Run: python -P model.py       torch 2.15, numpy 2.4.6 printed the numbers in the tests.
Inputs are the fractions that the tests' `painted` makes, in float64.
"""
import numpy as np
import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
print("torch", torch.__version__, "numpy", np.__version__)
M = (1 << 64) - 1


def painted(n, phase):
    state, out = (phase * 0x9E3779B97F4A7C15 & M) | 1, []
    for _ in range(n):
        state = (state * 6364136223846793005 + 1442695040888963407) & M
        out.append((state >> 40) / (1 << 23) - 1.0)
    return torch.tensor(out)


def show(name, loss, *leaves):
    grads = torch.autograd.grad(loss, leaves)
    g = torch.cat([g.reshape(-1) for g in grads])
    j = torch.arange(1, len(g) + 1)
    print(f"{name}: {loss.item()!r} {(g @ torch.cos(j)).item()!r} {(g @ g).item()!r}")


def unpack(params, sizes):
    at, layers = 0, []
    for i, o in zip(sizes, sizes[1:]):
        w = params[at : at + i * o].reshape(o, i)
        b = params[at + i * o : at + i * o + o]
        layers.append((w, b))
        at += i * o + o
    return layers


sizes, rows = [6, 5, 4, 3], 9
x = painted(rows * 6, 21).reshape(rows, 6)
classes = torch.tensor([(i * 7) % 3 for i in range(rows)])
targets = painted(rows * 3, 22).reshape(rows, 3)
for name, h in (("relu", torch.relu), ("tanh", torch.tanh)):
    for loss_name in ("cross_entropy", "squared"):
        p = painted(6 * 5 + 5 + 5 * 4 + 4 + 4 * 3 + 3, 23).requires_grad_()
        a = x
        layers = unpack(p, sizes)
        for l, (w, b) in enumerate(layers):
            a = F.linear(a, w, b)
            if l + 1 < len(layers):
                a = h(a)
        if loss_name == "cross_entropy":
            loss = F.cross_entropy(a, classes)
        else:
            loss = F.mse_loss(a, targets) / 2
        show(f"mlp {name} {loss_name}", loss + 0.05 * (p @ p), p)

pixels, code, rows = 7, 3, 5
x = painted(rows * pixels, 31).reshape(rows, pixels)
for lam in (0.0, 0.125):
    e = painted(code * pixels, 32).reshape(code, pixels).requires_grad_()
    d = painted(pixels * code, 33).reshape(pixels, code).requires_grad_()
    r = F.linear(F.linear(x, e), d) - x
    penalty = ((e.T @ d.T - torch.eye(pixels)) ** 2).sum()
    show(f"autoencoder {lam}", (r**2).mean() + lam * penalty, e, d)

a = painted(8 * 4, 41).reshape(8, 4)
y = torch.tensor([1.0, 0, 0, 1, 1, 0, 1, 0])
w = (3 * painted(4, 42)).requires_grad_()
z = a @ w
show("logistic", F.binary_cross_entropy_with_logits(z, y) + 0.05 * (w @ w), w)
m = (2 * y - 1) * (a @ w)
show("logistic nonconvex", ((1 - torch.sigmoid(m)) ** 2).mean() + 0.05 * (w @ w), w)
