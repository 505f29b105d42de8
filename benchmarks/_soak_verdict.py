"""Compare the record of a soak with the prediction log, and list the violations."""

from collections import Counter
from itertools import pairwise
from statistics import median
from typing import Any

from _soak_load import Record

KILL_SECONDS = 1.0  # after a kill, in which requests may be cut off
WARM_UP = 100.0  # seconds that a worker needs to warm up
GROWTH, GROWTH_IN_SHORT = 4.0, 8.0  # megabytes, from the third quarter to the last

Logged = dict[str, dict[int, tuple[str, float]]]  # by request and row: the model and the value


def verdict(record: Record, answers: list[list[Any]], outcomes: list[str], page: str) -> list[str]:
    """Print a summary and return the violations."""
    faults = [f"a wrong answer: {message}" for message in record.wrong[:3]]
    faults += of_requests(record) + of_models(record, page) + of_log(record, answers, outcomes)
    return faults + of_memory(record)


def of_requests(record: Record) -> list[str]:
    """Every request is answered, except those that a killed worker was processing."""
    rows = sum(len(answer.values) for answer in record.answers.values())
    print(f"requests  {len(record.answers)} answered ({rows} rows), {len(record.broken)} cut off")
    odd = {status: count for status, count in record.statuses.items() if status != 200}
    faults = [f"answers with another status than 200: {odd}"] if odd else []
    alone = [moment for moment in record.broken.values() if not after_a_kill(moment, record)]
    return faults + ([f"{len(alone)} requests were cut off without a kill"] if alone else [])


def of_models(record: Record, page: str) -> list[str]:
    """Both models have answered, and every bad one was refused."""
    used = Counter(answer.model for answer in record.answers.values())
    counts = ", ".join(f"{count} by {name}" for name, count in used.items())
    refused = counted(page, 'outcome="refused"')
    swapped = counted(page, 'outcome="swapped"')
    print(f"models    placed {record.swaps}, bad {record.bad}; answered {counts}")
    print(f"          the workers say: swapped {swapped:.0f}, refused {refused:.0f}")
    print(f"workers   killed {len(record.kills)}")
    faults = [] if len(used) == 2 else [f"only {list(used)} answered"]
    return faults + (["no bad model was refused"] if record.bad and not refused else [])


def after_a_kill(moment: float, record: Record) -> bool:
    """Whether a worker was killed just before this moment."""
    return any(kill <= moment <= kill + KILL_SECONDS for kill in record.kills)


def counted(page: str, words: str) -> float:
    """The sum of the metric lines that contain these words."""
    lines = [line for line in page.splitlines() if words in line and not line.startswith("#")]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def of_log(record: Record, answers: list[list[Any]], outcomes: list[str]) -> list[str]:
    """Every answer is in the log once and unchanged, and so is every accepted outcome."""
    logged: Logged = {}
    with_outcome, duplicates = set(), 0
    for request, row, model, value, outcome in zip(*answers, strict=True):
        rows = logged.setdefault(request, {})
        duplicates += row in rows
        rows[row] = (model, value)
        if outcome:
            with_outcome.add(request)
    lost = record.answers.keys() - logged
    changed = [
        request for request in record.answers.keys() & logged if not same(record, logged, request)
    ]
    cut_off = logged.keys() & record.broken
    unknown = logged.keys() - record.answers.keys() - record.broken.keys()
    lost_outcomes = record.outcomes - with_outcome
    duplicate_outcomes = len(outcomes) - len({*outcomes})
    print(f"log       {sum(map(len, logged.values()))} rows of {len(logged)} requests, of which")
    print(f"          {len(cut_off)} were cut off before the answer; {len(lost)} answers lost")
    print(f"feedback  {len(record.outcomes)} accepted, {len(lost_outcomes)} lost")
    claims = {
        f"{duplicates} rows are in the log twice": duplicates,
        f"{duplicate_outcomes} outcomes are in the log twice": duplicate_outcomes,
        f"{len(changed)} answers differ in the log, e.g. {changed[:3]}": changed,
        f"the log has requests that had no answer, e.g. {[*unknown][:3]}": unknown,
        f"{len(lost)} answers are lost, e.g. {[*lost][:3]}": lost,
        f"{len(lost_outcomes)} outcomes are lost, e.g. {[*lost_outcomes][:3]}": lost_outcomes,
    }
    return [claim for claim, fault in claims.items() if fault]


def same(record: Record, logged: Logged, request: str) -> bool:
    """Whether all rows of an answer are in the log, by the same model and with the same values."""
    answer, rows = record.answers[request], logged[request]
    return len(rows) == len(answer.values) and all(
        rows[row][0] == answer.model and abs(rows[row][1] - value) < 1e-6
        for row, value in enumerate(answer.values)
    )


def of_memory(record: Record) -> list[str]:
    """The memory of the worker that was never killed does not grow in the last quarter.

    Warming up is over in the first half; a leak continues.
    """
    samples = max(record.memory.values(), key=len)
    start, seconds = samples[0][0], samples[-1][0] - samples[0][0]
    ends = [start + seconds * quarter / 4 for quarter in range(5)]
    within = [
        [size for moment, size in samples if low <= moment <= high] for low, high in pairwise(ends)
    ]
    quarters = [median(sizes) for sizes in within]
    most = max(size for sizes in record.memory.values() for _, size in sizes)
    shown = ", ".join(f"{size:.1f}" for size in quarters)
    print(f"memory    MB of a worker by quarters of the time: {shown}; at most {most:.1f} in any")
    grown = quarters[3] - quarters[2]
    allowed = GROWTH if seconds > WARM_UP else GROWTH_IN_SHORT
    return [f"a worker grew by {grown:.1f} MB in the last quarter"] if grown > allowed else []
