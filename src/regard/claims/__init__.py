"""Statements of papers that can be run: what attention shares with attributions, and where the two part by formula."""

from regard.registry import collect

collect(__name__, globals())
