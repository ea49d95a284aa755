"""Patch features -> objects and parts, without labels."""

from regard.registry import collect

collect(__name__, globals())
