"""versions: a revision, a file or a hash in; what git and DVC record there, and since when, out."""

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
SHORTEST = 8  # digits that a hash may be cut to
FORMAT = "%x00".join(("%H", "%P", "%an", "%aI", "%s"))

Fact = tuple[str, str]  # a path and its hash, or a stage and all that dvc.lock says of its run


@dataclass(frozen=True)
class Commit:
    """Who changed something, when, and why in one line."""

    sha: str
    author: str
    date: str  # with time zone, as the author's clock showed it
    subject: str


@dataclass(frozen=True)
class Version:
    """All that git and DVC say of one revision, or of the checkout where it is None."""

    revision: str | None
    base: str  # the commit of the revision, or the one that the checkout builds on
    tags: tuple[str, ...]
    records: Mapping[str, bytes]  # dvc.lock and the .dvc files

    def read(self, path: str) -> bytes | None:
        """A file of the revision, or None when it is not there."""
        return git.file(self.revision, path)

    @cached_property
    def graph(self) -> Graph:
        """What was made from what."""
        return graph_of(self.records)

    @property
    def remedy(self) -> str:
        """What to do about what does not hold; the past is as it is."""
        return "" if self.revision else "; run 'dvc repro'"

    def __str__(self) -> str:
        return "of the checkout" if self.revision is None else f"at {self.base[:SHORTEST]}"


def read(revision: str | None = None) -> Version:
    """What a revision records, or the checkout. Raises UserError where there is nothing to read."""
    base = git.resolve(revision or "HEAD")
    commit = revision and base
    names = sorted(name for name in git.files(commit) if name.endswith(".dvc"))
    records = {name: text for name in (LOCK, *names) if (text := git.file(commit, name))}
    if LOCK not in records:
        place = f"at {revision}" if revision else "here"
        raise UserError(f"there is no {LOCK} {place}: the pipeline was not run and committed")
    return Version(commit, base, tuple(git.run("tag", "--points-at", base).splitlines()), records)


def graph_of(records: Mapping[str, bytes]) -> Graph:
    """The graph of dvc.lock and the .dvc files. Raises UserError for what DVC did not write."""
    documents = {path: parse_yaml(text, path) for path, text in records.items()}
    try:
        return parse(documents.pop(LOCK, {}), documents)
    except (AttributeError, KeyError, TypeError):
        remedy = "restore it with git checkout, or run 'dvc repro'"
        raise UserError(f"{LOCK} is not a lock that DVC wrote; {remedy}") from None


def locate(what: str | None) -> tuple[Version, str | None]:
    """The version, and the path if any, that is meant by REVISION, PATH or REVISION:PATH."""
    if what is None:
        return read(), None
    revision, colon, path = what.partition(":")
    if colon:
        return read(revision or None), path
    if Path(what).is_file() or (Path(LOCK).is_file() and read().graph.find(what)):
        return read(), what
    try:
        git.resolve(what)
    except UserError:
        kinds = "neither a file of the pipeline nor a revision that git knows"
        raise UserError(f"'{what}' is {kinds}; 'git tag' lists the tags") from None
    return read(what), None


def sightings(digits: str) -> dict[str, Any]:
    """Search all of history for the model with this sha256; its first 8 digits are enough.

    The answer is a document: the sha256, the commits that brought the model, the newest first, and
    the tags that have it.
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
        older = "in a shallow clone, 'git fetch --unshallow' brings older commits"
        raise UserError(f"no commit's {path} records the sha256 {digits}; {older}")
    value = hashes.pop()
    tags = [tag for tag in git.tags() if value in _text(f"refs/tags/{tag}", path)]
    return {"sha256": value, "commits": [asdict(commit) for commit in commits], "tags": tags}


def _text(revision: str, path: str) -> str:
    return (git.file(revision, path) or b"").decode("utf-8", "replace")


def last_changes(version: Version, facts: Iterable[Fact]) -> dict[Fact, Commit | None]:
    """For each fact, the commit since which it has held without a break; None: not committed.

    Follows the parent that agrees, as `git log PATH` does, but for each fact by itself.
    """
    changes: dict[Fact, Commit | None] = dict.fromkeys(facts)
    history = list(_log(version.base, "--", *version.records))
    own = {commit.sha for commit, _ in history}

    @cache
    def at(sha: str) -> frozenset[Fact]:
        texts = {path: git.file(sha, path) for path in version.records if sha in own}
        try:
            return facts_of(graph_of({path: text for path, text in texts.items() if text}))
        except UserError:
            return frozenset()  # somebody once committed a conflict

    reached = {history[0][0].sha: at(history[0][0].sha) & changes.keys()} if history else {}
    for commit, parents in history:  # children before their parents
        for fact in reached.get(commit.sha, ()):
            if parent := next((parent for parent in parents if fact in at(parent)), None):
                reached[parent] = reached.get(parent, frozenset()) | {fact}
            else:
                changes[fact] = commit
    return changes


def facts_of(graph: Graph) -> frozenset[Fact]:
    """All that is recorded: each path with its hash, each stage with its run."""
    files = ((f.path, f.hash) for s in graph.stages for f in (*s.outs, *s.deps) if f.hash)
    return frozenset((*files, *map(run_of, graph.stages)))


def run_of(stage: Stage) -> Fact:
    """All that dvc.lock says of the stage's run."""
    return stage.name, repr(stage)


def last_commit(version: Version, path: str) -> Commit | None:
    """The commit that last changed a file or folder which git keeps."""
    return next((commit for commit, _ in _log("--max-count=1", version.base, "--", path)), None)


def environments(
    version: Version, commits: Iterable[Commit | None]
) -> dict[Commit | None, str | None]:
    """The sha256 of requirements.lock at each commit; for None, of the version's own."""
    texts = {c: git.file(c.sha if c else version.revision, ENVIRONMENT) for c in {*commits}}
    return {c: None if text is None else sha256(text).hexdigest() for c, text in texts.items()}


def _log(*words: str) -> Iterator[tuple[Commit, list[str]]]:
    """Commits with their parents, each the nearest one that changed these files."""
    form = ("-z", "--no-show-signature", "--topo-order", "--parents", f"--format={FORMAT}")
    fields = git.run("log", *form, *words).split("\0")
    for sha, parents, author, date, subject in zip(*[iter(fields)] * 5, strict=False):
        yield Commit(sha, author, date, subject), parents.split()
