"""docs/coverage.md: what is seen, edited and told of in each model of the zoo, measured and not typed.

python -m tests.zoo.coverage            runs every model and writes the page anew
python -m tests.zoo.coverage --check    fails if the page says anything else than the models do
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from torch import nn

import regard as rg
from regard import files
from regard.core.record import Record
from regard.errors import EditError

from .builders import DETECTORS, DIFFUSERS, HF, TALKERS, TIMM, TORCHVISION
from .variant import Forward, Variant

PAGE = Path(__file__).resolve().parents[2] / "docs" / "coverage.md"
FAMILIES: dict[str, dict[str, Variant]] = {
    "timm": TIMM,
    "torchvision, and torch's own layers": TORCHVISION,
    "Hugging Face transformers: vision": HF,
    "Hugging Face transformers: detection and segmentation": DETECTORS,
    "Hugging Face transformers: vision with language, and language": TALKERS,
    "diffusers": DIFFUSERS,
}
COLUMNS = ("model", "calls", "made by", "first call", "edits", "remarks")
PREFIX = re.compile(r"^(timm|hf|diffusers) ")
HEAD = """\
# What is covered

Written by `python -m tests.zoo.coverage`: it builds each model below, small and with random weights, watches one
forward and edits it. A test holds this page's names, and a handful of its rows, against the models.
`tests/zoo/test_zoo.py` checks every model further: the output is the same under a watch, attention times values is what
the model's own kernel gave, nothing is left behind, and torch's dispatcher counts no attention that was neither seen
nor told of, unless the row says so.

- **calls**: attention calls seen in one forward.
- **made by**: `sdpa` is `F.scaled_dot_product_attention`, called directly or inside of `nn.MultiheadAttention`;
  `by hand` is a softmax followed to its product with values ([how](how-it-sees.md#attention-by-hand)).
- **first call**: its heads x queries x keys; windows and other groups of queries are counted into the batch.
- **edits**: `yes`: those of logits, probabilities and output act at every call. `not of logits`: what goes into the
  softmax is not known to be a product of q and k, so `temperature`, `emphasize`, `bias` and `knockout` refuse; those of
  probabilities and output act.
- **remarks**: in quotation marks what `record.not_covered` and `rg.sites` tell, and how often; then why.

Ways to attend that no model here stands for are not on this page; what cannot even be told of is named
[here](how-it-sees.md#what-is-not-covered-and-how-it-is-told).

{total}

Measured with {versions}.
"""


@dataclass(frozen=True)
class Row:
    """One model, as measured."""

    name: str
    calls: int
    made_by: str
    first: str
    edits: str
    remarks: str

    def __str__(self) -> str:
        bare = PREFIX.sub("", self.name)
        return f"| {bare} | {self.calls} | {self.made_by} | {self.first} | {self.edits} | {self.remarks} |"


def measure(name: str, variant: Variant) -> Row:
    """Run a model three times: watched, edited at its logits, and edited at its outputs."""
    model, forward = variant()
    with rg.watch(model) as record:
        forward()
    made_by = " + ".join(f"{n} {how}" for how, n in Counter(r.mechanism for r in record).items())
    if "+" not in made_by:
        made_by = made_by.partition(" ")[2]  # one way for all
    first = next((f"{r.heads} x {r.queries} x {r.keys}" for r in record), "")
    edits = edited(model, forward, record) if len(record) else ""
    return Row(name, len(record), made_by, first, edits, remarks(variant, record))


def edited(model: nn.Module, forward: Forward, record: Record) -> str:
    """Whether edits act at every call; a wrong count, or an output that is still there, is an error and no table."""
    sites = Counter(r.site for r in record)
    with rg.watch(model, list(sites), keep="out") as gone, rg.edit(model, rg.edits.ablate(), list(sites)) as ablated:
        forward()
    if any(bool(reading["out"].any()) for reading in gone) or ablated.sites.total() != len(gone):
        raise RuntimeError(f"{type(model).__name__}: ablated heads gave something")
    ways = Counter(dict.fromkeys(("yes", "not of logits"), 0))  # in this order
    for site, count in sites.items():
        ways[logits_at(model, forward, site)] += count
    return ", ".join(f"{way}: {n} of {len(record)}" if n < len(record) else way for way, n in ways.items() if n)


def logits_at(model: nn.Module, forward: Forward, site: str) -> str:
    """Whether edits of logits act at a site."""
    try:
        with rg.edit(model, rg.edits.temperature(2.0), site) as warmed:
            forward()
    except EditError:
        return "not of logits"
    if not warmed.sites[site]:
        raise RuntimeError(f"{type(model).__name__}: {site} was not edited")
    return "yes"


def remarks(variant: Variant, record: Record) -> str:
    told: Counter[str] = Counter()
    for what, count in record.not_covered.items():
        told[re.sub(r"\[[\d, ]+\]", "[...]", what.partition(": ")[2])] += count
    said = [f'{count} x "{what}"' for what, count in told.items()]
    if variant.gap:
        said.append(f"{variant.gap} not told")
    parts = [": ".join(filter(None, (", ".join(said), variant.why)))]
    if variant.mixed:
        parts.append("rows of weights need not sum to 1")
    if variant.fast:
        parts.append("torch's fast kernel is left while watched, which rounds differently")
    return "; ".join(filter(None, parts))


def page(families: dict[str, list[Row]]) -> str:
    rows = [row for some in families.values() for row in some]
    seen = [row for row in rows if row.calls]
    every = sum(row.edits == "yes" for row in seen)
    calls, others = sum(row.calls for row in rows), len(rows) - len(seen)
    total = (
        f"**{len(rows)} variants, {calls} attention calls.** {len(seen)} make calls that are read; in {every} of\n"
        f"them every edit acts at every call. The other {others} make none that can be read; their rows say why."
    )
    libraries = ("torch", "torchvision", "timm", "transformers", "diffusers")
    versions = ", ".join(f"{name} {version(name).partition('+')[0]}" for name in libraries)
    parts = [HEAD.format(total=total, versions=versions)]
    for title, some in families.items():
        lines = [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|", *map(str, some)]
        parts.append(f"## {title}\n\n" + "\n".join(lines) + "\n")
    return "\n".join(parts)


def main(arguments: Sequence[str]) -> int:
    families = {title: [measure(n, v) for n, v in table.items()] for title, table in FAMILIES.items()}
    text = page(families)
    if "--check" not in arguments:
        files.write_text(PAGE, text)
        return 0
    old, new = (set(filter(lambda line: line[:1] == "|", t.splitlines())) for t in (PAGE.read_text("utf-8"), text))
    sys.stdout.write("".join(f"- {line}\n" for line in old - new) + "".join(f"+ {line}\n" for line in new - old))
    return int(old != new)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
