"""From gaze samples to events: which were fixations, which saccades, and the fixations as a table."""

from regard.registry import collect

collect(__name__, globals())
