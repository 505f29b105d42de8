"""_soak_verdict: what clients saw and what the prediction log holds in; what did not hold, out."""

from collections import Counter
from itertools import pairwise
from statistics import median
from typing import Any

from _soak_load import Record

MOMENT = 1.0  # second; an answer under way when its worker is killed
WARM = 100.0  # seconds; a worker that has run for less still warms up
GROWTH, GROWTH_IN_SHORT = 4.0, 8.0  # megabytes of a worker, from the third quarter to the last

Logged = dict[str, dict[int, tuple[str, float]]]  # by request and row: the model and the value


def verdict(record: Record, answers: list[list[Any]], outcomes: list[str], page: str) -> list[str]:
    """Print what was seen; give what did not hold."""
    faults = [f"a wrong answer: {each}" for each in record.wrong[:3]]
    faults += of_requests(record) + of_models(record, page) + of_log(record, answers, outcomes)
    return faults + of_memory(record)


def of_requests(record: Record) -> list[str]:
    """Every request is answered, but those that a killed worker had in its hands."""
    rows = sum(len(each.values) for each in record.answers.values())
    print(f"requests  {len(record.answers)} answered ({rows} rows), {len(record.broken)} cut off")
    odd = {status: count for status, count in record.statuses.items() if status != 200}
    faults = [f"answers with another status than 200: {odd}"] if odd else []
    alone = [each for each in record.broken.values() if not after_a_kill(each, record)]
    return faults + ([f"{len(alone)} requests were cut off without a kill"] if alone else [])


def of_models(record: Record, page: str) -> list[str]:
    """Both models have answered, and every bad one was refused."""
    used = Counter(each.model for each in record.answers.values())
    counts = ", ".join(f"{count} by {name}" for name, count in used.items())
    refused = counted(page, 'outcome="refused"')
    swapped = counted(page, 'outcome="swapped"')
    print(f"models    placed {record.swaps}, bad {record.bad}; answered {counts}")
    print(f"          the workers say: swapped {swapped:.0f}, refused {refused:.0f}")
    print(f"workers   killed {len(record.kills)}")
    faults = [] if len(used) == 2 else [f"only {list(used)} answered"]
    return faults + (["no bad model was refused"] if record.bad and not refused else [])


def after_a_kill(moment: float, record: Record) -> bool:
    """Whether a worker was killed just before."""
    return any(kill <= moment <= kill + MOMENT for kill in record.kills)


def counted(page: str, words: str) -> float:
    """The sum of a metric's lines that hold these words."""
    lines = [line for line in page.splitlines() if words in line and not line.startswith("#")]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def of_log(record: Record, answers: list[list[Any]], outcomes: list[str]) -> list[str]:
    """Every answer stands in the log once, as it was given, and every outcome that was accepted."""
    found: Logged = {}
    told, twice = set(), 0
    for request, row, model, value, outcome in zip(*answers, strict=True):
        rows = found.setdefault(request, {})
        twice += row in rows
        rows[row] = (model, value)
        if outcome:
            told.add(request)
    lost = record.answers.keys() - found
    changed = [each for each in record.answers.keys() & found if not same(record, found, each)]
    cut_off = found.keys() & record.broken
    strange = found.keys() - record.answers.keys() - record.broken.keys()
    unheard = record.outcomes - told
    again = len(outcomes) - len({*outcomes})
    print(f"log       {sum(map(len, found.values()))} rows of {len(found)} requests, of which")
    print(f"          {len(cut_off)} were cut off before the answer; {len(lost)} answers lost")
    print(f"feedback  {len(record.outcomes)} accepted, {len(unheard)} lost")
    claims = {
        f"{twice} rows stand in the log twice": twice,
        f"{again} outcomes stand in the log twice": again,
        f"{len(changed)} answers stand otherwise in the log, as {changed[:3]}": changed,
        f"the log has requests that had no answer, as {[*strange][:3]}": strange,
        f"{len(lost)} answers are lost, as {[*lost][:3]}": lost,
        f"{len(unheard)} outcomes are lost, as {[*unheard][:3]}": unheard,
    }
    return [claim for claim, fault in claims.items() if fault]


def same(record: Record, found: Logged, request: str) -> bool:
    """Whether all rows of an answer are in the log, by the same model and with the same values."""
    answer, rows = record.answers[request], found[request]
    return len(rows) == len(answer.values) and all(
        rows[row][0] == answer.model and abs(rows[row][1] - value) < 1e-6
        for row, value in enumerate(answer.values)
    )


def of_memory(record: Record) -> list[str]:
    """The worker that lived throughout holds no more in the last quarter of the time than before.

    A leak goes on for ever; what a worker takes to warm up, it takes in the first half.
    """
    seen = max(record.memory.values(), key=len)
    start, seconds = seen[0][0], seen[-1][0] - seen[0][0]
    ends = [start + seconds * quarter / 4 for quarter in range(5)]
    within = [
        [size for moment, size in seen if low <= moment <= high] for low, high in pairwise(ends)
    ]
    quarters = [median(sizes) for sizes in within]
    most = max(size for each in record.memory.values() for _, size in each)
    shown = ", ".join(f"{size:.1f}" for size in quarters)
    print(f"memory    MB of a worker by quarters of the time: {shown}; at most {most:.1f} in any")
    grown = quarters[3] - quarters[2]
    allowed = GROWTH if seconds > WARM else GROWTH_IN_SHORT
    return [f"a worker grew by {grown:.1f} MB in the last quarter"] if grown > allowed else []
