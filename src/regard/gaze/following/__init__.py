"""Following others' gaze: where a person in the picture looks, where several look together, what a hand points at."""

from __future__ import annotations

from regard.gaze.following.joint_attention import JointAttention, cones
from regard.gaze.following.pointing import ray, weighed
from regard.gaze.following.vitgaze import ViTGaze, interactions

__all__ = ["JointAttention", "ViTGaze", "cones", "interactions", "ray", "weighed"]
