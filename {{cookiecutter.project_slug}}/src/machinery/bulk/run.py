"""Predict every row of the input and summarise the run.

One thread reads and writes, others score, here or on a cluster. The number of batches in memory is
bounded.
"""

import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from machinery.pipeline.compute import ParallelMap, local_map
from machinery.pipeline.files import CheckError, times
from machinery.pipeline.model import examples
from machinery.pipeline.model.scoring import Scorer, version_of
from machinery.pipeline.progress import bar

from .locations import locate, user_errors, work_folder
from .rows import RowScorer
from .source import Source
from .target import Target, Writer


class Options(NamedTuple):
    """Options of a run; the columns in `missing` may be absent."""

    model: Path = Path()
    max_bad: float = 0.01
    missing: tuple[str, ...] = ()
    force: bool = False
    threads: int = 2


def predict(
    features: ModuleType,
    source: str,
    target: str,
    options: Options,
    spread: ParallelMap = local_map,
) -> dict[str, Any]:
    """Predict every row of the source; the target appears when all are done.

    Raises:
        UserError: if an input or model cannot be read, or the output already exists.
        CheckError: if more than the share `max_bad` of the rows break the contract.
    """
    start = time.perf_counter()
    with user_errors(source, target):
        rows = Source(locate(source))
        output = Target(target, rows, force=options.force)
        model = open_model(features, options.model)
        version = version_of(options.model, model.info)
        typed = (rows.kind, output.kind) == ("csv", "parquet")
        scorer = RowScorer(model, rows, version, missing=options.missing, typed=typed)
        counts: Counter[str] = Counter()
        shown: dict[str, str] = {}
        total = bad = 0
        with work_folder(output.location) as folder:
            good_rows = Writer(folder / "good", output.kind, scorer.schema, output.is_folder)
            bad_rows = Writer(folder / "bad", output.kind, scorer.bad_schema)
            results = spread(RowScorer.score, scorer, rows.batches(), threads=options.threads)
            with closing(good_rows), closing(bad_rows), bar(rows.location.name, rows.size) as show:
                for result in results:
                    good_rows.write(result.good)
                    bad_rows.write(result.bad)
                    total += len(result.good) + len(result.bad)
                    bad += len(result.bad)
                    counts.update(result.counts)
                    shown = {**result.examples, **shown}
                    show(result.done)
            is_valid = bad <= options.max_bad * total
            output.finish(folder, bad, is_valid=is_valid)
    if not is_valid:
        reasons = "; ".join(
            f"{reason}, {times(count)}{shown.get(reason, '')}" for reason, count in counts.items()
        )
        raise CheckError(
            f"{bad} of {total} rows break the contract, more than --max-bad "
            f"{options.max_bad:g}: {reasons}; check {output.bad}, and run again with "
            "--force --max-bad SHARE"
        )
    return {
        "output": str(output.location),
        "rows": total,
        "predicted": total - bad,
        "bad": bad,
        "bad_output": str(output.bad) if bad else None,
        "violations": dict(counts),
        "model_version": version,
        "rows_per_second": round(total / (time.perf_counter() - start)),
    }


def open_model(features: ModuleType, folder: Path) -> Scorer:
    """The model of a folder, after checking that it reproduces its stored examples."""
    scorer = Scorer(features, folder)
    examples.check(scorer, examples.read(folder))
    return scorer
