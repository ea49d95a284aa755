"""Who may look at whom: a pattern says it once, as data, and every way of computing attention reads it."""

from regard.registry import collect

collect(__name__, globals())
