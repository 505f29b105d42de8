"""The report of a judgement as Markdown, short enough for the comment of any code host."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from machinery.pipeline.files import UserError
from machinery.pipeline.markdown import code, first_names, number, plain
from machinery.pipeline.paths import TEST

from . import lineage, tables
from .changes import sections
from .drawing import curves
from .judgement import Judgement

LIMIT = 59_000  # bytes; code hosts take 65,536 characters, with what else is in the comment
LEFT_OUT = "_Left out, since the report would be too long._"


@dataclass(frozen=True)
class Part:
    """A section of the report."""

    title: str
    body: str
    folded: bool = False

    def __str__(self) -> str:
        """As Markdown, with the blank lines that it needs within HTML."""
        if not self.folded:
            return f"### {self.title}\n\n{self.body}"
        return f"<details>\n<summary><b>{self.title}</b></summary>\n\n{self.body}\n\n</details>"


def text(judgement: Judgement, command: str) -> str:
    """The whole report: the verdict is its first line."""
    return fit([verdict(judgement), *notes(judgement)], list(_parts(judgement, command)), LIMIT)


def fit(head: Sequence[str], parts: Sequence[Part], limit: int) -> str:
    """Head and parts as one text of at most `limit` bytes, without the longest parts if needed."""
    text = "\n\n".join([*head, *map(str, parts)]) + "\n"
    longest = max(parts, key=lambda part: len(part.body))
    if len(text.encode()) <= limit or longest.body == LEFT_OUT:
        return text
    fewer = [replace(part, body=LEFT_OUT) if part is longest else part for part in parts]
    return fit(head, fewer, limit)


def verdict(judgement: Judgement) -> str:
    """Better, worse, or no significant difference, with the values, in one line."""
    comparison, headline = judgement.comparison, judgement.headline
    if comparison is None:
        rows = judgement.rows
        place = "as recorded" if rows is None else f"on {len(rows):,} test rows"
        value = tables.recorded(judgement.challenger, headline)
        reason = f"**Not compared**: {plain(judgement.obstacle)}"
        if judgement.champion is None:
            against = code(judgement.against)
            reason = f"**No champion**: there is no model at {against} to compare with"
        return f"{reason}; {headline} {value} {place}"
    line, word = comparison.headline, judgement.verdict
    values = f"{headline} {number(line.champion)} → {number(line.challenger)}"
    values += f", {tables.change(line.difference)} on the same {comparison.rows:,} test rows"
    if word == "no relevant difference":
        values += f"; significant, but below report.relevant, {judgement.report.relevant:g}"
    return f"**{word[0].upper()}{word[1:]}**: {values}"


def notes(judgement: Judgement) -> Iterator[str]:
    """What qualifies the verdict."""
    yield " ".join(_summary(judgement))
    if judgement.overlap:
        yield f"> **Note**: the champion has an unfair advantage here: {plain(judgement.overlap)}."
    if judgement.behind:
        commits = "1 commit" if judgement.behind == 1 else f"{judgement.behind:,} commits"
        ahead = f"{code(judgement.against)} has {commits} that this branch lacks"
        yield f"> **Note**: {ahead}: their changes appear here in reverse."
    champion = judgement.champion
    if champion and champion.md5(TEST) != judgement.challenger.md5(TEST):
        value = f"{judgement.headline} {tables.recorded(champion, judgement.headline)}"
        yield f"> **Note**: the test table changed; on its own the champion had {value}."
    if judgement.stale:
        reasons = first_names(map(plain, judgement.stale))
        yield f"> **Stale**: {reasons}. Run `dvc repro`: these results may be outdated."


def _summary(judgement: Judgement) -> Iterator[str]:
    if judgement.champion is not None:
        yield f"Against {code(judgement.champion)}."
    checks = judgement.gate["checks"]
    if failed := [code(check["name"]) for check in checks if not check["passed"]]:
        yield f"**The gate failed**: {first_names(failed)} of {len(checks)} checks."
    else:
        yield f"The gate passed all {len(checks)} checks."
    if comparison := judgement.comparison:
        if comparison.same:
            yield "Both models predict the same for every row."
        worse, compared = comparison.worse_slices, len(comparison.slices)
        if worse:
            names = first_names(f"{code(part.column)} {code(part.value)}" for part in worse)
            yield f"**{len(worse)} of {compared} slices got significantly worse**: {names}."
        elif compared:
            yield f"None of {compared} slices got significantly worse."


def _parts(judgement: Judgement, command: str) -> Iterator[Part]:
    """All sections below the notes."""
    yield Part("Metrics", tables.metrics(judgement))
    if judgement.comparison and (slices := tables.slices(judgement)):
        yield Part("Slices", slices, folded=not judgement.comparison.worse_slices)
    yield Part("Gate", tables.gate(judgement), folded=bool(judgement.gate["passed"]))
    if judgement.champion is not None:
        try:
            for title, markdown in sections(judgement.champion, judgement.challenger):
                yield Part(f"What changed: {title}", markdown, folded=True)
        except UserError as error:
            yield Part("What changed", f"Unknown: {plain(error)}.")
    if judgement.rows is not None:
        contract = judgement.contract
        target = contract.encode(judgement.rows[contract.target])
        plots = curves(contract.task, target, judgement.predictions)
        yield Part("Curves", plots or "None of the models can be drawn.", folded=True)
    title = "Lineage, and how to reproduce this report"
    yield Part(title, lineage.lineage(judgement, command))
