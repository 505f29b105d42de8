"""The catalogue: what features may be made from, and how they must be described."""

import re
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

from machinery.pipeline.data import contract as contracts
from machinery.pipeline.data.catalogue import Catalogue, page
from machinery.pipeline.data.contract import Contract
from machinery.pipeline.data.tags import feature_of_each, tag
from machinery.pipeline.files import UserError


def module_of(*functions: Callable[..., Any]) -> ModuleType:
    """A features.py with these functions."""
    module = ModuleType(__name__)
    vars(module).update({function.__name__: function for function in functions})
    return module


@tag(owner="a team", unit="m")
def double_size(size: np.ndarray) -> np.ndarray:
    """Twice the size."""
    return (2 * size).astype(np.float32)


@tag(owner="a team", unit="")
def paint(colour: np.ndarray) -> np.ndarray:
    """The colour as text."""
    return np.where(pd.isna(colour), "missing", colour).astype(object)


@tag(owner="a team", unit="", encode="text")
def wording(colour: np.ndarray) -> np.ndarray:
    """The colour in words."""
    return paint(colour)


@tag(owner="a team", unit="", encode="words")
def misspelt(colour: np.ndarray) -> np.ndarray:
    """A text with an encoding that does not exist."""
    return paint(colour)


@tag(owner="a team", unit="m", encode="target")
def encoded_size(size: np.ndarray) -> np.ndarray:
    """A number with the encoding of a category."""
    return double_size(size)


@tag(owner="a team", unit="m")
def fourfold_size(double_size: np.ndarray) -> np.ndarray:
    """A feature made from a feature."""
    return 2 * double_size


@tag(owner="a team", unit="min")
def foreseen_delay(delay: np.ndarray) -> np.ndarray:
    """A feature that is known too late."""
    return delay.astype(np.float32)


@tag(owner="a team", unit="")
def outcome(late: np.ndarray) -> np.ndarray:
    """The target as a feature."""
    return late.astype(np.float32)


@tag(owner="a team", unit="")
def wind(storm: np.ndarray) -> np.ndarray:
    """A feature of a column that does not exist."""
    return storm.astype(np.float32)


def orphan(size: np.ndarray) -> np.ndarray:
    """A feature without an owner."""
    return size.astype(np.float32)


@tag(owner="a team")
def unmeasured(size: np.ndarray) -> np.ndarray:
    """A feature without a unit tag."""
    return size.astype(np.float32)


@tag(owner="a team", unit="min")
def delay(size: np.ndarray) -> np.ndarray:
    """A feature with the name of a column."""
    return size.astype(np.float32)


@tag(owner="a team", unit="")
def late(size: np.ndarray) -> np.ndarray:
    """A feature with the name of the target."""
    return size.astype(np.float32)


@tag(owner="a team", unit="m")
def size(size: np.ndarray) -> np.ndarray:
    """A feature with the name of its own column."""
    return size.astype(np.float32)


@tag(owner="a team", unit="")
def too_wide(size: np.ndarray) -> np.ndarray:
    """A feature in 64 bits."""
    return size.astype(np.float64)


def test_a_feature_has_a_full_description(contract: Contract) -> None:
    catalogue = Catalogue(contract, module_of(double_size, fourfold_size))
    assert vars(catalogue.features["fourfold_size"]) == {
        "name": "fourfold_size",
        "meaning": "A feature made from a feature.",
        "unit": "m",
        "type": "float32",
        "encode": "",
        "owner": "a team",
        "parents": ("double_size",),
        "columns": ("size",),
    }


def test_one_function_makes_a_feature_of_each_column(contract: Contract) -> None:
    module = module_of(paint)
    vars(module)["FEATURES"] = feature_of_each(
        "size", "value", np.float32, owner="a team", unit="m"
    )
    catalogue = Catalogue(contract, module)
    sizes, colours = np.array([1.5, np.nan]), np.array(["red", "blue"], dtype=object)
    values = catalogue.compute({"size": sizes, "colour": colours})
    np.testing.assert_array_equal(values["size_value"], np.float32(sizes))
    assert catalogue.features["size_value"].columns == ("size",)
    assert catalogue.features["size_value"].meaning == "The value of size, as float32 makes it."


@pytest.mark.parametrize(
    ("function", "fault"),
    [
        (misspelt, 'misspelt has encode=\'words\'; write encode="text" or encode="target" for'),
        (encoded_size, "encoded_size has encode, but is a number; .* for strings, and none other"),
    ],
)
def test_an_invalid_encoding_is_refused(
    function: Callable[..., Any], fault: str, contract: Contract
) -> None:
    with pytest.raises(UserError, match=f"^features.py: the tag of {fault}"):
        Catalogue(contract, module_of(function))


def test_values_have_the_length_and_types_of_the_pipeline(contract: Contract) -> None:
    catalogue = Catalogue(contract, module_of(double_size, paint))
    columns = {"size": np.array([1.0, np.nan]), "colour": np.array(["red", np.nan], dtype=object)}
    values = catalogue.compute(columns)
    assert values["double_size"].dtype == np.float32
    assert values["double_size"].tolist() == [2, pytest.approx(np.nan, nan_ok=True)]
    assert values["paint"].tolist() == ["red", "missing"]


def test_only_the_requested_features_and_their_parents_are_computed(contract: Contract) -> None:
    module = module_of(fourfold_size, double_size, paint, orphan)
    catalogue = Catalogue(contract, module, ["fourfold_size"])
    assert catalogue.inputs == ["size"]
    assert list(catalogue({"size": np.array([1.0])})) == ["fourfold_size"]


def test_an_unknown_feature_is_named_with_the_known_ones(contract: Contract) -> None:
    with pytest.raises(UserError, match="has no feature 'moon'; it has double_size, paint"):
        Catalogue(contract, module_of(paint, double_size), ["moon"])


def test_type_hints_are_not_needed_and_a_default_is_a_constant(contract: Contract) -> None:
    def scaled(size, factor=3.0):  # type: ignore[no-untyped-def]
        """The size in other units."""
        return (factor * size).astype(np.float32)

    catalogue = Catalogue(contract, module_of(tag(owner="a team", unit="m")(scaled)))
    assert catalogue.compute({"size": np.array([2.0])})["scaled"].tolist() == [6.0]


def test_a_cycle_of_features_is_refused(contract: Contract) -> None:
    def hen(egg: np.ndarray) -> np.ndarray:
        """Which came first."""
        return egg

    def egg(hen: np.ndarray) -> np.ndarray:
        """Which came second."""
        return hen

    features = [tag(owner="a team", unit="")(function) for function in (hen, egg)]
    with pytest.raises(UserError, match="a cycle of features, (hen → egg → hen|egg → hen → egg)"):
        Catalogue(contract, module_of(*features))


def test_private_and_imported_functions_are_not_features(contract: Contract) -> None:
    module = module_of(double_size)
    vars(module).update(_paint=paint, raises=pytest.raises)
    assert list(Catalogue(contract, module).features) == ["double_size"]


@tag(owner="a team", unit="1/m")
def thinness(size: np.ndarray) -> np.ndarray:
    """A feature that divides by 0 in some rows."""
    with np.errstate(divide="ignore"):
        return (1 / size).astype(np.float32)


def test_an_infinite_value_is_refused_with_the_name_of_its_feature(contract: Contract) -> None:
    catalogue = Catalogue(contract, module_of(thinness))
    with pytest.raises(UserError, match="thinness is infinite in 1 of 3 rows, as by a division"):
        catalogue.compute({"size": np.array([0.0, 2.0, np.nan])})


@tag(owner="a team", unit="m")
def different_sizes(size: np.ndarray) -> np.ndarray:
    """A feature with fewer values than rows."""
    return np.unique(size).astype(np.float32)


@tag(owner="a team", unit="m")
def mean_size(size: np.ndarray) -> np.ndarray:
    """A feature with one value for all rows."""
    return np.float32(np.mean(size))  # type: ignore[return-value]


@pytest.mark.parametrize(("function", "shape"), [(different_sizes, "(2,)"), (mean_size, "()")])
def test_a_feature_without_a_value_for_each_row_is_refused(
    contract: Contract, function: Callable[..., Any], shape: str
) -> None:
    rows = 1 if shape == "()" else 3  # one row is tried first, where it shows
    sentence = f"{function.__name__} gives an array of shape {shape} for {rows} rows; give one"
    with pytest.raises(UserError, match=re.escape(sentence)):
        catalogue = Catalogue(contract, module_of(function))
        catalogue.compute({"size": np.array([1.0, 2.0, 1.0])})


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (lambda size: 1 // 0, r"fails: ZeroDivisionError in line \d+: integer division"),
        (lambda size: {}["the key"], r"fails: KeyError in line \d+: 'the key'"),
        (lambda size: None, "gives NoneType; give float32 numbers or strings"),
        (lambda size: [1.0 for _ in size], "gives list; give float32"),
        (lambda size: 1.0, "gives float; give float32"),
        (lambda size: size > 1, "gives bool; give float32"),
        (lambda size: (value for value in size), "gives generator; give float32"),
        (lambda size: size.astype(object), "gives nan among its strings; give strings"),
    ],
)
def test_a_broken_feature_is_one_sentence_with_its_name(
    contract: Contract, values: Callable[..., Any], sentence: str
) -> None:
    def planted(size):  # type: ignore[no-untyped-def]
        """A feature that is wrong for every row, or for all but the example."""
        return values(size)

    with pytest.raises(UserError, match=f"^features.py: planted {sentence}") as caught:
        Catalogue(contract, module_of(tag(owner="a team", unit="")(planted)))
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (lambda size: np.ones(1 // (len(size) < 2)), r"fails: ZeroDivisionError in line \d+"),
        (lambda size: [1.0, 2.0], "gives list; give float32"),
        (lambda size: size.astype(np.float64), "gives float64; give float32"),
        (lambda size: np.array(["a", "b"]), "gives string values here and float32 for another"),
    ],
)
def test_a_feature_that_is_right_only_for_the_example_row_is_refused_later(
    contract: Contract, values: Callable[..., Any], sentence: str
) -> None:
    def planted(size):  # type: ignore[no-untyped-def]
        """A feature that is wrong for more than one row."""
        return values(size) if len(size) > 1 else np.asarray(size, dtype=np.float32)

    catalogue = Catalogue(contract, module_of(tag(owner="a team", unit="")(planted)))
    with pytest.raises(UserError, match=f"^features.py: planted {sentence}"):
        catalogue({"size": np.array([1.0, 2.0])})


@pytest.mark.parametrize(
    ("value", "personal", "shown"),
    [(1.5, False, "1.5"), (None, False, "None"), (np.nan, False, "nan"), (1.5, True, "float")],
)
def test_a_feature_of_strings_gives_only_strings_and_no_message_shows_a_personal_value(
    document: dict[str, Any], value: Any, personal: bool, shown: str
) -> None:
    def planted(size):  # type: ignore[no-untyped-def]
        """A feature that gives something else where the size is present."""
        return np.array(["missing" if np.isnan(s) else value for s in size], dtype=object)

    document["columns"]["size"]["personal"] = personal
    feature = tag(owner="a team", unit="")(planted)
    catalogue = Catalogue(contracts.parse(document), module_of(feature))
    assert catalogue.personal == ({"planted"} if personal else set())
    with pytest.raises(UserError, match=f"planted gives {shown} among its strings; give strings"):
        catalogue.compute({"size": np.array([np.nan, 2.0])})


def test_a_feature_may_be_a_pandas_series(contract: Contract) -> None:
    @tag(owner="a team", unit="")
    def series_of_paint(colour):  # type: ignore[no-untyped-def]
        """The colour as a categorical series."""
        return pd.Series(colour).fillna("missing").astype("category")

    catalogue = Catalogue(contract, module_of(series_of_paint))
    values = catalogue.compute({"colour": np.array(["red", np.nan], dtype=object)})
    assert values["series_of_paint"].tolist() == ["red", "missing"]
    assert isinstance(values["series_of_paint"], np.ndarray)


@tag(owner="a team", unit="")
def one() -> np.ndarray:
    """The same for every row."""
    return np.ones(1, dtype=np.float32)


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        (one, "one takes no column"),
        (foreseen_delay, "foreseen_delay uses delay, which is known only after the prediction"),
        (outcome, "outcome uses late, the target itself"),
        (wind, "wind uses storm, which contract.yaml does not describe"),
        (orphan, "orphan needs a docstring and @tag(owner=..., unit=...)"),
        (unmeasured, 'unmeasured needs a docstring and @tag(owner=..., unit=...), unit="" if'),
        (delay, "features.py: delay has the name of a column"),
        (late, "features.py: late has the name of a column"),
        (size, "features.py: size has the name of a column"),
        (too_wide, "too_wide gives float64; give float32 numbers or strings"),
    ],
)
def test_a_forbidden_feature_is_refused_with_its_name(
    contract: Contract, function: Callable[..., Any], sentence: str
) -> None:
    with pytest.raises(UserError) as caught:
        Catalogue(contract, module_of(double_size, function))
    assert sentence in str(caught.value)


def test_the_page_has_a_row_for_each_feature_and_the_lineage_as_a_graph(contract: Contract) -> None:
    text = page(Catalogue(contract, module_of(double_size, fourfold_size, paint, wording)))
    assert "| double_size | Twice the size. | m | float32 | size | before | a team |" in text
    assert "| paint | The colour as text. | none | string |" in text
    assert "| wording | The colour in words. | none | string (text) |" in text
    assert "size --> feature_double_size" in text
    assert "feature_double_size --> feature_fourfold_size" in text
