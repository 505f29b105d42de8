"""history: a revision in; its files, and the commits that last changed what they record, out."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from machinery.pipeline.files import UserError, parse_yaml

from . import git
from .graph import parse

LOCK = "dvc.lock"
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
class Snapshot:
    """The files of a revision, or of the checkout where it is None."""

    revision: str | None

    def read(self, path: str) -> bytes | None:
        """The file, or None when it is not there."""
        if self.revision is None:
            return Path(path).read_bytes() if Path(path).is_file() else None
        try:
            return git.read("cat-file", "blob", f"{self.revision}:./{path}")
        except UserError:
            return None

    def tracked(self) -> list[str]:
        """The paths of the .dvc files."""
        if self.revision is None:
            listed = git.run("ls-files", "-z", "--cached", "--others", "--exclude-standard")
        else:
            listed = git.run("ls-tree", "-r", "-z", "--name-only", self.revision)
        return sorted(path for path in listed.split("\0") if path.endswith(".dvc"))


def last_changes(
    revision: str, facts: Iterable[Fact], tracked: Sequence[str]
) -> dict[Fact, Commit | None]:
    """For each fact, the commit since which it has held without a break; None: not committed.

    Follows the parent that agrees, as `git log PATH` does, but for each fact by itself.
    """
    changes: dict[Fact, Commit | None] = dict.fromkeys(facts)
    history = list(_log(revision, "--", LOCK, *tracked))
    own = {commit.sha for commit, _ in history}

    @cache
    def at(sha: str) -> frozenset[Fact]:
        files = {path: Snapshot(sha).read(path) for path in (LOCK, *tracked) if sha in own}
        try:
            return facts_of({path: text for path, text in files.items() if text})
        except (UserError, AttributeError, KeyError, TypeError):
            return frozenset()  # somebody once committed a conflict

    reached = {history[0][0].sha: at(history[0][0].sha) & changes.keys()} if history else {}
    for commit, parents in history:  # children before their parents
        for fact in reached.get(commit.sha, ()):
            if parent := next((parent for parent in parents if fact in at(parent)), None):
                reached[parent] = reached.get(parent, frozenset()) | {fact}
            else:
                changes[fact] = commit
    return changes


def facts_of(files: Mapping[str, bytes]) -> frozenset[Fact]:
    """All that dvc.lock and .dvc files record: each path with its hash, each stage with its run."""
    documents = {path: parse_yaml(text, path) for path, text in files.items()}
    lock = documents.pop(LOCK, {})
    graph = parse(lock, documents)
    recorded = ((f.path, f.hash) for s in graph.stages for f in (*s.outs, *s.deps) if f.hash)
    runs = ((name, json.dumps(entry)) for name, entry in lock.get("stages", {}).items())
    return frozenset((*recorded, *runs))


def last_commit(revision: str, path: str) -> Commit | None:
    """The commit that last changed a file or folder which git keeps."""
    return next((commit for commit, _ in _log("--max-count=1", revision, "--", path)), None)


def commits_with(text: str, path: str) -> list[Commit]:
    """The commits, on any branch or tag, that brought the text into the file; newest first."""
    changed = (commit for commit, _ in _log("--all", f"-S{text}", "--", path))
    return [c for c in changed if text.encode() in (Snapshot(c.sha).read(path) or b"")]


def _log(*words: str) -> Iterator[tuple[Commit, list[str]]]:
    """Commits with their parents, each the nearest one that changed these files."""
    form = ("-z", "--no-show-signature", "--topo-order", "--parents", f"--format={FORMAT}")
    fields = git.run("log", *form, *words).split("\0")
    for sha, parents, author, date, subject in zip(*[iter(fields)] * 5, strict=False):
        yield Commit(sha, author, date, subject), parents.split()
