"""`Checkpoint`: torch drops what a block keeps for backward, and makes its calls again there. That is no new call."""

from __future__ import annotations

import sys
from types import FrameType
from typing import NamedTuple

FILE = "torch/utils/checkpoint.py"


class Checkpoint(NamedTuple):
    """A checkpoint that a call is made in, and whether torch makes the call again, in backward."""

    key: int
    again: bool


def checkpoint_around(frame: FrameType | None) -> Checkpoint | None:
    """The innermost checkpoint of torch's around a call: a reentrant one is known by its context, others by the
    frame that they keep of the forward."""
    while frame is not None and "torch.utils.checkpoint" in sys.modules:
        code = frame.f_code
        if code.co_filename.replace("\\", "/").endswith(FILE):
            known = frame.f_locals
            if code.co_name in ("forward", "backward") and "ctx" in known:
                return Checkpoint(id(known["ctx"]), code.co_name == "backward")
            if code.co_name == "unpack_hook" and "frame" in known:
                return Checkpoint(id(known["frame"]), True)
            if getattr(known.get("gen"), "gi_frame", None) is not None:  # a generator, held up at its yield
                return Checkpoint(id(known["gen"].gi_frame.f_locals.get("new_frame")), False)
        frame = frame.f_back
    return None
