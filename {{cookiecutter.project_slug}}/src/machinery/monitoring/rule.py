"""The rule for retraining, applied to the windows of monitoring.json, oldest first."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from machinery.pipeline.params import Retrain

Entry = Mapping[str, Any]


def newest_verdict(windows: Sequence[Entry]) -> Entry | None:
    """The newest window that is over and has enough outcomes."""
    return next((w for w in reversed(windows) if w["over"] and w["enough"]), None)


def decide(
    windows: Sequence[Entry], settings: Retrain, trained_until: datetime | None
) -> dict[str, Any]:
    """Retrain if `violated` of the last windows violate a limit that counts, the latest included.

    Only windows with a verdict count, and only those answered by the model of the latest one. The
    answer is no until the cool-down has passed since the newest row that the model learned from.
    """
    needed, limits = settings.violated, ", ".join(settings.counts)
    rule = f"{needed} of the last {settings.windows} windows, the latest among them, by {limits}"

    def answer(reason: str, retrain: bool = False) -> dict[str, Any]:
        return {"answer": retrain, "rule": rule, "why": reason}

    judged = [window for window in windows if window["over"] and window["enough"]]
    if not judged:
        return answer("no window that is over has enough rows with outcomes")
    latest = judged[-1]
    judged = [w for w in judged if w["model_version"] == latest["model_version"]]
    judged = judged[-settings.windows :]
    violated = [window for window in judged if {*window["violations"]} & {*settings.counts}]
    if not violated:
        return answer(f"none of the last {len(judged)} windows violates {limits}")
    names = (f"{window['name']}: {', '.join(sorted(window['violations']))}" for window in violated)
    count = f"{len(violated)} of the last {len(judged)} windows violate ({'; '.join(names)})"
    if latest is not violated[-1]:
        return answer(f"{count}, but not the latest, {latest['name']}")
    if len(violated) < needed:
        return answer(f"{count}; {needed} are needed")
    ready = (trained_until or datetime.min) + timedelta(days=settings.cooldown_days)
    if datetime.fromisoformat(latest["to"]) < ready:
        return answer(f"{count}, but the cool-down lasts until {ready:%Y-%m-%d}")
    return answer(count, retrain=True)
