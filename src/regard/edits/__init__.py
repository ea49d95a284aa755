"""Call -> Call: what attention would do if it were otherwise."""

from regard.registry import collect

collect(__name__, globals())
