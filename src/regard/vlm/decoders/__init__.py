"""Ways of choosing the next word, one a file."""

from regard.vlm.decoders.saliency_guided import saliency_guided

__all__ = ["saliency_guided"]
