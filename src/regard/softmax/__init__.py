"""Softmax attention under a pattern: one definition, several ways of computing it that give the same numbers."""

from regard.softmax._problem import LowRank, RelativeTable
from regard.softmax.block_mask import block_mask
from regard.softmax.merge import merge

__all__ = ["LowRank", "RelativeTable", "block_mask", "merge"]
