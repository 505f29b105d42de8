"""Judge whether the checkout's model is better than that of a revision."""

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
from machinery.pipeline.paths import CONTRACT, GATE, MODEL_INFO, PARAMS, PREDICTIONS
from machinery.pipeline.statistics.slices import slices
from machinery.versions import git, storage

from .champion import score, training_overlap
from .comparison import Comparison, Scored, compare
from .side import AbsentError, Side, default_branch, find_challenger, find_champion

if TYPE_CHECKING:
    import pandas as pd


@dataclass
class Judgement:
    """The content of the report."""

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
    rows: "pd.DataFrame | None" = None  # the test predictions, if available
    predictions: dict[str, NDArray[Any]] = field(default_factory=dict)  # of these rows, by model
    overlap: str | None = None  # how the champion was trained on these rows
    comparison: Comparison | None = None
    obstacle: str | None = None  # why there is no comparison

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

    def refusals(self) -> list[str]:
        """Why `--check` fails."""
        failed = [check["name"] for check in self.gate["checks"] if not check["passed"]]
        passed = self.gate["passed"] and not failed
        reasons = [] if passed else [f"the gate failed ({', '.join(failed)})"]
        if self.verdict == "worse":
            reasons.append(f"{self.headline} is worse than at {self.against}")
        if self.rows is None:
            reasons.append(f"there are no test predictions ({self.obstacle})")
        return reasons


def judge(against: str | None = None, spread: ParallelMap = local_map) -> Judgement:
    """Compare the checkout with a revision, or with the remote's default branch.

    Nothing is compared if the test predictions are not available, as in a fork's job.

    Raises:
        UserError: for an unknown revision, or a checkout without a run.
    """
    against = against or default_branch()
    champion, challenger = find_champion(against), find_challenger()
    document = challenger.document(PARAMS)
    judgement = Judgement(
        against=against,
        champion=champion,
        challenger=challenger,
        contract=contracts.parse(challenger.document(CONTRACT)),
        split=params.parse(Split, document),
        select=params.parse(Select, document),
        evaluate=params.parse(Evaluate, document),
        report=params.parse(Report, document),
        gate=challenger.document(GATE),
        stale=tuple(storage.stale()),
    )
    agreement.require(document, judgement.contract)
    if champion is not None:
        commits = f"{challenger.version.base}..{champion.version.base}"
        judgement.behind = int(git.run("rev-list", "--count", commits))
    try:
        judgement.rows = read_table(challenger.file(PREDICTIONS))
        judgement.predictions = {"challenger": judgement.contract.gather(judgement.rows)}
        if champion is not None:
            _compare(judgement, champion, judgement.rows, spread)
    except AbsentError as error:
        judgement.obstacle = str(error)
    return judgement


def _compare(
    judgement: Judgement, champion: Side, rows: "pd.DataFrame", spread: ParallelMap
) -> None:
    """Add what needs the test rows, or the reason why the models cannot be compared on them."""
    challenger, by, settings = judgement.challenger, judgement.split.by, judgement.evaluate
    contract, prediction = judgement.contract, judgement.predictions["challenger"]
    try:
        old = score(champion, challenger, rows, contract)
        judgement.predictions = {"champion": old, "challenger": prediction}
        judgement.overlap = training_overlap(champion, challenger, rows, contract, by)
        unit, groups = units(rows, contract, by)
        judgement.comparison = compare(
            contract.task,
            contract.encode(rows[contract.target]),
            _scored(champion, old, judgement),
            _scored(challenger, prediction, judgement),
            judgement.headline,
            judgement.report,
            bins=settings.bins,
            unit=unit,
            groups=groups,
            slices=slices(rows, settings.slices, settings.slice_min_rows),
            spread=spread,
        )
    except UserError as error:
        judgement.obstacle = str(error)


def _scored(side: Side, prediction: NDArray[Any], judgement: Judgement) -> Scored:
    facts = {name: side.fact(MODEL_INFO, name) for name in ("threshold", "conformal_quantile")}
    return Scored(prediction, rule(facts), judgement.select.coverage)
