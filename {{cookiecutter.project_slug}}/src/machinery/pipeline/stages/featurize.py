"""Compute the features of the training and test table, and write the feature catalogue."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from machinery.pipeline import params as sections
from machinery.pipeline.compute import ParallelMap, local_map, parallel_map
from machinery.pipeline.data import contract as contracts
from machinery.pipeline.data.catalogue import Catalogue, page
from machinery.pipeline.data.columns import arrays
from machinery.pipeline.files import missing, replace, write_json, write_text
from machinery.pipeline.params import Featurize
from machinery.pipeline.paths import CATALOGUE, FEATURES, TEST, TEST_FEATURES, TRAIN, TRAIN_FEATURES
from machinery.pipeline.progress import track
from machinery.pipeline.project import Project


def featurize(table: pa.Table, catalogue: Catalogue) -> pa.Table:
    """The features of each row, next to its key, time, group, target and weight.

    Features are float32 (NaN where missing) or strings (never missing). They are stateless: what
    learns from data is inside the model. The encoding in a feature's tag is in the column metadata.
    """
    contract = catalogue.contract
    features = table.select(contract.carried)
    for name, values in catalogue.compute(arrays(table, catalogue.inputs, contract)).items():
        column, encode = pa.array(values), catalogue.features[name].encode
        field = pa.field(name, column.type, metadata={"encode": encode} if encode else None)
        features = features.append_column(field, column)
    return features


def featurize_file(
    source: Path,
    target: Path,
    catalogue: Catalogue,
    batch_rows: int,
    spread: ParallelMap = local_map,
) -> None:
    """Featurize a Parquet file of any length, one row group at a time, in batches of rows."""
    if not source.exists():
        raise missing(source)
    groups = pq.ParquetFile(source).metadata.num_row_groups
    shared = source, catalogue, batch_rows
    results = spread(featurize_group, shared, range(groups), reads=[source])
    tables = chain.from_iterable(track(results, f"featurize {source}", groups))
    replace(target, lambda part: _write_all(tables, part))


def featurize_group(shared: tuple[Path, Catalogue, int], group: int) -> list[pa.Table]:
    """The features of one row group of the file, batch by batch."""
    source, catalogue, batch_rows = shared
    columns = dict.fromkeys([*catalogue.inputs, *catalogue.contract.carried])
    with pq.ParquetFile(source) as file:
        return [
            featurize(pa.Table.from_batches([batch]).replace_schema_metadata(None), catalogue)
            for batch in file.iter_batches(batch_rows, [group], [*columns])
        ]


def _write_all(tables: Iterator[pa.Table], path: Path) -> None:
    first = next(tables)
    with pq.ParquetWriter(path, first.schema, compression="zstd") as writer:
        for table in chain([first], tables):
            writer.write_table(table)


def main(project: Project) -> None:
    """Run the stage."""
    catalogue = Catalogue(contracts.load(), project.features())
    batch_rows = sections.load(Featurize).batch_rows
    with parallel_map(project) as spread:
        featurize_file(TRAIN, TRAIN_FEATURES, catalogue, batch_rows, spread)
        featurize_file(TEST, TEST_FEATURES, catalogue, batch_rows, spread)
    write_text(page(catalogue), CATALOGUE)
    write_json([vars(feature) for feature in catalogue.features.values()], FEATURES)
