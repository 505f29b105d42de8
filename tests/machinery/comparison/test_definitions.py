"""definitions: a feature changed when what it does changed, and not when only its words did."""

import pytest
from machinery.comparison.definitions import Change, compare

SOURCE = '''
import numpy as np

from .tags import tag

LIMIT = 3


@tag(owner="a team", unit="mi")
def size(length: np.ndarray) -> np.ndarray:
    """How long it is."""
    return _number(np.fmin(length, LIMIT))


@tag(owner="a team", unit="")
def doubled(size: np.ndarray) -> np.ndarray:
    """Twice as long."""
    return 2 * size


def _number(values):
    return np.asarray(values, dtype=np.float32)
'''


def changed(*edits: tuple[str, str]) -> list[Change]:
    text = SOURCE
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    return compare(SOURCE, text)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("How long it is.", "Its length, in miles."),
        ('@tag(owner="a team", unit="mi")', '@tag(owner="another team", unit="km")'),
        ("    return 2 * size", "    # twice\n    return 2*size"),
        ("LIMIT = 3", "LIMIT = 3\nOTHER = 4"),
    ],
)
def test_words_and_layout_are_no_change(old: str, new: str) -> None:
    assert changed((old, new)) == []


def test_a_feature_of_the_same_code_under_another_name_is_renamed() -> None:
    assert changed(("def doubled(", "def twice(")) == [Change("twice", "renamed", ("doubled",))]


def test_a_renamed_feature_changes_the_arguments_of_those_made_from_it() -> None:
    found = changed(
        ("def size(", "def extent("), ("size: np", "extent: np"), ("* size", "* extent")
    )
    assert [(each.name, each.kind) for each in found] == [
        ("extent", "renamed"),
        ("doubled", "changed"),
    ]


def test_a_changed_feature_shows_how_its_code_differs() -> None:
    (found,) = changed(("2 * size", "3 * size"))
    assert (found.name, found.kind) == ("doubled", "changed")
    assert found.diff.splitlines() == [
        " def doubled(size: np.ndarray) -> np.ndarray:",
        "-    return 2 * size",
        "+    return 3 * size",
    ]


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ("LIMIT = 3", "LIMIT = 4", ("LIMIT",)),
        ("np.float32", "np.float64", ("_number",)),
        ("import numpy as np", "import cupy as np", ("np",)),
    ],
)
def test_what_a_feature_uses_changes_it_and_those_made_from_it(
    old: str, new: str, names: tuple[str, ...]
) -> None:
    found = {each.name: each for each in changed((old, new))}
    assert found["size"] == Change("size", "changed", names)
    assert set(names) <= set(found["doubled"].names)


def test_features_are_added_and_removed_by_name() -> None:
    new = "def half(size):\n    return size / 2\n"
    assert changed(("def doubled(size: np.ndarray) -> np.ndarray:", "def _doubled(size):")) == [
        Change("doubled", "removed")
    ]
    assert compare(SOURCE, SOURCE + new) == [Change("half", "added")]


def test_a_file_that_is_not_python_has_no_features() -> None:
    assert compare("def (", "") == []
