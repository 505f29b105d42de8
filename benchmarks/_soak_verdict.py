"""_soak_verdict: what clients saw and what the prediction log holds in; what did not hold, out."""

from collections import Counter
from statistics import median
from typing import Any

from _soak_load import Record

FLUSH = 1.0  # seconds between flushes of the prediction log
MOMENT = 1.0  # what a flush under way, and an answer under way, may take on a busy machine
PART = 1 / 5  # of the time: the first minute of five, and the last
GROWTH, MEGABYTES = 1.15, 20.0  # of a worker's memory between them; it has to warm up

Logged = dict[str, dict[int, tuple[str, float]]]  # by request and row: the model and the value


def verdict(record: Record, logged: list[list[Any]], page: str, seconds: float) -> list[str]:
    """Print what was seen; give what did not hold."""
    faults = [f"a wrong answer: {each}" for each in record.wrong[:3]]
    faults += of_requests(record) + of_models(record, page) + of_log(record, logged)
    return faults + of_memory(record, seconds)


def of_requests(record: Record) -> list[str]:
    """Every request is answered, but those that a killed worker had in its hands."""
    rows = sum(len(each.values) for each in record.answers.values())
    print(f"requests  {len(record.answers)} answered ({rows} rows), {len(record.broken)} cut off")
    odd = {status: count for status, count in record.statuses.items() if status != 200}
    faults = [f"answers with another status than 200: {odd}"] if odd else []
    alone = [each for each in record.broken if not after_a_kill(each, record)]
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


def before_a_kill(moment: float, record: Record) -> bool:
    """Whether a worker was killed before it had to write what it was handed at that moment."""
    return any(moment - MOMENT / 2 <= kill <= moment + FLUSH + MOMENT for kill in record.kills)


def counted(page: str, words: str) -> float:
    """The sum of a metric's lines that hold these words."""
    lines = [line for line in page.splitlines() if words in line and not line.startswith("#")]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def of_log(record: Record, logged: list[list[Any]]) -> list[str]:
    """Every answer stands in the log once, as it was given, but what a kill may cost."""
    found: Logged = {}
    told, twice = set(), 0
    for request, row, model, value, outcome in zip(*logged, strict=True):
        rows = found.setdefault(request, {})
        twice += row in rows
        rows[row] = (model, value)
        if outcome:
            told.add(request)
    lost = {each for each in record.answers if each not in found}
    changed = [each for each in record.answers.keys() & found if not same(record, found, each)]
    strange = found.keys() - record.sent
    alone = [each for each in lost if not before_a_kill(record.answers[each].moment, record)]
    unheard = {each for each in record.outcomes if each not in told} - lost
    silent = [each for each in unheard if not before_a_kill(record.outcomes[each], record)]
    age = oldest(record, lost)
    print(f"log       {sum(map(len, found.values()))} rows of {len(found)} requests")
    print(f"          lost by kills: {len(lost)} answers, none older than {age:.1f} s")
    print(f"          logged but cut off before the answer: {len(found.keys() - record.answers)}")
    print(f"feedback  {len(record.outcomes)} accepted, {len(unheard)} lost by kills")
    claims = {
        f"{twice} rows stand in the log twice": twice,
        f"{len(changed)} answers stand otherwise in the log, as {changed[:3]}": changed,
        f"the log has requests that nobody sent, as {[*strange][:3]}": strange,
        f"{len(alone)} answers are lost without a kill, as {alone[:3]}": alone,
        f"{len(silent)} outcomes are lost without a kill, as {silent[:3]}": silent,
    }
    return [claim for claim, fault in claims.items() if fault]


def oldest(record: Record, lost: set[str]) -> float:
    """How long before the next kill the first of the answers lost was given."""
    ages = [kill - record.answers[each].moment for each in lost for kill in record.kills]
    return max((age for age in ages if age <= FLUSH + MOMENT), default=0.0)


def same(record: Record, found: Logged, request: str) -> bool:
    """Whether all rows of an answer are in the log, by the same model and with the same values."""
    answer, rows = record.answers[request], found[request]
    return len(rows) == len(answer.values) and all(
        rows[row][0] == answer.model and abs(rows[row][1] - value) < 1e-6
        for row, value in enumerate(answer.values)
    )


def of_memory(record: Record, seconds: float) -> list[str]:
    """The worker that lived throughout holds no more at the end than at the beginning."""
    seen = max(record.memory.values(), key=len)
    start, end, part = seen[0][0], seen[-1][0], seconds * PART
    first = median(size for moment, size in seen if moment <= start + part)
    last = median(size for moment, size in seen if moment >= end - part)
    most = max(size for each in record.memory.values() for _, size in each)
    print(f"memory    MB of a worker: {first:.0f} in the first fifth of the time, {last:.0f} in")
    print(f"          the last; at most {most:.0f} in any")
    grown = last > first * GROWTH + MEGABYTES
    return [f"a worker grew from {first:.0f} to {last:.0f} MB"] if grown else []
