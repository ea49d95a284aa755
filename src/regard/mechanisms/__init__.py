"""How models compute attention: one file a way, each turning a torch function into a `Call`."""

from regard.core.scope import Mechanisms
from regard.mechanisms import eager, flex, hf, mha, opaque, sdpa
from regard.mechanisms.windows import windows

ALL = Mechanisms(
    calls=sdpa.CALLS | flex.CALLS,
    opens=mha.OPENS,
    by_hand=eager.eager,
    logits=eager.logits,
    prepares=(hf.prepare,),
    opaque=opaque.opaque,
    windows=windows,
)
