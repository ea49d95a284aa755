"""-> Map: which part of the picture did it."""

from regard.registry import collect

collect(__name__, globals())
