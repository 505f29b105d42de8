"""judgement: a revision in; whether the checkout's model is better than the one there, out."""

from dataclasses import dataclass
from typing import Any, Literal

from numpy.typing import NDArray

from machinery.pipeline.data import contract
from machinery.pipeline.statistics import metrics
from machinery.pipeline import params
from machinery.pipeline.data.contract import Contract
from machinery.pipeline.model.decision import rule
from machinery.pipeline.files import UserError
from machinery.pipeline.params import Evaluate, Report, Select, Split
from machinery.pipeline.paths import CONTRACT, GATE, MODEL_INFO, PARAMS, PREDICTIONS
from machinery.versions import git
from . import champion as champions
from .comparison import Comparison, Scored, compare
from .rows import Rows, read
from .side import AbsentError, Side, champion, checkout, default_branch
from .staleness import stale

Verdict = Literal["better", "worse", "no significant difference", "not compared", "no champion"]


@dataclass(frozen=True)
class Judgement:
    """All that the report tells of the two models."""

    against: str
    champion: Side | None
    challenger: Side
    rows: Rows | None  # None where they cannot be had: git's documents tell the rest
    contract: Contract
    select: Select
    evaluate: Evaluate
    dials: Report
    comparison: Comparison | None
    why_not: str | None  # there is no comparison
    prediction: NDArray[Any] | None  # the champion's, of these rows
    seen: str | None  # how the champion has learned from them
    behind: int  # commits of the champion's history that the challenger's lacks
    stale: list[str]  # what is not as dvc.lock records it

    @property
    def verdict(self) -> Verdict:
        """In a word."""
        if self.champion is None:
            return "no champion"
        if self.comparison is None:
            return "not compared"
        outcome = self.comparison.headline.outcome
        return outcome if outcome != "different" else "no significant difference"

    @property
    def gate(self) -> dict[str, Any]:
        """The challenger's."""
        found: dict[str, Any] = self.challenger.document(GATE)
        return found

    def refusals(self) -> list[str]:
        """Why `--check` says no."""
        failed = [check["name"] for check in self.gate["checks"] if not check["passed"]]
        reasons = [] if self.gate["passed"] else [f"the gate said no ({', '.join(failed)})"]
        if self.verdict == "worse":
            reasons.append(f"{self.select.headline} is worse than at {self.against}")
        if self.rows is None:
            reasons.append(f"the test predictions cannot be had ({self.why_not})")
        return reasons


def judge(against: str | None = None) -> Judgement:
    """Compare the checkout with a revision, or with the remote's default branch.

    Where the test predictions cannot be had, as in a fork's job, nothing is compared. Raises
    UserError for an unknown revision, or where the checkout has no run to report on.
    """
    against = against or default_branch()
    theirs, ours = champion(against), checkout()
    data, dials = contract.parse(ours.document(CONTRACT)), _Dials(ours)
    metrics.require(dials.select.headline, data.task)
    rows, comparison, prediction, why_not, seen = None, None, None, None, None
    try:
        rows = Rows(read(ours.file(PREDICTIONS)), data)
    except AbsentError as error:
        why_not = " ".join(str(error).split())
    if theirs is not None and rows is not None:
        try:
            prediction = champions.score(theirs, ours, rows)
            seen = champions.seen(theirs, ours, rows, dials.split.by)
            comparison = _compare(theirs, ours, rows, prediction, dials)
        except UserError as error:
            why_not = " ".join(str(error).split())
    return Judgement(
        against=against,
        champion=theirs,
        challenger=ours,
        rows=rows,
        contract=data,
        select=dials.select,
        evaluate=dials.evaluate,
        dials=dials.report,
        comparison=comparison,
        why_not=why_not,
        prediction=prediction,
        seen=seen,
        behind=_behind(theirs, ours) if theirs else 0,
        stale=stale(ours),
    )


class _Dials:
    """The sections of params.yaml that a report needs, from one reading of it."""

    def __init__(self, side: Side) -> None:
        document = side.document(PARAMS)
        self.split = params.parse(Split, document)
        self.select = params.parse(Select, document)
        self.evaluate = params.parse(Evaluate, document)
        self.report = params.parse(Report, document)


def _behind(theirs: Side, ours: Side) -> int:
    return int(git.run("rev-list", "--count", f"{ours.version.base}..{theirs.version.base}"))


def _compare(
    theirs: Side, ours: Side, rows: Rows, prediction: NDArray[Any], dials: _Dials
) -> Comparison:
    unit, groups = rows.units(dials.split.by)
    return compare(
        rows.contract.task,
        rows.target,
        _scored(theirs, prediction, dials.select.coverage),
        _scored(ours, rows.prediction, dials.select.coverage),
        dials.select.headline,
        dials.report,
        bins=dials.evaluate.bins,
        unit=unit,
        groups=groups,
        slices=rows.slices(dials.evaluate.slices, dials.evaluate.slice_min_rows),
    )


def _scored(side: Side, prediction: NDArray[Any], coverage: float) -> Scored:
    facts = {name: side.fact(MODEL_INFO, name) for name in ("threshold", "conformal_quantile")}
    return Scored(prediction, *rule(facts), coverage)
