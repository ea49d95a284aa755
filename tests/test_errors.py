"""Every error has its builtin base, three parts in its text, and survives the way home from a worker."""

from __future__ import annotations

import copy
import inspect
import pickle
import re

import pytest

from regard import errors
from regard.errors import ExtraError, MethodError, RegardError, context

BASES = {
    "SiteError": LookupError,
    "CallError": RuntimeError,
    "EditError": ValueError,
    "LayoutError": ValueError,
    "CardError": TypeError,
    "ImageError": ValueError,
    "DataError": OSError,
    "ExtraError": ImportError,
    "MethodError": LookupError,
    "DegenerateError": ValueError,
}
CLASSES = {
    name: one
    for name, one in inspect.getmembers(errors, inspect.isclass)
    if issubclass(one, RegardError) and one is not RegardError
}


def drawn_tree(text: str) -> dict[str, str]:
    """Class -> builtin base, out of the tree that a docstring draws."""
    return dict(re.findall(r"^[|`]- (\w+)\((\w+)\)", text, flags=re.MULTILINE))


def test_the_drawn_tree_is_the_classes() -> None:
    assert drawn_tree(errors.__doc__ or "") == {name: base.__name__ for name, base in BASES.items()}
    assert set(CLASSES) == set(BASES)
    assert drawn_tree("|- AError(ValueError)  x\n`- BError(OSError)") == {"AError": "ValueError", "BError": "OSError"}


@pytest.mark.parametrize("name", BASES)
def test_class(name: str) -> None:
    one = CLASSES[name]
    assert one.__bases__ == (RegardError, BASES[name])
    assert one.__doc__
    error = one("grid 3x4 has 12 tokens, got 13", hint="Grid(h, w, prefix=1)")
    assert (error.message, error.hint) == ("grid 3x4 has 12 tokens, got 13", "Grid(h, w, prefix=1)")
    assert str(error) == "grid 3x4 has 12 tokens, got 13\n  try: Grid(h, w, prefix=1)"
    with pytest.raises(BASES[name], match="12 tokens"):
        raise error


@pytest.mark.parametrize("name", BASES)
def test_pickle_and_copy_keep_message_hint_and_notes(name: str) -> None:
    error = CLASSES[name]("what happened", hint="what to do")
    error.add_note("picture 3 of 9")
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(again) is CLASSES[name]
        assert str(again) == str(error)
        assert (again.message, again.hint) == ("what happened", "what to do")
        assert again.__notes__ == ["picture 3 of 9"]


def test_a_hint_is_demanded() -> None:
    with pytest.raises(TypeError, match="hint"):
        errors.DataError("no hint")  # type: ignore[call-arg]


def test_unknown_names_the_closest_first() -> None:
    known = ["rollout", "gradcam", "attention"]
    error = MethodError.unknown("explainer", "rolout", known, see="regard list explainers")
    assert error.message == "no explainer named 'rolout'"
    assert error.hint == "'rollout', or regard list explainers"


def test_unknown_without_anything_close_says_where_to_look() -> None:
    assert MethodError.unknown("explainer", "zzz", ["rollout"], see="regard list").hint == "regard list"
    assert MethodError.unknown("explainer", "zzz", [], see="regard list").hint == "regard list"


def test_unknown_takes_any_iterable_once() -> None:
    assert "'ab'" in MethodError.unknown("x", "abc", iter(["ab"]), see="y").hint


def test_missing_extra_names_package_purpose_and_both_commands() -> None:
    error = ExtraError.missing("onnx", "demo", "reading weights")
    assert error.message == "reading weights needs the package 'onnx', which is not installed"
    assert error.hint == "pip install 'regard[demo]' (in a clone: pip install -e '.[demo]')"
    assert isinstance(error, ImportError)


def test_context_adds_a_note_to_any_error_and_nothing_else() -> None:
    with pytest.raises(ZeroDivisionError) as caught, context("while watching blocks.0.attn"):
        _ = 1 / 0
    assert caught.value.__notes__ == ["while watching blocks.0.attn"]
    with context("nothing happens"):
        pass


def test_contexts_stack_from_the_inside_out() -> None:
    with pytest.raises(RegardError) as caught, context("outer"), context("inner"):
        raise errors.CallError("a", hint="b")
    assert caught.value.__notes__ == ["inner", "outer"]


def test_context_leaves_an_interrupt_alone() -> None:
    with pytest.raises(KeyboardInterrupt) as caught, context("inside"):
        raise KeyboardInterrupt
    assert not hasattr(caught.value, "__notes__")
