"""judgement: a revision in; whether the checkout's model is better than the one there, out."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from machinery.pipeline import params
from machinery.pipeline.compute import ParallelMap, local_map
from machinery.pipeline.data import agreement
from machinery.pipeline.data import contract as contracts
from machinery.pipeline.data.contract import Contract
from machinery.pipeline.files import UserError, read_table
from machinery.pipeline.model.decision import rule
from machinery.pipeline.model.evaluation import units
from machinery.pipeline.params import Evaluate, Report, Select, Split
from machinery.pipeline.paths import CONTRACT, GATE, MODEL_INFO, PARAMS, PREDICTIONS, TEST
from machinery.pipeline.statistics.slices import slices
from machinery.versions import git, storage

from . import champion as champions
from .comparison import Comparison, Scored, compare
from .side import AbsentError, Side, champion, checkout, default_branch

if TYPE_CHECKING:
    import pandas as pd


@dataclass
class Judgement:
    """All that the report says of the two models."""

    against: str
    champion: Side | None
    challenger: Side
    contract: Contract
    split: Split
    select: Select
    evaluate: Evaluate
    report: Report
    gate: dict[str, Any]  # the challenger's gate.json
    behind: int = 0  # commits of the champion's history that the challenger's lacks
    stale: tuple[str, ...] = ()  # what changed since the pipeline ran
    rows: "pd.DataFrame | None" = None  # the test predictions, where they can be had
    predictions: dict[str, NDArray[Any]] = field(default_factory=dict)  # of these rows, by model
    seen: str | None = None  # how the champion was trained on them
    comparison: Comparison | None = None
    why_not: str | None = None  # there is no comparison

    @property
    def headline(self) -> str:
        """The metric that decides."""
        return self.select.headline

    @property
    def verdict(self) -> str:
        """Better, worse, no significant or relevant difference, not compared, or no champion."""
        if self.champion is None:
            return "no champion"
        if self.comparison is None:
            return "not compared"
        line = self.comparison.headline
        significant = line.outcome in ("better", "worse")
        if significant and abs(line.difference.value) < self.report.relevant:
            return "no relevant difference"
        return line.outcome

    @property
    def other_rows(self) -> bool:
        """Whether the champion was evaluated on another test table."""
        theirs = self.champion
        return theirs is not None and theirs.recorded(TEST) != self.challenger.recorded(TEST)

    def refusals(self) -> list[str]:
        """Why `--check` fails."""
        failed = [check["name"] for check in self.gate["checks"] if not check["passed"]]
        passed = self.gate["passed"] and not failed
        reasons = [] if passed else [f"the gate failed ({', '.join(failed)})"]
        if self.verdict == "worse":
            reasons.append(f"{self.headline} is worse than at {self.against}")
        if self.rows is None:
            reasons.append(f"there are no test predictions ({self.why_not})")
        return reasons


def judge(against: str | None = None, spread: ParallelMap = local_map) -> Judgement:
    """Compare the checkout with a revision, or with the remote's default branch.

    Where the test predictions cannot be had, as in a fork's job, nothing is compared. Raises
    UserError for an unknown revision, or where the checkout has no run to report on.
    """
    against = against or default_branch()
    theirs, ours = champion(against), checkout()
    document = ours.document(PARAMS)
    judged = Judgement(
        against=against,
        champion=theirs,
        challenger=ours,
        contract=contracts.parse(ours.document(CONTRACT)),
        split=params.parse(Split, document),
        select=params.parse(Select, document),
        evaluate=params.parse(Evaluate, document),
        report=params.parse(Report, document),
        gate=ours.document(GATE),
        stale=tuple(storage.stale()),
    )
    if theirs is not None:
        lacks = f"{ours.version.base}..{theirs.version.base}"
        judged.behind = int(git.run("rev-list", "--count", lacks))
    agreement.require(document, judged.contract)
    try:
        judged.rows = read_table(ours.file(PREDICTIONS))
        judged.predictions = {"challenger": judged.contract.gather(judged.rows)}
        if theirs is not None:
            _compare(judged, theirs, judged.rows, spread)
    except AbsentError as error:
        judged.why_not = str(error)
    return judged


def _compare(judged: Judgement, theirs: Side, rows: "pd.DataFrame", spread: ParallelMap) -> None:
    """Fill in what needs the test rows, or why the models cannot be compared on them."""
    ours, by, settings = judged.challenger, judged.split.by, judged.evaluate
    contract, prediction = judged.contract, judged.predictions["challenger"]
    try:
        was = champions.score(theirs, ours, rows, contract)
        judged.predictions = {"champion": was, "challenger": prediction}
        judged.seen = champions.seen(theirs, ours, rows, contract, by)
        unit, groups = units(rows, contract, by)
        judged.comparison = compare(
            contract.task,
            contract.encode(rows[contract.target]),
            _scored(theirs, was, judged),
            _scored(ours, prediction, judged),
            judged.headline,
            judged.report,
            bins=settings.bins,
            unit=unit,
            groups=groups,
            slices=slices(rows, settings.slices, settings.slice_min_rows),
            spread=spread,
        )
    except UserError as error:
        judged.why_not = str(error)


def _scored(side: Side, prediction: NDArray[Any], judged: Judgement) -> Scored:
    facts = {name: side.fact(MODEL_INFO, name) for name in ("threshold", "conformal_quantile")}
    return Scored(prediction, rule(facts), judged.select.coverage)
