"""rule: the windows in; whether to retrain, and why, out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from machinery.pipeline.params import Retrain


@dataclass(frozen=True)
class Judged:
    """A window that is over, its model, and the limits that it violates; None if unknown."""

    name: str
    end: datetime
    version: str
    violations: frozenset[str] | None


def newest_verdict(windows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The newest window of monitoring.json that is over and has enough outcomes."""
    return next((each for each in reversed(windows) if each["over"] and each["enough"]), None)


def judged(window: Mapping[str, Any]) -> Judged:
    """The window of monitoring.json."""
    violations = frozenset(window["violations"]) if window["enough"] else None
    end = datetime.fromisoformat(window["to"])
    return Judged(window["name"], end, window["model_version"], violations)


def decide(
    windows: Sequence[Judged], settings: Retrain, trained_until: datetime | None
) -> dict[str, Any]:
    """Retrain when `violated` of the last windows violate what counts, the latest among them.

    Windows, oldest first, count when they have a verdict, and the model of the latest of these
    answered them. For the days of the cool-down after the newest row that the model learned from,
    the answer is no.
    """
    needed, last = settings.violated, settings.windows
    rule = f"{needed} of the last {last} windows, the latest among them, by"
    answer: dict[str, Any] = {"answer": False, "rule": f"{rule} {', '.join(settings.counts)}"}
    known = [each for each in windows if each.violations is not None]
    if not known:
        return {**answer, "why": "no window that is over has enough rows with outcomes"}
    latest = known[-1]
    some_of = [each for each in known if each.version == latest.version][-last:]
    violated = [each for each in some_of if each.violations & {*settings.counts}]  # type: ignore[operator]
    figures = f"{len(violated)} of the last {len(some_of)} windows violate"
    if violated:
        told = (f"{each.name}: {', '.join(sorted(each.violations or ()))}" for each in violated)
        figures += f" ({'; '.join(told)})"
    if not violated:
        none = f"none of the last {len(some_of)} windows violates"
        return {**answer, "why": f"{none} {', '.join(settings.counts)}"}
    if latest not in violated:
        return {**answer, "why": f"{figures}, but not the latest, {latest.name}"}
    if len(violated) < needed:
        return {**answer, "why": f"{figures}; {needed} are needed"}
    ready = (trained_until or datetime.min) + timedelta(days=settings.cooldown_days)
    if latest.end < ready:
        return {**answer, "why": f"{figures}, but the cool-down lasts until {ready:%Y-%m-%d}"}
    return {**answer, "answer": True, "why": figures}
