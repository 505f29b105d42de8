"""Keep one open issue per alarm of `monitor` at the code host.

An issue is identified by a marker in its text, which anyone can write, so only an issue that the
job's own token has written is ours.
"""

import re
from collections.abc import Mapping
from typing import Any

from machinery.monitoring.rule import newest_verdict
from machinery.pipeline.files import read_json
from machinery.pipeline.markdown import code, estimate, plain, table

from .job import CodeHostError, Job, Post, find_job
from .retrain import MONITORING

MARKER = "<!-- monitoring of {}: {} -->"
WITHOUT_OUTCOMES = ("quality", "skew", "freshness")  # alarms that need no outcomes
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

{metrics}

{counts}

The rule says {answer}: {why}.

## What to do

Choose one; `docs/runbook.md` says more under {section}.

- **Retrain** if the world has changed: run `{command} retrain --anyway`, or the job `retrain`. It
  opens a pull request whose first line says whether the new model is better.
- **Roll back** if a new model, or its input data, is at fault: `{command} rollback VERSION`.
- **Accept** if the model cannot do better: raise {limit} under `monitor.limits` in `params.yaml`,
  and commit.

Each run of the job updates this text, and closes the issue when the alarm is over. An issue that
is closed by hand is opened again as long as the alarm lasts.

{marker}
"""


def alarms(command: str) -> None:
    """Open, update and close issues; outside of a CI job print what it would do.

    Raises:
        CodeHostError: when the code host refuses.
    """
    if not MONITORING.exists():
        print(f"There is no {MONITORING}: nothing is monitored, and no issue is changed.")
        return
    report, job = read_json(MONITORING), find_job()
    bodies = {alarm["name"]: _body(alarm, report, command) for alarm in report["alarms"]}
    if job is None:
        for name, body in bodies.items():
            print(f"Would open or update: {_title(name)}\n\n{body}")
        print("Would close the issues of all other alarms. This is not a CI job: nothing is done.")
        return
    if not job.token:
        raise CodeHostError("the job has no token to write issues with; on GitLab set REPO_TOKEN")
    issues = _own_issues(job, command)
    for name, body in bodies.items():
        print(f"{_save(job, _title(name), body, issues.get(name))}: {_title(name)}")
    latest, judged = _window(report, report["latest"]), newest_verdict(report["windows"])
    for name in issues.keys() - bodies.keys():
        window = latest if name in WITHOUT_OUTCOMES else judged
        if window and window["over"]:
            comment = f"The alarm is over in the window {code(window['name'])}."
            job.close_issue(issues[name], comment)
            print(f"Closed: {_title(name)}")
        else:
            print(f"Left open, for lack of outcomes: {_title(name)}")


def _title(name: str) -> str:
    return f"Monitoring: {name}"


def _window(report: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return dict(next(window for window in report["windows"] if window["name"] == name))


def _body(alarm: Mapping[str, Any], report: Mapping[str, Any], command: str) -> str:
    """The text of an issue, which changes only with its values."""
    name, window, rule = alarm["name"], _window(report, alarm["window"]), report["retrain"]
    metrics = [[code(metric), estimate(value)] for metric, value in window["figures"].items()]
    model = code(window["model_version"])
    return BODY.format(
        name=plain(name),
        window=code(alarm["window"]),
        sentence=plain(alarm["sentence"]),
        metrics=table(["metric", "value"], metrics),
        counts=f"The model {model} answered {window['rows']:,} rows; {window['labelled']:,} have "
        "an outcome.",
        answer="to retrain" if rule["answer"] else "not to retrain",
        why=plain(rule["why"]),
        section=code(RUNBOOK.get(name, "An alert of the model")),
        command=command,
        limit=LIMITS.get(name, f"`{name}`"),
        marker=MARKER.format(command, name),
    )


def _own_issues(job: Job, command: str) -> dict[str, Post]:
    """Our oldest open issue of each alarm."""
    marker = MARKER.format(re.escape(command), "([a-z]+)")
    ending = re.compile(rf"(?:.*\n)?{marker}\s*", re.DOTALL)
    issues: dict[str, Post] = {}
    for issue in sorted(job.issues(), key=lambda issue: int(issue.id)):
        if issue.own and (match := ending.fullmatch(issue.body)):
            issues.setdefault(match[1], issue)
    return issues


def _save(job: Job, title: str, body: str, issue: Post | None) -> str:
    """Open or update the issue; return what was done."""
    if issue and issue.body.replace("\r\n", "\n").strip() == body.strip():
        return "Unchanged"
    job.save_issue(title, body, issue)
    return "Updated" if issue else "Opened"
