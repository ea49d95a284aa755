"""Call -> numbers: what a head does, without keeping its matrix."""

from regard.registry import collect

collect(__name__, globals())
