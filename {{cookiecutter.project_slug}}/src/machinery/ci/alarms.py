"""alarms: what `monitor` found in; one open issue an alarm, at the code host, out.

An issue is found by a marker in its text, which anyone can write: only what the job's own token has
written is ours.
"""

import re
from collections.abc import Mapping
from typing import Any

from machinery.monitoring.rule import newest_verdict
from machinery.pipeline.files import read_json
from machinery.pipeline.markdown import code, estimate, plain, table

from .host import Comment, FailedError, Host, host
from .retrain import MONITORING

MARKER = "<!-- monitoring of {}: {} -->"
WITHOUT_OUTCOMES = ("quality", "skew", "freshness")  # are seen in a window without outcomes, too
RUNBOOK = {
    "calibration": "ModelCalibration",
    "headline": "ModelHeadline",
    "coverage": "ModelCoverage",
    "estimate": "ModelEstimate",
    "quality": "DataQuality",
    "skew": "FeatureSkew",
    "freshness": "MonitoringFreshness",
}
LIMITS = {"quality": "`quality` or `volume`", "freshness": "`model_age_days` or `data_age_days`"}
BODY = """\
**{name}** in {window}: {sentence}.

{figures}

{counts}

The rule says {answer}: {why}.

## What to do

A person picks one; `docs/runbook.md` says more under {section}.

- **Retrain**, when the world has changed: `{command} retrain --anyway`, or the job `retrain`. It
  opens a pull request whose first line says whether the new model is better.
- **Roll back**, when a new model, or what feeds it, is at fault: `{command} rollback VERSION`.
- **Accept**, when the model does what it can: raise {limit} under `monitor.limits` in
  `params.yaml`, and commit.

Each run of the job brings this text up to date, and closes the issue when the alarm is over.
Closed by hand, it is opened anew while the alarm lasts.

{marker}
"""


def alarms(command: str) -> None:
    """Open, update and close issues; outside of a CI job print what it would do.

    Raises:
        FailedError: when the code host refuses.
    """
    if not MONITORING.exists():
        print(f"There is no {MONITORING}: nothing is monitored, and no issue is touched.")
        return
    found, where = read_json(MONITORING), host()
    wanted = {each["name"]: _body(each, found, command) for each in found["alarms"]}
    if where is None:
        for name, body in wanted.items():
            print(f"Would open or update: {_title(name)}\n\n{body}")
        print("Would close the issues of all other alarms. This is no CI job: nothing is done.")
        return
    if not where.job.token:
        raise FailedError("the job has no token to write issues with; on GitLab set REPO_TOKEN")
    ours = _ours(where.issues(), command)
    for name, body in wanted.items():
        print(f"{_written(where, ours.get(name), _title(name), body)}: {_title(name)}")
    latest = _window(found, found["latest"])
    for name in ours.keys() - wanted.keys():
        window = latest if latest["over"] else None
        if name not in WITHOUT_OUTCOMES:
            window = newest_verdict(found["windows"])
        if window is not None:
            _close(where, ours[name], f"The alarm is over in the window {code(window['name'])}.")
            print(f"Closed: {_title(name)}")
        else:
            print(f"Open as it was, for lack of outcomes: {_title(name)}")


def _title(name: str) -> str:
    return f"Monitoring: {name}"


def _window(found: dict[str, Any], name: str) -> Mapping[str, Any]:
    return dict(next(each for each in found["windows"] if each["name"] == name))


def _body(alarm: dict[str, Any], found: dict[str, Any], command: str) -> str:
    """The text of an issue; the same while the figures are."""
    name, window, rule = alarm["name"], _window(found, alarm["window"]), found["retrain"]
    rows, labelled = (f"{window[each]:,}" for each in ("rows", "labelled"))
    figures = [[code(of), estimate(figure)] for of, figure in window["figures"].items()]
    model = code(window["model_version"])
    return BODY.format(
        name=plain(name),
        window=code(alarm["window"]),
        sentence=plain(alarm["sentence"]),
        figures=table(["figure", "value"], figures),
        counts=f"{rows} rows were answered by the model {model}; {labelled} have an outcome.",
        answer="to retrain" if rule["answer"] else "not to retrain",
        why=plain(rule["why"]),
        section=code(RUNBOOK.get(name, "An alert of the model")),
        command=command,
        limit=LIMITS.get(name, f"`{name}`"),
        marker=MARKER.format(command, name),
    )


def _ours(issues: list[Comment], command: str) -> dict[str, Comment]:
    """The first of our issues of each alarm."""
    last = re.compile(rf"(?:.*\n)?{MARKER.format(re.escape(command), '([a-z]+)')}\s*", re.DOTALL)
    marked = [(last.fullmatch(each.body), each) for each in issues if each.mine]
    first = sorted((int(each.id), match[1], each) for match, each in marked if match)
    return {name: each for _, name, each in reversed(first)}


def _written(where: Host, issue: Comment | None, title: str, body: str) -> str:
    """Open the issue, or bring it up to date; say what was done."""
    text = "body" if where.job.host == "github" else "description"
    if issue is None:
        where.call("POST", "issues", {"title": title, text: body})
        return "Opened"
    if issue.body.replace("\r\n", "\n").strip() == body.strip():
        return "Unchanged"
    where.call(_change(where), f"issues/{issue.id}", {text: body})
    return "Updated"


def _close(where: Host, issue: Comment, why: str) -> None:
    github = where.job.host == "github"
    where.call("POST", f"issues/{issue.id}/{'comments' if github else 'notes'}", {"body": why})
    closed = {"state": "closed"} if github else {"state_event": "close"}
    where.call(_change(where), f"issues/{issue.id}", closed)


def _change(where: Host) -> str:
    return "PATCH" if where.job.host == "github" else "PUT"
