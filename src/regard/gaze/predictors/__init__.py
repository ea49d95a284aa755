"""A picture -> where people may look, without trained weights."""

from regard.registry import collect

collect(__name__, globals())
