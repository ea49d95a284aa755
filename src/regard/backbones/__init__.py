"""Networks whose point is the architecture, to be trained."""

from regard.backbones.two_stage import Parts, TwoStage

__all__ = ["Parts", "TwoStage"]
