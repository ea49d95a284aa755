"""Draw docs/images/how-it-sees.png: python docs/figures/how_it_sees.py [where]"""

from __future__ import annotations

import sys
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle

TARGET = Path(__file__).resolve().parents[1] / "images" / "how-it-sees.png"
INK, SOFT, PAPER = "#1d2733", "#5b6876", "#fbfaf7"
MODEL, CALL, EDIT, WATCH = "#e4e8ec", "#fff1c9", "#fbdcd3", "#d6e9f5"
EDGES = {MODEL: "#9aa5b1", CALL: "#c9961a", EDIT: "#c4593c", WATCH: "#2f7fb5"}
WIDTH, HEIGHT = 160.0, 96.0  # units of the drawing; 1600 x 960 pixels


def box(ax: Axes, x: float, y: float, w: float, h: float, colour: str) -> None:
    style = "round,pad=0,rounding_size=1.4"
    ax.add_patch(FancyBboxPatch((x, y), w, h, boxstyle=style, fc=colour, ec=EDGES[colour], lw=1.3))


def say(ax: Axes, x: float, y: float, text: str, *, size: float = 10, **how: object) -> None:
    options: dict[str, object] = {"color": INK, "ha": "center", "va": "center", "linespacing": 1.35, **how}
    ax.text(x, y, text, fontsize=size, **options)  # type: ignore[arg-type]


def titled(ax: Axes, at: tuple[float, float, float, float], colour: str, title: str, text: str = "") -> None:
    """A box with its name in bold above what it says."""
    x, y, w, h = at
    box(ax, *at, colour)
    if not text:
        say(ax, x + w / 2, y + h / 2, title, weight="bold")
        return
    say(ax, x + w / 2, y + h - 2.9, title, weight="bold")
    say(ax, x + w / 2, y + (h - 4.4) / 2, text, size=9.2)


def arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float], colour: str = INK, **how: object) -> None:
    options: dict[str, object] = {
        "arrowstyle": "-|>",
        "mutation_scale": 13,
        "lw": 1.6,
        "shrinkA": 0,
        "shrinkB": 0,
        **how,
    }
    ax.add_patch(FancyArrowPatch(start, end, color=colour, **options))  # type: ignore[arg-type]


def ways_in(ax: Axes) -> None:
    """Left: what the model does, untouched."""
    box(ax, 2, 47, 44, 40, MODEL)
    say(ax, 24, 83.8, "your model, as it is", weight="bold")
    titled(ax, (5, 67, 38, 13.5), CALL, "one torch function", "scaled_dot_product_attention(\nq, k, v, mask, scale)")
    box(ax, 5, 50, 38, 14, CALL)
    say(ax, 24, 61.1, "or by hand, followed", weight="bold")
    for x, text in ((11.5, "q @ k.mT"), (24, "softmax"), (36.5, "@ v")):
        ax.add_patch(Rectangle((x - 5.3, 52.3), 10.6, 5.2, fc="white", ec=EDGES[CALL], lw=0.9))
        say(ax, x, 54.9, text, size=9)
    for x in (17.1, 29.6):
        arrow(ax, (x, 54.9), (x + 1.4, 54.9), EDGES[CALL], mutation_scale=7, lw=1)


def call(ax: Axes) -> None:
    titled(
        ax, (54, 58, 27, 20), CALL, "a call at a site", '(q, k, v, bias, scale)\nat "blocks.7.attn"\nq  [B, H, Q, D]'
    )
    arrow(ax, (43.4, 73.5), (53.4, 70.5), EDGES[CALL])
    arrow(ax, (43.4, 57), (53.4, 64), EDGES[CALL])
    arrow(ax, (81.4, 68), (87.4, 68))


def edits(ax: Axes) -> None:
    box(ax, 88, 53, 30, 34, EDIT)
    say(ax, 103, 83.8, "rg.edit: another call", weight="bold")
    for i, part in enumerate(("operands, logits", "softmax", "probabilities", "output")):
        own = part == "softmax"  # the model's; edits act before it and after
        y = 75.3 - 6.5 * i
        ax.add_patch(Rectangle((90.5, y), 25, 5.4, fc=EDIT if own else "white", ec=EDGES[EDIT], lw=0 if own else 0.9))
        say(ax, 103, y + 2.7, part, size=9.2, style="italic" if own else "normal")
    arrow(ax, (118.4, 68), (125.4, 68))


def kernel(ax: Axes) -> None:
    titled(
        ax,
        (126, 58, 32, 20),
        MODEL,
        "the model's own kernel",
        "watched: not a bit differs;\nedited: kept wherever\na closed form allows",
    )
    say(ax, 142, 83.8, "the model goes on", size=9.6, color=SOFT)
    arrow(ax, (142, 78.3), (142, 82))


def watch(ax: Axes) -> None:
    """Below: what is read beside it, forward and backward."""
    box(ax, 54, 6, 46, 37, WATCH)
    say(ax, 77, 39.8, "rg.watch: read beside it", weight="bold")
    top, left, size = 34.6, 57.5, 2.2
    for row in range(10):
        for column in range(10):
            looked = row in (3, 4, 5)
            shade = 0.25 + 0.6 * (((row * 7 + column * 5) % 9) / 9)
            fc = (0.18, 0.50, 0.71, shade) if looked else "white"
            ax.add_patch(
                Rectangle((left + size * column, top - size * row - size), size, size, fc=fc, ec="#a9c6da", lw=0.5)
            )
    say(ax, left + 11, 9.3, "P = softmax(logits)", size=9.2)
    say(ax, 90, 24.5, "a block of\nquery rows\nat a time,\nor only the\nrows that\nare asked for", size=9.2)
    arrow(ax, (103, 52.4), (84, 43.6), EDGES[WATCH], connectionstyle="arc3,rad=-0.12")
    say(ax, 83, 49.6, "the call as\nfinally made", size=9.2, color=EDGES[WATCH])


def record(ax: Axes) -> None:
    titled(ax, (112, 6, 46, 37), WATCH, "record", "")
    ax.texts[-1].set_position((135, 39.8))
    lines = (
        ("probes of rows", "entropy, distance, top_keys, ..."),
        ("fields", "q  k  v  out  probs"),
        ("probes of gradients", "filled by record.backward(score)"),
        ("what could not be read", "record.not_covered, rg.sites"),
    )
    for i, (what, how) in enumerate(lines):
        say(ax, 115, 34.8 - 7.3 * i, what, size=9.4, ha="left", weight="bold", color=EDGES[WATCH])
        say(ax, 115, 31.5 - 7.3 * i, how, size=9.2, ha="left")
    arrow(ax, (100.4, 28), (111.4, 28), EDGES[WATCH])
    arrow(ax, (142, 57.6), (142, 43.6), EDGES[WATCH], linestyle=(0, (3, 2)))
    say(ax, 143.5, 50.4, "in backward:\na tap, dL/dP", size=9.2, ha="left", color=EDGES[WATCH])


def notes(ax: Axes) -> None:
    x = 4
    say(ax, x, 40.6, "For the length of a with-block", weight="bold", ha="left")
    text = (
        "one function mode in this thread sees\ntorch functions by name;\n\n"
        "hooks switch it on where torch goes\nout of sight: replicas, checkpoints;\n\n"
        "the address is that of the nearest\nmodule on the stack;\n\n"
        "afterwards nothing is left."
    )
    say(ax, x, 37.6, text, size=9.4, ha="left", va="top")
    say(
        ax,
        80,
        91.6,
        "with rg.edit(model, {...}), rg.watch(model, keep=[...]) as record:  model(x)",
        size=11.2,
        family="monospace",
    )


def draw(target: Path) -> Path:
    figure = Figure(figsize=(WIDTH / 16, HEIGHT / 16), dpi=160, facecolor=PAPER)
    ax = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    ax.set(xlim=(0, WIDTH), ylim=(0, HEIGHT))
    ax.axis("off")
    for part in (ways_in, call, edits, kernel, watch, record, notes):
        part(ax)
    figure.savefig(target, facecolor=PAPER, metadata={"Software": None})
    return target


if __name__ == "__main__":
    draw(Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET)
