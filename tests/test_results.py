"""Results hold and never compute: saving is the identity, plain data is JSON, plots are given their axes."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import regard as rg
from regard.errors import DataError, LayoutError
from regard.layout import Grid
from regard.results import FORMAT, Map, Parts, Result, Score, Table, load

GRID = Grid(2, 3, prefix=1)
HOLES = np.array([[[np.nan, -1.5, np.inf], [0.0, 2.0, -np.inf]]], dtype=np.float32)

RESULTS: dict[str, Result] = {
    "map, bare": Map(np.zeros((1, 2, 3)), GRID, "rollout"),
    "map, full": Map(
        HOLES,
        Grid(2, 3),
        "gradcam",
        target="tabby",
        site="layer4",
        unit="logit",
        settings={
            "relu": False,
            "head": None,
            "share": 0.5,
            "fuse": "mean",
            "cut": (1, (2, None)),
            "nan": float("nan"),
        },
        forwards=7,
        seconds=0.25,
        seed=3,
        gap=float("inf"),
        se=np.ones((1, 2, 3), dtype=np.float16),
        warnings=("map 0: all values are 0", "ünïcode"),
    ),
    "map, no picture": Map(np.zeros((0, 2, 3)), GRID, "rollout"),
    "parts, bare": Parts(np.zeros((1, 2, 2, 3)), ("a", "b"), GRID, "pca"),
    "parts, full": Parts(
        np.arange(12.0).reshape(1, 2, 2, 3),
        ("component 1", "component 2"),
        GRID,
        "tokencut",
        site="k at blocks.11.attn",
        mask=np.array([[[True, False, True], [False, False, True]]]),
        facts={"edges": [0.5, float("nan")], "grid": Grid(4, 4), "values": np.array([1.0, np.nan, np.inf])},
        settings={"tau": 0.2},
    ),
    "score, bare": Score(0.5, "deletion", "16 cells", "lower"),
    "score, full": Score(
        0.25,
        "insertion",
        "16 cells, 8 steps",
        "higher",
        interval=(0.125, 0.5),
        null=np.array([0.1, np.nan]),
        p=1 / 3,
        n=2,
        seed=0,
        forwards=40,
        seconds=1.5,
        curve=np.array([[0.0, 1.0], [0.9, 0.1]]),
        null_curves=np.zeros((2, 2)),
    ),
    "score, no null": Score(0.5, "deletion", "c", "lower", null=np.zeros(0), null_curves=np.zeros((0, 3)), p=1.0),
    "table": Table(("site", "head 0"), (("blocks.0", 0.5), ("blocks.1", None)), units={"head 0": "bits"}, title="t"),
    "table, NaN and nested": Table(("a", "b"), ((float("nan"), (1, (2, "x"))), (True, Grid(1, 2)))),
    "table, empty": Table(("a", "b"), ()),
    "table, nothing at all": Table((), ()),
}


def same(a: Any, b: Any) -> bool:
    """Equal in value and type, NaN equal to itself, arrays equal in dtype and shape."""
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        floats = a.dtype.kind == "f"
        return a.dtype == b.dtype and a.shape == b.shape and np.array_equal(a, b, equal_nan=floats)
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return a == b or (a != a and b != b)
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, Result):
        return all(same(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a))
    return bool(a == b)


@pytest.mark.parametrize("name", RESULTS)
def test_load_is_the_inverse_of_save(name: str, tmp_path: Path) -> None:
    path = RESULTS[name].save(tmp_path / "deep" / "one.npz")
    assert path == tmp_path / "deep" / "one.npz"
    assert same(RESULTS[name], load(path))
    assert same(RESULTS[name], load(str(path)))


@pytest.mark.parametrize(
    ("a", "b"),
    [(1, 1.0), (None, 0), ((1,), [1]), ({"a": 1}, {"b": 1}), (np.zeros(2), np.zeros(2, dtype="f4")), (0.1, 0.2)],
)
def test_the_comparison_can_fail(a: Any, b: Any) -> None:
    assert not same(a, b)


def test_numbers_of_numpy_come_back_as_numbers(tmp_path: Path) -> None:
    table = Table(("a",), ((np.float32(0.5),), (np.int64(3),), (np.bool_(True),)))
    again = load(table.save(tmp_path / "t.npz"))
    assert isinstance(again, Table)
    assert again.rows == ((0.5,), (3,), (True,))


def test_a_grid_of_numpy_integers_is_saved(tmp_path: Path) -> None:
    one = Map(np.zeros((1, 2, 3)), Grid(np.int64(2), np.int64(3)), "m")  # type: ignore[arg-type]
    assert same(one, load(one.save(tmp_path / "m.npz")))


def test_saved_files_hold_no_pickle(tmp_path: Path) -> None:
    path = RESULTS["map, full"].save(tmp_path / "m.npz")
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            with archive.open(name) as stream:
                np.lib.format.read_array(stream, allow_pickle=False)
    with np.load(path, allow_pickle=False) as stored:
        header = json.loads(str(stored["__regard__"]))
    assert (header["format"], header["kind"]) == (FORMAT, "Map")


@pytest.mark.parametrize("name", RESULTS)
def test_to_dict_is_strict_json(name: str) -> None:
    plain = RESULTS[name].to_dict()
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert plain["kind"] == type(RESULTS[name]).__name__


def test_to_dict_by_value() -> None:
    plain = RESULTS["map, full"].to_dict()
    assert plain["values"] == [[[None, -1.5, None], [0.0, 2.0, None]]]
    assert plain["grid"] == {"h": 2, "w": 3, "prefix": 0}
    assert plain["settings"]["cut"] == [1, [2, None]]
    assert plain["gap"] is None
    odd = Table(("a",), ((Path("x"),), ({3},), (np.float64("nan"),)))
    assert odd.to_dict()["rows"] == [["x"], [[3]], [None]]


@pytest.mark.parametrize("name", ["a.json", "a", "a.npz.bak"])
def test_another_suffix_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        RESULTS["table"].save(tmp_path / name)
    assert caught.value.message == f"results are saved as .npz, got '{name}'"
    assert caught.value.hint == f"save('{Path(name).stem}.npz')"
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no file '.*a\.npz'") as caught:
        load(tmp_path / "a.npz")
    assert caught.value.hint == "check the path; results end in .npz"


def npz(path: Path, **arrays: Any) -> None:
    np.savez(path, **arrays)


BROKEN = {
    "text": lambda p: p.write_text("hello"),
    "empty": lambda p: p.write_bytes(b""),
    "cut short": lambda p: p.write_bytes(RESULTS["map, full"].save(p).read_bytes()[:-200]),
    "a bit flipped": lambda p: flip(RESULTS["map, full"].save(p)),
    "a single array": lambda p: p.write_bytes(npy()),
    "arrays of somebody else": lambda p: npz(p, a=np.zeros(3)),
    "a pickled object": lambda p: npz(  # right in all else: the reading of it must not even begin
        p, values=np.array([[[None]]], dtype=object),
        __regard__=np.array(header("Map", {"method": "m", "grid": {"__grid__": {"h": 1, "w": 1}}})),
    ),
    "a header that is no JSON": lambda p: npz(p, __regard__=np.array("{")),
    "a header that is a list": lambda p: npz(p, __regard__=np.array("[]")),
    "a header without a kind": lambda p: npz(p, __regard__=np.array('{"format": 1}')),
    "a field too many": lambda p: npz(p, __regard__=np.array(header(facts={"columns": [], "rows": [], "zzz": 1}))),
    "a field too few": lambda p: npz(p, __regard__=np.array(header())),
    "values off the grid": lambda p: npz(
        p, values=np.zeros((1, 3, 3)),
        __regard__=np.array(header(kind="Map", facts={"method": "m", "grid": {"__grid__": {"h": 2, "w": 3}}})),
    ),
    "a folder": lambda p: p.mkdir(),
}  # fmt: skip


def npy() -> bytes:
    import io

    out = io.BytesIO()
    np.save(out, np.zeros(3))
    return out.getvalue()


def header(kind: str = "Table", facts: dict[str, Any] | None = None, form: int = FORMAT) -> str:
    return json.dumps({"format": form, "kind": kind, "facts": facts or {}})


def flip(path: Path) -> None:
    """Change one byte inside the compressed values."""
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("values.npy")
    content = bytearray(path.read_bytes())
    content[info.header_offset + 30 + len("values.npy") + 40] ^= 0xFF
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_refused(name: str, tmp_path: Path) -> None:
    BROKEN[name](tmp_path / "a.npz")
    with pytest.raises(DataError, match="is not a saved regard result") as caught:
        load(tmp_path / "a.npz")
    assert caught.value.hint == "load what .save() wrote"


@pytest.mark.parametrize(("kind", "form"), [("Table", FORMAT + 1), ("Film", FORMAT), ("Film", FORMAT + 5)])
def test_a_later_format_is_refused(kind: str, form: int, tmp_path: Path) -> None:
    npz(tmp_path / "a.npz", __regard__=np.array(header(kind, form=form)))
    with pytest.raises(DataError) as caught:
        load(tmp_path / "a.npz")
    text = f"holds a {kind} in format {form}; this version reads up to {FORMAT}"
    assert text in caught.value.message
    assert caught.value.hint == "pip install -U regard"


def test_fields_that_a_later_version_adds_may_be_absent(tmp_path: Path) -> None:
    facts = {"columns": {"__tuple__": ["a"]}, "rows": {"__tuple__": []}}
    npz(tmp_path / "a.npz", __regard__=np.array(header(facts=facts)))
    assert same(load(tmp_path / "a.npz"), Table(("a",), ()))


@pytest.mark.parametrize("shape", [(2, 3), (1, 3, 2), (1, 1, 2, 3)])
def test_a_map_off_its_grid_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(LayoutError) as caught:
        Map(np.zeros(shape), GRID, "m")
    assert caught.value.message == f"a Map on grid 2x3+1 needs values [B, 2, 3], got {list(shape)}"
    assert caught.value.hint == "grid.to_map(tokens) lays a row of tokens out"


def test_parts_off_their_grid_are_refused() -> None:
    with pytest.raises(LayoutError, match=r"Parts on grid 2x3\+1 need values \[B, K, 2, 3\], got \[1, 2, 3\]"):
        Parts(np.zeros((1, 2, 3)), ("a",), GRID, "m")


def test_a_ragged_table_is_refused() -> None:
    with pytest.raises(LayoutError, match="a row of 1 cells in a table of 2 columns") as caught:
        Table(("a", "b"), ((1, 2), (3,)))
    assert caught.value.hint == "give every row one cell a column"


def test_results_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        RESULTS["table"].title = "other"  # type: ignore[attr-defined]


REPRS = {
    "map, bare": "Map(rollout, [1, 2, 3], 0..0)",
    "map, full": "Map(gradcam of tabby, [1, 2, 3], -inf..inf logit; map 0: all values are 0)",
    "map, no picture": "Map(rollout, [0, 2, 3], no values)",
    "parts, bare": "Parts(pca, [1, 2, 2, 3])",
    "parts, full": "Parts(tokencut, [1, 2, 2, 3], mask covers 50 %)",
    "score, bare": "Score(deletion = 0.5 (lower is better))",
    "score, full": "Score(insertion = 0.25 (higher is better), chance 0.125..0.5, p = 0.333)",
    "table": "Table(t: 2 rows x site, head 0)",
    "table, empty": "Table(untitled: 0 rows x a, b)",
}


@pytest.mark.parametrize("name", REPRS)
def test_repr_is_one_line(name: str) -> None:
    assert repr(RESULTS[name]) == REPRS[name]


def test_a_table_prints_as_aligned_text() -> None:
    table = Table(
        ("site", "head 0", "n"),
        (("blocks.0", 0.51234, 3), ("b", None, 12)),
        units={"head 0": "bits"},
        title="entropy",
    )
    assert str(table).splitlines() == [
        "entropy",
        "site      head 0 (bits)   n",
        "blocks.0          0.512   3",
        "b                        12",
    ]
    assert str(RESULTS["table, empty"]) == "a  b"
    assert str(Table((), ())) == ""


def test_the_repr_of_a_map_tells_its_unit_and_cuts_many_targets() -> None:
    many = ", ".join(f"class {i}" for i in range(40))
    told = repr(Map(np.arange(6.0).reshape(1, 2, 3), GRID, "gradcam", target=many, unit="logit"))
    cut = "class 0, class 1, class 2, class 3, class 4, class 5, cla..."
    assert told == f"Map(gradcam of {cut}, [1, 2, 3], 0..5 logit)"


def test_repr_of_a_map_without_a_number_warns_of_nothing() -> None:
    assert repr(Map(np.full((1, 2, 3), np.nan), GRID, "m")) == "Map(m, [1, 2, 3], no values)"


def test_html_escapes_names_from_outside() -> None:
    evil = "<script>alert('x')</script> & co"
    table = Table((evil, "b"), ((evil, None), (0.12345, 3)), units={evil: evil}, title=evil)
    for result in (table, Map(np.zeros((1, 2, 3)), GRID, "m", target=evil), Score(0.5, evil, "c", "lower")):
        page = result._repr_html_()
        assert "<script>" not in page
        assert "&lt;script&gt;" in page
        assert "&amp; co" in page
    page = table._repr_html_()
    assert "<td>0.123</td><td>3</td>" in page
    assert "<td></td>" in page
    assert page.startswith("<table>")


def test_column_and_numbers() -> None:
    table = RESULTS["table"]
    assert isinstance(table, Table)
    assert table.column("head 0") == [0.5, None]
    assert np.array_equal(table.numbers(), [[0.5], [np.nan]], equal_nan=True)
    assert Table(("a", "b", "c"), ()).numbers().shape == (0, 2)
    with pytest.raises(LayoutError, match="no column 'head 1'") as caught:
        table.column("head 1")
    assert caught.value.hint == "one of site, head 0"


def test_words_are_no_numbers() -> None:
    with pytest.raises(LayoutError, match="'sdpa' in column 'mechanism' is no number") as caught:
        Table(("site", "mechanism"), (("a", "sdpa"),)).numbers()
    assert caught.value.hint == "column(name) gives the cells of one column"


PLOTTED = ["map, bare", "parts, bare", "parts, full", "score, bare", "score, full", "score, no null", "table"]


@pytest.mark.parametrize("name", PLOTTED)
def test_plot_draws_on_the_given_axes(name: str) -> None:
    from matplotlib.figure import Figure

    ax = Figure().add_subplot()
    before = len(ax.get_children())
    assert RESULTS[name].plot(ax) is ax  # type: ignore[attr-defined]
    assert ax.get_title()
    assert len(ax.get_children()) > before or name in ("score, bare", "score, no null")
    alone = RESULTS[name].plot()  # type: ignore[attr-defined]
    assert alone.get_title() == ax.get_title()


def test_plot_over_a_photo_and_of_another_picture() -> None:
    two = Map(np.stack([np.zeros((2, 3)), np.arange(6.0).reshape(2, 3)]), GRID, "m")
    assert np.array_equal(two.plot(index=1).images[0].get_array(), two.values[1])
    photo = np.zeros((20, 30, 3))
    assert two.plot(over=photo, index=1).images[0].get_array().shape[:2] == (20, 30)  # type: ignore[union-attr]


def test_plots_need_no_pyplot_and_open_no_figure() -> None:
    program = (
        "import sys, numpy as np, regard as rg\n"
        "g = rg.Grid(2, 3)\n"
        "rg.Map(np.arange(6.).reshape(1, 2, 3), g, 'm').plot().figure.savefig('/dev/null', format='png')\n"
        "rg.Parts(np.zeros((1, 2, 2, 3)), ('a', 'b'), g, 'm').plot()\n"
        "rg.Score(.5, 'm', 'c', 'lower').plot()\n"
        "rg.Table(('a', 'b'), (('x', 1.),)).plot()\n"
        "print('matplotlib.pyplot' in sys.modules, 'torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_the_public_names_are_these_classes() -> None:
    assert (rg.Map, rg.Parts, rg.Score, rg.Table, rg.load) == (Map, Parts, Score, Table, load)
    assert set(Result.kinds) >= {"Map", "Parts", "Score", "Table"}


def test_tables_are_sorted_by_a_column() -> None:
    table = Table(("name", "n"), (("a", 2.0), ("b", None), ("c", float("nan")), ("d", 3.0), ("e", 1.0)))
    assert table.sort("n").column("name") == ["e", "a", "d", "b", "c"]
    assert table.sort("n", descending=True).column("name") == ["d", "a", "e", "b", "c"]
    assert table.sort("name", descending=True).column("name")[0] == "e"
    with pytest.raises(LayoutError, match="numbers and words, which have no order"):
        Table(("x",), ((1,), ("b",))).sort("x")
