"""featurize: training and test table in, their features out, and the catalogue of features."""

from collections.abc import Iterable
from itertools import chain
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from machinery.pipeline import params as sections
from machinery.pipeline.data import contract as contracts
from machinery.pipeline.data.catalogue import Catalogue, page
from machinery.pipeline.data.columns import arrays
from machinery.pipeline.files import missing, replace, write_json, write_text
from machinery.pipeline.params import Featurize
from machinery.pipeline.paths import CATALOGUE, FEATURES, TEST, TEST_FEATURES, TRAIN, TRAIN_FEATURES
from machinery.pipeline.progress import track
from machinery.pipeline.project import Project


def featurize(table: pa.Table, catalogue: Catalogue) -> pa.Table:
    """All features of each row, beside the columns that tell which row it is, and its target.

    Features are float32 (NaN where a value is missing) or text (never missing). They are stateless:
    what learns from data is inside the model. The column of a feature says how models encode it,
    where its tag does.
    """
    contract = catalogue.contract
    features = table.select([*contract.row_columns, contract.target])
    for name, values in catalogue.compute(arrays(table, catalogue.inputs, contract)).items():
        column, encode = pa.array(values), catalogue.features[name].encode
        said = {"encode": encode} if encode else None
        features = features.append_column(pa.field(name, column.type, metadata=said), column)
    return features


def featurize_file(source: Path, target: Path, catalogue: Catalogue, batch_rows: int) -> None:
    """Featurize a Parquet file of any length, so many rows at a time."""
    if not source.exists():
        raise missing(source)
    contract = catalogue.contract
    file = pq.ParquetFile(source)
    columns = dict.fromkeys([*catalogue.inputs, *contract.row_columns, contract.target])
    batches = -(-file.metadata.num_rows // batch_rows)
    tables = (
        featurize(pa.Table.from_batches([batch]).replace_schema_metadata(None), catalogue)
        for batch in file.iter_batches(batch_rows, columns=list(columns))
    )
    tracked = track(tables, f"featurize {source}", batches)
    replace(target, lambda part: _write_all(tracked, part))


def _write_all(tables: Iterable[pa.Table], path: Path) -> None:
    rest = iter(tables)
    first = next(rest)
    with pq.ParquetWriter(path, first.schema, compression="zstd") as writer:
        for table in chain([first], rest):
            writer.write_table(table)


def main(project: Project) -> None:
    """Read, call, write."""
    catalogue = Catalogue(contracts.load(), project.features())
    batch_rows = sections.load(Featurize).batch_rows
    featurize_file(TRAIN, TRAIN_FEATURES, catalogue, batch_rows)
    featurize_file(TEST, TEST_FEATURES, catalogue, batch_rows)
    write_text(page(catalogue), CATALOGUE)
    write_json([vars(each) for each in catalogue.features.values()], FEATURES)
