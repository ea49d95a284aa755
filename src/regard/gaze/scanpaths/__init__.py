"""Models of the path: where the eyes go next, given what they saw and what they look for."""

from __future__ import annotations

from regard.gaze.scanpaths.glimpses import GlimpsePredictor
from regard.gaze.scanpaths.neva import Glances, neva
from regard.gaze.scanpaths.oat import OAT
from regard.gaze.scanpaths.search import Eccentricity, search

__all__ = ["OAT", "Eccentricity", "Glances", "GlimpsePredictor", "neva", "search"]
