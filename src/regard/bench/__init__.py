"""Benchmarks that a user runs on their own machine: attention under a pattern, and operators in four kinds."""

from regard.bench.attention import attention
from regard.bench.operators import operators
from regard.bench.timing import Bench, Machine, machine

__all__ = ["Bench", "Machine", "attention", "machine", "operators"]
