"""text: a judgement in; the report as Markdown, short enough for any code host's comment, out."""

from collections.abc import Iterator

from machinery.pipeline.files import UserError
from machinery.pipeline.paths import METRICS
from . import lineage, tables
from .changes import sections
from .drawing import curves
from .escape import Markdown, code, plain
from .judgement import Judgement
from .length import Part, fit
from .tables import change, number

SHOWN = 3
LIMIT = 59_000  # characters; code hosts take 65,536, and something may be put in front


def text(judgement: Judgement, command: str) -> str:
    """The whole report: the verdict is its first line."""
    return fit([verdict(judgement), *notes(judgement)], list(_parts(judgement, command)), LIMIT)


def verdict(judgement: Judgement) -> str:
    """Better, worse, or no significant difference; in one line, with its figures."""
    found, headline = judgement.comparison, judgement.select.headline
    if found is None:
        figure = tables.absolute(judgement.challenger.document(METRICS).get(headline))
        tested = judgement.rows
        place = "as recorded" if tested is None else f"on {len(tested):,} test rows"
        here = f"{headline} {figure} {place}"
        if judgement.champion is None:
            against = code(judgement.against)
            return f"**No champion**: there is no model at {against} to compare with; {here}"
        return f"**Not compared**: {plain(judgement.why_not)}; {here}"
    line, word = found.headline, judgement.verdict
    figures = f"{headline} {number(line.champion)} → {number(line.challenger)}"
    rows = f"on the same {found.rows:,} test rows"
    return f"**{word[0].upper()}{word[1:]}**: {figures}, {change(line.difference)} {rows}"


def notes(judgement: Judgement) -> Iterator[str]:
    """What a reader must know beside the verdict."""
    yield " ".join(_summary(judgement))
    if judgement.seen:
        reason = f"the champion has an unfair advantage here: {plain(judgement.seen)}"
        yield f"> **Mind**: {reason}."
    if judgement.behind:
        commits = "1 commit" if judgement.behind == 1 else f"{judgement.behind:,} commits"
        ahead = f"{code(judgement.against)} has {commits} that this branch lacks"
        yield f"> **Mind**: {ahead}: what they changed appears here reversed."
    if judgement.stale:
        more = len(judgement.stale) - SHOWN
        reasons = "; ".join(map(plain, judgement.stale[:SHOWN]))
        others = f"; and {more} more like this" if more > 0 else ""
        yield f"> **Stale**: {reasons}{others}. Run `dvc repro`: these figures may not hold."


def _summary(judgement: Judgement) -> Iterator[str]:
    if judgement.champion is not None:
        yield f"Against {code(judgement.champion)}."
    failed = [code(check["name"]) for check in judgement.gate["checks"] if not check["passed"]]
    checks = len(judgement.gate["checks"])
    yield (
        f"The gate passed all {checks} checks."
        if judgement.gate["passed"]
        else (f"**The gate said no**: {', '.join(failed)} of {checks} checks.")
    )
    if found := judgement.comparison:
        if found.same:
            yield "Both models predict the same for every row."
        worse = ", ".join(f"{code(s.column)} {code(s.value)}" for s in found.worse_slices[:10])
        tested = f"of {len(found.slices)} slices"
        if worse:
            count = len(found.worse_slices)
            yield f"**{count} {tested} got worse beyond their interval**: {worse}."
        elif found.slices:
            yield f"None {tested} got worse beyond its interval."


def _parts(judgement: Judgement, command: str) -> Iterator[Part]:
    """All below the verdict, in the order of reading; what may go first has the lowest weight."""
    yield Part("Metrics", tables.metrics(judgement), weight=9)
    if judgement.comparison and judgement.comparison.slices:
        worse = bool(judgement.comparison.worse_slices)
        yield Part("Slices", tables.slices(judgement), weight=6, folded=not worse)
    folded = bool(judgement.gate["passed"])
    yield Part("Gate", tables.gate(judgement), weight=8, folded=folded)
    if test := tables.test_tables(judgement):
        yield Part("Test tables", test, weight=7)
    if judgement.champion is not None:
        yield from _changes(judgement)
    if drawn := _curves(judgement):
        yield Part("Curves", drawn, weight=3, folded=True)
    yield Part("Lineage, and how to reproduce this report", lineage.lineage(judgement, command), weight=8)


def _curves(judgement: Judgement) -> str:
    if judgement.rows is None:
        return ""
    predictions = {"challenger": judgement.rows.prediction}
    if judgement.prediction is not None:
        predictions = {"champion": judgement.prediction, **predictions}
    return curves(judgement.contract.task, judgement.rows.target, predictions)


def _changes(judgement: Judgement) -> Iterator[Part]:
    assert judgement.champion is not None
    try:
        for title, markdown in sections(judgement.champion, judgement.challenger):
            yield Part(f"What changed: {title}", markdown, weight=4, folded=True)
    except UserError as error:
        yield Part("What changed", Markdown(f"This cannot be told: {plain(error)}."), weight=4)
