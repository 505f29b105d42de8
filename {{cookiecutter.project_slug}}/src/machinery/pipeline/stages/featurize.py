"""featurize: training and test table in, their features out, and the catalogue of features."""

from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from machinery.pipeline.data import contract
from machinery.pipeline import params
from machinery.pipeline.data.catalogue import Catalogue, listing, page
from machinery.pipeline.files import missing, replace, write_json, write_text
from machinery.pipeline.params import Featurize
from machinery.pipeline.paths import CATALOGUE, FEATURES, TEST, TEST_FEATURES, TRAIN, TRAIN_FEATURES
from machinery.pipeline.progress import track

from machinery.pipeline.project import Project

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


def featurize(table: "pd.DataFrame", catalogue: Catalogue) -> "pd.DataFrame":
    """All features of each row, beside the columns that tell which row it is, and its target.

    Features are float32 (NaN where a value is missing) or text (never missing). They are stateless:
    what learns from data is inside the model.
    """
    data = catalogue.contract
    values = catalogue.compute(table, list(catalogue.features))
    return table[[*data.row_columns, data.target]].assign(**values)


def featurize_file(source: Path, target: Path, catalogue: Catalogue, batch_rows: int) -> None:
    """Featurize a Parquet file of any length, so many rows at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not source.exists():
        raise missing(source)
    file = pq.ParquetFile(source)
    names = [*catalogue.inputs, *catalogue.contract.row_columns, catalogue.contract.target]
    columns = list(dict.fromkeys(names))
    batches = -(-file.metadata.num_rows // batch_rows)

    def write(part: Path) -> None:
        parts = (
            pa.Table.from_pandas(featurize(batch.to_pandas(), catalogue), preserve_index=False)
            for batch in file.iter_batches(batch_rows, columns=columns)
        )
        _write_all(track(parts, f"featurize {source}", batches), part)

    replace(target, write)


def _write_all(parts: "Iterable[pa.Table]", path: Path) -> None:
    import pyarrow.parquet as pq

    rest = iter(parts)
    first = next(rest)
    with pq.ParquetWriter(path, first.schema, compression="zstd") as writer:
        for part in chain([first], rest):
            writer.write_table(part)


def main(project: Project) -> None:
    """Read, call, write."""
    catalogue = Catalogue(contract.load(), project.features())
    batch_rows = params.load(Featurize).batch_rows
    featurize_file(TRAIN, TRAIN_FEATURES, catalogue, batch_rows)
    featurize_file(TEST, TEST_FEATURES, catalogue, batch_rows)
    write_text(page(catalogue), CATALOGUE)
    write_json(listing(catalogue), FEATURES)
