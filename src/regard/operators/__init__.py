"""Operators: what computes attention from tensors, without weights of its own."""

from regard.registry import collect

collect(__name__, globals())
