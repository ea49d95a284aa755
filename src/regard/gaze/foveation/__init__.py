"""What an eye keeps of a picture: sharp where it looks, coarse or only statistics elsewhere. All in plain torch."""

from regard.registry import collect

collect(__name__, globals())
