"""Networks published for saliency, as modules of the published size. None carries weights: all are untrained.

Each gives logits [B, h, w] of a density over its cells; `train_architecture` fits one to people's fixations.
"""

from __future__ import annotations

from regard.gaze.architectures.junting_net import JuntingNet
from regard.gaze.architectures.mds_vitnet import MDSViTNet
from regard.gaze.architectures.msi_net import MSINet
from regard.gaze.architectures.stored import load, stored
from regard.gaze.architectures.sum_mamba import SUM
from regard.gaze.architectures.tempsal import TempSAL
from regard.gaze.architectures.train_architecture import train_architecture
from regard.gaze.architectures.vinet_s import ViNetS

__all__ = ["SUM", "JuntingNet", "MDSViTNet", "MSINet", "TempSAL", "ViNetS", "load", "stored", "train_architecture"]
