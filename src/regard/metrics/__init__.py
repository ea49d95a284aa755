"""Map -> Score: how far a map can be trusted, against what chance gives."""

from regard.registry import collect

collect(__name__, globals())
