"""Pictures made for one question: search arrays, illusory contours, panoramas; seeded, with masks of what is where."""

from regard.registry import collect

collect(__name__, globals())
