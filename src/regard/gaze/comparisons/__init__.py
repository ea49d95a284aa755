"""One scanpath against another."""

from regard.registry import collect

collect(__name__, globals())
