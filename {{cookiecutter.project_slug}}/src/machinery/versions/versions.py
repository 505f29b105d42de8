"""Read what git and DVC record at a revision, and since which commit each record holds."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

from machinery.pipeline.files import UserError, parse_yaml
from machinery.pipeline.paths import MODEL_INFO

from . import git
from .graph import Graph, Stage, parse

LOCK = "dvc.lock"
ENVIRONMENT = "requirements.lock"
SHORTEST = 8  # digits of an abbreviated hash
FORMAT = "%x00".join(("%H", "%P", "%an", "%aI", "%s"))

Fact = tuple[str, str]  # a path and its hash, or a stage and all that dvc.lock records of its run


@dataclass(frozen=True)
class Commit:
    """Author, date and subject of a commit."""

    sha: str
    author: str
    date: str  # ISO 8601 with the author's time zone
    subject: str


@dataclass(frozen=True)
class Version:
    """What git and DVC record at a revision, or in the checkout if that is None."""

    revision: str | None
    base: str  # the commit of the revision, or the one that the checkout builds on
    tags: tuple[str, ...]
    records: Mapping[str, bytes]  # dvc.lock and the .dvc files

    def read(self, path: str) -> bytes | None:
        """A file of the revision; None if there is no such file."""
        return git.file(self.revision, path)

    @cached_property
    def graph(self) -> Graph:
        """The graph of files and stages."""
        return graph_of(self.records)

    @property
    def remedy(self) -> str:
        """What to do about a wrong record: the checkout's can be made again, the past cannot."""
        return "" if self.revision else "; run 'dvc repro'"

    def __str__(self) -> str:
        return "of the checkout" if self.revision is None else f"at {self.base[:SHORTEST]}"


def read(revision: str | None = None) -> Version:
    """Read a revision, or the checkout. Raises UserError if it has no dvc.lock."""
    base = git.resolve(revision or "HEAD")
    commit = revision and base
    names = sorted(name for name in git.files(commit) if name.endswith(".dvc"))
    records = {name: text for name in (LOCK, *names) if (text := git.file(commit, name))}
    if LOCK not in records:
        place = f"at {revision}" if revision else "here"
        raise UserError(f"there is no {LOCK} {place}: the pipeline was not run and committed")
    return Version(commit, base, tuple(git.run("tag", "--points-at", base).splitlines()), records)


def graph_of(records: Mapping[str, bytes]) -> Graph:
    """The graph of dvc.lock and the .dvc files. Raises UserError if DVC did not write them."""
    documents = {path: parse_yaml(text, path) for path, text in records.items()}
    try:
        return parse(documents.pop(LOCK, {}), documents)
    except (AttributeError, KeyError, TypeError):
        remedy = "restore it with git checkout, or run 'dvc repro'"
        raise UserError(f"{LOCK} was not written by DVC; {remedy}") from None


def locate(target: str | None) -> tuple[Version, str | None]:
    """The version, and the path if any, of REVISION, PATH or REVISION:PATH."""
    if target is None:
        return read(), None
    revision, colon, path = target.partition(":")
    if colon:
        return read(revision or None), path
    if Path(target).is_file() or (Path(LOCK).is_file() and read().graph.find(target)):
        return read(), target
    try:
        git.resolve(target)
    except UserError:
        kinds = "neither a file of the pipeline nor a revision that git knows"
        raise UserError(f"'{target}' is {kinds}; 'git tag' lists the tags") from None
    return read(target), None


def find_model(digits: str) -> dict[str, Any]:
    """Search all of history for the model whose sha256 begins with these 8 or more digits.

    Returns a document: the sha256, the commits that added the model, newest first, and the tags
    that contain it.
    """
    digits = digits.lower()
    if not SHORTEST <= len(digits) <= 64 or set(digits) - set("0123456789abcdef"):
        raise UserError(f"'{digits}' is not a sha256: {SHORTEST} to 64 of the digits 0-9 and a-f")
    path, text = MODEL_INFO.as_posix(), f'"sha256": "{digits}'
    changed = (commit for commit, _ in _log("--all", f"-S{text}", "--", path))
    commits = [commit for commit in changed if text in _text(commit.sha, path)]
    hashes = {json.loads(_text(commit.sha, path))["sha256"] for commit in commits}
    if len(hashes) > 1:
        raise UserError(f"{len(hashes)} models have a sha256 that begins with {digits}; give more")
    if not hashes:
        older = "in a shallow clone, 'git fetch --unshallow' fetches older commits"
        raise UserError(f"no commit's {path} records the sha256 {digits}; {older}")
    value = hashes.pop()
    tags = [tag for tag in git.tags() if value in _text(f"refs/tags/{tag}", path)]
    return {"sha256": value, "commits": [asdict(commit) for commit in commits], "tags": tags}


def _text(revision: str, path: str) -> str:
    return (git.file(revision, path) or b"").decode("utf-8", "replace")


def last_changes(version: Version, facts: Iterable[Fact]) -> dict[Fact, Commit | None]:
    """For each fact, the commit since which it holds without a break; None if not committed.

    Follows the parent that agrees, as `git log PATH` does, but for each fact separately.
    """
    changes: dict[Fact, Commit | None] = dict.fromkeys(facts)
    history = list(_log(version.base, "--", *version.records))
    own = {commit.sha for commit, _ in history}

    @cache
    def facts_at(sha: str) -> frozenset[Fact]:
        texts = {path: git.file(sha, path) for path in version.records if sha in own}
        try:
            return facts_of(graph_of({path: text for path, text in texts.items() if text}))
        except UserError:
            return frozenset()  # somebody committed a conflict

    reached = {commit.sha: facts_at(commit.sha) & changes.keys() for commit, _ in history[:1]}
    for commit, parents in history:  # children before their parents
        for fact in reached.get(commit.sha, ()):
            if parent := next((parent for parent in parents if fact in facts_at(parent)), None):
                reached[parent] = reached.get(parent, frozenset()) | {fact}
            else:
                changes[fact] = commit
    return changes


def facts_of(graph: Graph) -> frozenset[Fact]:
    """All that is recorded: each path with its hash, each stage with its run."""
    files = ((f.path, f.hash) for s in graph.stages for f in (*s.outs, *s.deps) if f.hash)
    return frozenset((*files, *map(run_of, graph.stages)))


def run_of(stage: Stage) -> Fact:
    """All that dvc.lock records of the stage's run."""
    return stage.name, repr(stage)


def last_commit(version: Version, path: str) -> Commit | None:
    """The commit that last changed a file or folder in git."""
    return next((commit for commit, _ in _log("--max-count=1", version.base, "--", path)), None)


def environments(
    version: Version, commits: Iterable[Commit | None]
) -> dict[Commit | None, str | None]:
    """The sha256 of requirements.lock at each commit; for None, of the version itself."""
    texts = {c: git.file(c.sha if c else version.revision, ENVIRONMENT) for c in {*commits}}
    return {c: None if text is None else sha256(text).hexdigest() for c, text in texts.items()}


def _log(*words: str) -> Iterator[tuple[Commit, list[str]]]:
    """Commits that changed these files, with their nearest ancestors that did."""
    options = ("-z", "--no-show-signature", "--topo-order", "--parents", f"--format={FORMAT}")
    fields = git.run("log", *options, *words).split("\0")
    for sha, parents, author, date, subject in zip(*[iter(fields)] * 5, strict=False):
        yield Commit(sha, author, date, subject), parents.split()
