"""featurize: training and test table in, their features out, and the catalogue of features."""

from collections.abc import Iterable
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
    """All features of each row, beside its key, time and group, its target and its weight.

    Features are float32 (NaN where a value is missing) or text (never missing). They are stateless:
    what learns from data is inside the model. The column of a feature says how models encode it,
    where its tag does.
    """
    contract = catalogue.contract
    features = table.select(contract.carried)
    for name, values in catalogue.compute(arrays(table, catalogue.inputs, contract)).items():
        column, encode = pa.array(values), catalogue.features[name].encode
        said = {"encode": encode} if encode else None
        features = features.append_column(pa.field(name, column.type, metadata=said), column)
    return features


def featurize_file(
    source: Path,
    target: Path,
    catalogue: Catalogue,
    batch_rows: int,
    spread: ParallelMap = local_map,
) -> None:
    """Featurize a Parquet file of any length, a row group at a time, in batches of so many rows."""
    if not source.exists():
        raise missing(source)
    groups = pq.ParquetFile(source).metadata.num_row_groups
    shared = source, catalogue, batch_rows
    made = spread(featurize_group, shared, range(groups), reads=[source])
    tracked = track(made, f"featurize {source}", groups)
    replace(target, lambda part: _write_all(chain.from_iterable(tracked), part))


def featurize_group(shared: tuple[Path, Catalogue, int], group: int) -> list[pa.Table]:
    """The features of a row group of the file, batch by batch."""
    source, catalogue, batch_rows = shared
    contract = catalogue.contract
    columns = dict.fromkeys([*catalogue.inputs, *contract.carried])
    with pq.ParquetFile(source) as file:
        return [
            featurize(pa.Table.from_batches([batch]).replace_schema_metadata(None), catalogue)
            for batch in file.iter_batches(batch_rows, [group], [*columns])
        ]


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
    with parallel_map(project) as spread:
        featurize_file(TRAIN, TRAIN_FEATURES, catalogue, batch_rows, spread)
        featurize_file(TEST, TEST_FEATURES, catalogue, batch_rows, spread)
    write_text(page(catalogue), CATALOGUE)
    write_json([vars(each) for each in catalogue.features.values()], FEATURES)
