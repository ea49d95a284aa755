"""A map against the fixations of people."""

from regard.registry import collect

collect(__name__, globals())
