"""run: input, output and a model's folder in; every row predicted, and a summary, out.

One thread reads and writes, others score, here or on a cluster; what waits between them is bounded,
and so is memory.
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

from .places import place, reported, work_folder
from .rows import Predicted, RowScorer
from .source import Batch, Source
from .target import Target, Writer


class Options(NamedTuple):
    """How to go about it; the columns in `missing` may be absent."""

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
        UserError: for an input or a model that cannot be read, or an output that is there already.
        CheckError: when more than the share `max_bad` of the rows break the contract.
    """
    with reported(source, target):
        rows, start = Source(place(source)), time.perf_counter()
        output = Target(target, rows, force=options.force)
        scorer = open_model(features, options.model)
        version = version_of(options.model, scorer.info)
        typed = (rows.kind, output.kind) == ("csv", "parquet")
        score = RowScorer(scorer, rows, version, missing=options.missing, typed=typed)
        with work_folder(output.place) as folder:
            counts, shown = _write(rows, score, output, folder, options, spread)
            total, bad = counts.pop("rows"), counts.pop("bad")
            with output.finishing():
                output.finish_bad(folder, bad)
                if bad > options.max_bad * total:
                    reasons = "; ".join(
                        f"{why}, {times(count)}{shown.get(why, '')}"
                        for why, count in counts.items()
                    )
                    raise CheckError(
                        f"{bad} of {total} rows break the contract, more than --max-bad "
                        f"{options.max_bad:g}: {reasons}; look at {output.bad}, and run again with "
                        "--force --max-bad SHARE"
                    )
                output.finish(folder)
    return {
        "output": str(output.place),
        "rows": total,
        "predicted": total - bad,
        "bad": bad,
        "bad_output": str(output.bad) if bad else None,
        "violations": dict(counts),
        "model_version": version,
        "rows_per_second": round(total / (time.perf_counter() - start)),
    }


def open_model(features: ModuleType, folder: Path) -> Scorer:
    """The model of a folder, once it has answered the examples stored with it."""
    scorer = Scorer(features, folder)
    examples.check(scorer, examples.read(folder))
    return scorer


def _write(
    rows: Source,
    score: RowScorer,
    output: Target,
    folder: Path,
    options: Options,
    spread: ParallelMap,
) -> tuple[Counter[str], dict[str, str]]:
    """Write all rows below the folder.

    The counts of rows, of bad ones, and of each violation; and examples of each violation.
    """
    counts: Counter[str] = Counter(rows=0, bad=0)
    shown: dict[str, str] = {}
    good = Writer(folder / "good", output.kind, score.schema, folder=output.folder)
    bad = Writer(folder / "bad", output.kind, score.bad_schema)
    with closing(good), closing(bad), bar(rows.place.name, rows.size) as advance:
        scored = spread(_scored, score, rows.batches(), threads=options.threads)
        for done, predicted in scored:
            good.write(predicted.good)
            bad.write(predicted.bad)
            count = len(predicted.good) + len(predicted.bad)
            counts.update(predicted.counts, rows=count, bad=len(predicted.bad))
            shown = {**predicted.shown, **shown}
            advance(done)
    return counts, shown


def _scored(score: RowScorer, batch: Batch) -> tuple[int, Predicted]:
    return batch.done, score(batch)
