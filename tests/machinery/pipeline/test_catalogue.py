"""The catalogue: what a feature may be made from, and what it must say of itself."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hamilton.ad_hoc_utils import create_temporary_module
from machinery.pipeline.data.catalogue import Catalogue, listing, page
from machinery.pipeline.data.contract import Contract
from machinery.pipeline.data.tags import tag
from machinery.pipeline.files import UserError


@tag(owner="a team", unit="m")
def double_size(size: np.ndarray) -> np.ndarray:
    """Twice the size."""
    return (2 * size).astype(np.float32)


@tag(owner="a team", unit="")
def paint(colour: np.ndarray) -> np.ndarray:
    """The colour as text."""
    return np.where(pd.isna(colour), "missing", colour).astype(object)


@tag(owner="a team", unit="m")
def fourfold_size(double_size: np.ndarray) -> np.ndarray:
    """A feature made from a feature."""
    return 2 * double_size


@tag(owner="a team", unit="min")
def foreseen_delay(delay: np.ndarray) -> np.ndarray:
    """A feature that nobody can have in time."""
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
    """A feature that does not say whether it has a unit."""
    return size.astype(np.float32)


@tag(owner="a team", unit="min")
def delay(size: np.ndarray) -> np.ndarray:
    """A feature that would take the place of a column."""
    return size.astype(np.float32)


@tag(owner="a team", unit="")
def late(size: np.ndarray) -> np.ndarray:
    """A feature that would take the place of the target."""
    return size.astype(np.float32)


@tag(owner="a team", unit="m")
def size(size: np.ndarray) -> np.ndarray:
    """A feature that would take the place of what it is made from."""
    return size.astype(np.float32)


@tag(owner="a team", unit="")
def too_wide(size: np.ndarray) -> np.ndarray:
    """A feature in 64 bits, which serving would not see as training does."""
    return size.astype(np.float64)


def test_features_of_features_name_the_columns_they_come_from(contract: Contract) -> None:
    catalogue = Catalogue(contract, create_temporary_module(double_size, fourfold_size, paint))
    feature = catalogue.features["fourfold_size"]
    assert (feature.parents, feature.inputs) == (("double_size",), ("size",))
    assert catalogue.features["paint"].kind == "string"


def test_the_catalogue_is_told_to_programs_too(contract: Contract) -> None:
    catalogue = Catalogue(contract, create_temporary_module(double_size, fourfold_size))
    assert listing(catalogue)[1] == {
        "name": "fourfold_size",
        "meaning": "A feature made from a feature.",
        "unit": "m",
        "type": "float32",
        "owner": "a team",
        "parents": ("double_size",),
        "columns": ("size",),
    }


def test_values_have_the_length_and_types_of_the_pipeline(contract: Contract) -> None:
    catalogue = Catalogue(contract, create_temporary_module(double_size, paint))
    table = pd.DataFrame({"size": [1.0, None], "colour": ["red", None]})
    values = catalogue.compute(table, ["double_size", "paint"])
    assert values["double_size"].dtype == np.float32
    assert values["double_size"][0] == 2
    assert np.isnan(values["double_size"][1])
    assert values["paint"].tolist() == ["red", "missing"]


@tag(owner="a team", unit="1/m")
def thinness(size: np.ndarray) -> np.ndarray:
    """A feature that divides by what may be 0."""
    with np.errstate(divide="ignore"):
        return (1 / size).astype(np.float32)


def test_an_infinite_value_is_refused_by_the_name_of_its_feature(contract: Contract) -> None:
    catalogue = Catalogue(contract, create_temporary_module(thinness))
    with pytest.raises(UserError, match="thinness is infinite in 1 of 3 rows, as by a division"):
        catalogue.compute(pd.DataFrame({"size": [0.0, 2.0, None]}), ["thinness"])


@tag(owner="a team", unit="m")
def different_sizes(size: np.ndarray) -> np.ndarray:
    """A feature that forgets which row is which."""
    return np.unique(size).astype(np.float32)


@tag(owner="a team", unit="m")
def mean_size(size: np.ndarray) -> np.ndarray:
    """A feature of all rows instead of each."""
    return np.float32(np.mean(size))  # type: ignore[return-value]


@pytest.mark.parametrize(("function", "shape"), [(different_sizes, "(2,)"), (mean_size, "()")])
def test_a_feature_without_a_value_for_each_row_is_refused(
    contract: Contract, function: Callable[..., Any], shape: str
) -> None:
    rows = 1 if shape == "()" else 3  # one row is tried first, where it shows
    sentence = f"{function.__name__} gives an array of shape {shape} for {rows} rows; give one"
    with pytest.raises(UserError, match=re.escape(sentence)):
        catalogue = Catalogue(contract, create_temporary_module(function))
        catalogue.compute(pd.DataFrame({"size": [1.0, 2.0, 1.0]}), [function.__name__])


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        (foreseen_delay, "foreseen_delay uses delay, which is known only after the prediction"),
        (outcome, "outcome uses late, the target itself"),
        (wind, "wind uses storm, which contract.yaml does not describe"),
        (orphan, "orphan needs a docstring and @tag(owner=..., unit=...)"),
        (unmeasured, 'unmeasured needs a docstring and @tag(owner=..., unit=...), unit="" where'),
        (delay, "features.py makes delay, which is the name of a column"),
        (late, "features.py makes late, which is the name of a column"),
        (size, "features.py makes size, which is the name of a column"),
        (too_wide, "too_wide gives float64; give float32 numbers or strings"),
    ],
)
def test_a_feature_that_must_not_be_is_refused_by_name(
    contract: Contract, function: Callable[..., Any], sentence: str
) -> None:
    with pytest.raises(UserError) as caught:
        Catalogue(contract, create_temporary_module(double_size, function))
    assert sentence in str(caught.value)


def test_the_page_has_a_line_a_feature_and_the_lineage_as_a_graph(contract: Contract) -> None:
    text = page(Catalogue(contract, create_temporary_module(double_size, fourfold_size, paint)))
    assert "| double_size | Twice the size. | m | float32 | size | before | a team |" in text
    assert "| paint | The colour as text. | none | string |" in text
    assert "size --> feature_double_size" in text
    assert "feature_double_size --> feature_fourfold_size" in text
