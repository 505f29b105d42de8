"""run: input, output and a model's folder in; every row predicted, and a summary, out.

A thread reads, some score, this one writes; what waits between them is bounded, and so is memory.
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from hashlib import sha256
from itertools import chain
from pathlib import Path
from queue import Queue
from threading import Event, Thread
from types import ModuleType
from typing import Any, NamedTuple, TypeVar

import pyarrow as pa

from machinery.pipeline.model import examples
from machinery.pipeline.files import CheckError, UserError
from machinery.pipeline.model.scoring import Scorer, version_of
from . import source as read
from .progress import Progress
from .rows import Predicted, RowScorer
from .source import Batch, Position, Source
from .storage import name_of, told
from .work import Done, Work

PART_ROWS = 1_000_000  # after so many, what is done is kept for --resume
AHEAD = 2  # batches read before they are scored
Item = TypeVar("Item")


class Options(NamedTuple):
    """How to go about it."""

    model: Path = Path()
    max_bad: float = 0.01
    resume: bool = False
    force: bool = False
    threads: int = 2
    part_rows: int = PART_ROWS


def predict(features: ModuleType, source: str, target: str, options: Options) -> dict[str, Any]:
    """Predict every row of the source; the target appears when all are done.

    Raises:
        UserError: for an input or a model that cannot be read, or an output that stands already.
        CheckError: when more than the share `max_bad` of the rows break the contract.
    """
    pa.set_cpu_count(max(options.threads, 1))
    with told(source, target):
        return _predict(features, source, target, options)


def _predict(
    features: ModuleType, source: str, target: str, options: Options
) -> dict[str, Any]:
    """Read, score, write, put in place."""
    rows, scorer = Source(source), open_model(features, options.model)
    kind, folder = form(target, rows.kind)
    if kind == "csv":
        rows.refuse_nested()
    version = version_of(options.model, scorer.info)
    score = RowScorer(scorer, rows, version, typed=(rows.kind, kind) == ("csv", "parquet"))
    work = Work(target, kind, folder=folder)
    done = _start(work, _identity(features, rows, scorer, kind, folder, version, options), options)
    begun = done.rows
    with Progress(name_of(rows.path), rows.size, rows.kind == "csv") as progress:
        if not done.complete:
            done = _write(work, rows, score, done, options, progress)
        work.finish_bad(done, score.bad_schema)
        refuse_too_many(done, options.max_bad, done.rows, work.bad_target)
        progress.say("joining the parts")
        work.finish(done, score.schema)
    return {
        "output": work.target,
        "rows": done.rows,
        "predicted": done.rows - done.bad,
        "bad": done.bad,
        "bad_output": work.bad_target if done.bad else None,
        "violations": done.violations,
        "model_version": version,
        "resumed_from": begun,
        "rows_per_second": progress.rate,
    }


def open_model(features: ModuleType, folder: Path) -> Scorer:
    """The model of a folder, once it has answered the examples stored with it."""
    scorer = Scorer(features, folder)
    examples.check(scorer, examples.read(folder))
    return scorer


def form(target: str, kind: str) -> tuple[str, bool]:
    """The kind of the output, and whether it is a folder of parts: a name without an ending is."""
    folder = target.endswith("/")
    for end in (".parquet", ".csv"):
        if target.rstrip("/").endswith(end):
            return end[1:], folder
    if "." in name_of(target) and not folder:
        raise UserError(f"{target} must end in .parquet, .csv or / (a folder of parts)")
    return kind, True


def refuse_too_many(done: Done, limit: float, rows: int, place: str) -> None:
    """Stop when more rows are bad than may be."""
    if done.bad > limit * rows:
        reasons = "; ".join(f"{why}, {count} times" for why, count in done.violations.items())
        raise CheckError(
            f"{done.bad} of {rows} rows break the contract, more than --max-bad {limit:g}: "
            f"{reasons}; look at {place}, and go on with --resume --max-bad SHARE"
        )


def _start(work: Work, identity: dict[str, Any], options: Options) -> Done:
    """Go on where an earlier run was ended, or begin."""
    done = work.resume(identity) if options.resume else None
    if done is not None:
        return done
    if work.exists() and not options.force:
        raise UserError(f"{work.target} is there already; remove it or add --force")
    return work.begin(identity)


def _identity(
    features: ModuleType,
    source: Source,
    scorer: Scorer,
    kind: str,
    folder: bool,
    version: str,
    options: Options,
) -> dict[str, Any]:
    """What must be the same for a run to be gone on with."""
    return {
        "input": [[each.path, each.size, each.stamp] for each in source.files],
        "model": [scorer.info["sha256"], scorer.contract.model_dump(mode="json"), version],
        "code": [_hash_of(features), read.BATCH_ROWS, read.BLOCK_BYTES],
        "form": [kind, folder, options.part_rows],
    }


def _hash_of(module: ModuleType) -> str:
    return sha256(Path(str(module.__file__)).read_bytes()).hexdigest()


def _write(
    work: Work, source: Source, score: RowScorer, done: Done, options: Options, progress: Progress
) -> Done:
    """Write part after part."""
    batches = ahead(source.batches(done.position), AHEAD)
    scored = in_order(score, batches, options.threads)
    progress.begin(done.rows)
    known = source.size if source.kind == "parquet" else None
    while not done.complete:
        first = next(scored, None)
        if first is None and done.parts:  # the last part ended with the last row
            done = done._replace(complete=True)
            work.note(done)
            break
        taken = _Part(chain([first] if first else [], scored), options.part_rows, progress)
        counts = work.write(done, iter(taken), score.schema, score.bad_schema)
        done = _add(done, counts, taken)
        work.note(done)
        if known is not None and not done.complete and done.bad > options.max_bad * known:
            work.finish_bad(done, score.bad_schema)
            refuse_too_many(done, options.max_bad, known, work.bad_target)
    return done


class _Part:
    """The batches of one part; afterwards, where it ended."""

    def __init__(
        self, scored: Iterator[tuple[Batch, Predicted]], rows: int, progress: Progress
    ) -> None:
        self._scored, self._rows, self._progress = scored, rows, progress
        self.after: Position | None = None
        self.complete = False

    def __iter__(self) -> Iterator[Predicted]:
        rows = 0
        while rows < self._rows:
            batch, predicted = next(self._scored, (None, None))
            if batch is None or predicted is None:
                self.complete = True
                return
            self.after = batch.after
            found = len(predicted.good) + len(predicted.bad)
            rows += found
            self._progress.advance(found, batch.done)
            yield predicted


def _add(done: Done, counts: dict[str, int], part: _Part) -> Done:
    violations = dict(done.violations)
    for reason, count in counts.items():
        if reason not in ("good", "bad"):
            violations[reason] = violations.get(reason, 0) + count
    return Done(
        position=part.after or done.position,
        parts=done.parts + 1,
        rows=done.rows + counts["good"] + counts["bad"],
        bad=done.bad + counts["bad"],
        violations=violations,
        complete=part.complete,
    )


def in_order(
    score: Callable[[Batch], Predicted], batches: Iterator[Batch], threads: int
) -> Iterator[tuple[Batch, Predicted]]:
    """Batches and what came of them, in their order, several at a time."""
    waiting: deque[tuple[Batch, Future[Predicted]]] = deque()
    with ThreadPoolExecutor(max(threads, 1), "score") as pool:
        for batch in batches:
            waiting.append((batch, pool.submit(score, batch)))
            while len(waiting) > threads:
                first, future = waiting.popleft()
                yield first, future.result()
        for first, future in waiting:
            yield first, future.result()


def ahead(items: Iterator[Item], count: int) -> Iterator[Item]:
    """The items, so many of them made ahead by a thread; it ends when nobody takes more."""
    queue: Queue[Any] = Queue(count)
    stop, end = Event(), object()

    def fill() -> None:
        try:
            for item in items:
                queue.put(item)
                if stop.is_set():
                    return
            queue.put(end)
        except BaseException as error:
            queue.put(error)

    Thread(target=fill, name="read", daemon=True).start()
    try:
        while (item := queue.get()) is not end:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()
        while not queue.empty():
            queue.get()
