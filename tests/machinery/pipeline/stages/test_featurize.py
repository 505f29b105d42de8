"""featurize: the same features in one piece and in batches, and no file left when it fails."""

from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from machinery.pipeline.data.catalogue import Catalogue
from machinery.pipeline.data.contract import Contract
from machinery.pipeline.data.tags import tag
from machinery.pipeline.files import UserError, write_table
from machinery.pipeline.stages.featurize import featurize, featurize_file
from machinery.pipeline.stages.train import kinds_of


class Features:
    """Stands in for features.py."""

    @staticmethod
    @tag(owner="a team", unit="m")
    def double_size(size: np.ndarray) -> np.ndarray:
        """Twice the size."""
        return (2 * size).astype(np.float32)

    @staticmethod
    @tag(owner="a team", unit="")
    def paint(colour: np.ndarray) -> np.ndarray:
        """The colour as text."""
        return np.where(pd.isna(colour), "missing", colour).astype(object)


@pytest.fixture
def catalogue(contract: Contract) -> Catalogue:
    module = ModuleType("features")
    vars(module).update(double_size=Features.double_size, paint=Features.paint)
    return Catalogue(contract, module)


def table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": list("abcdefg"),
            "at": pd.date_range("2013-01-01", periods=7),
            "size": [0.0, 1.0, None, 3.0, 4.0, 5.0, 6.0],
            "colour": ["red", None, "blue", "red", "red", "blue", None],
            "late": [True, False] * 3 + [True],
        }
    )


def test_key_time_and_target_are_kept_with_the_features(catalogue: Catalogue) -> None:
    features = featurize(pa.Table.from_pandas(table()), catalogue)
    assert features.column_names == ["id", "at", "late", "double_size", "paint"]
    assert features["double_size"].type == pa.float32()


def test_the_encoding_in_a_tag_is_in_the_column_metadata(
    contract: Contract, tmp_path: Path
) -> None:
    module = ModuleType("features")
    wording = tag(owner="a team", unit="", encode="text")(lambda colour: Features.paint(colour))
    wording.__doc__ = "The colour in words."
    vars(module).update(wording=wording, paint=Features.paint)
    features = featurize(pa.Table.from_pandas(table()), Catalogue(contract, module))
    write_table(features, tmp_path / "x")
    metadata = {field.name: field.metadata for field in pq.read_schema(tmp_path / "x")}
    assert (metadata["wording"], metadata["paint"]) == ({b"encode": b"text"}, None)
    kinds = {"wording": "string", "paint": "string"}
    assert kinds_of([*kinds], tmp_path / "x", "") == (kinds, {"wording": "text"})


def test_batches_give_the_features_of_the_whole_table(catalogue: Catalogue, tmp_path: Path) -> None:
    source, target = tmp_path / "rows.parquet", tmp_path / "features.parquet"
    write_table(table(), source)
    featurize_file(source, target, catalogue, batch_rows=3)
    whole = featurize(pq.read_table(source).replace_schema_metadata(None), catalogue)
    pd.testing.assert_frame_equal(pq.read_table(target).to_pandas(), whole.to_pandas())


def test_a_missing_table_leaves_no_file(catalogue: Catalogue, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"rows\.parquet is missing"):
        featurize_file(tmp_path / "rows.parquet", tmp_path / "out.parquet", catalogue, 3)
    assert list(tmp_path.iterdir()) == []
