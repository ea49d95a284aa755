"""Concepts of a bottleneck: whether they matter to the right classes, are in the picture, and are where it says.

Everything here takes what a concept bottleneck is made of: its weights `[L, K]` from L concepts to K classes, what it
says about each picture `[N, L]` (pooled features times the concept vectors), and people's labels.
"""

from regard.registry import collect

collect(__name__, globals())
