"""versions: a revision, a file or a hash in; what git and DVC record there out."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path

from machinery.pipeline.files import UserError, parse_yaml
from machinery.pipeline.paths import MODEL_INFO

from . import git
from .graph import Graph, parse
from .history import LOCK, Commit, Snapshot, commits_with

ENVIRONMENT = "requirements.lock"
SHORTEST = 8  # digits that a hash may be cut to


@dataclass(frozen=True)
class Version:
    """All that git and DVC say of one revision, or of the checkout where it is None."""

    revision: str | None
    base: str  # the commit of the revision, or the one that the checkout builds on
    tags: tuple[str, ...]
    lock: bytes
    tracked: Mapping[str, bytes]

    @cached_property
    def snapshot(self) -> Snapshot:
        """The files of the revision."""
        return Snapshot(self.revision)

    @cached_property
    def graph(self) -> Graph:
        """What was made from what."""
        tracked = {path: parse_yaml(text, path) for path, text in self.tracked.items()}
        try:
            return parse(parse_yaml(self.lock, LOCK), tracked)
        except (AttributeError, KeyError, TypeError):
            remedy = "restore it with git checkout, or run 'dvc repro'"
            raise UserError(f"{LOCK} {self} is not a lock that DVC wrote; {remedy}") from None

    @property
    def remedy(self) -> str:
        """What to do about what does not hold; the past is as it is."""
        return "" if self.revision else "; run 'dvc repro'"

    def __str__(self) -> str:
        return "of the checkout" if self.revision is None else f"at {self.base[:SHORTEST]}"


@dataclass(frozen=True)
class Sighting:
    """Where history records a model: the commits that brought it, the tags that have it."""

    sha256: str
    commits: tuple[Commit, ...]  # the newest first
    tags: tuple[str, ...]


def read(revision: str | None = None) -> Version:
    """What a revision records, or the checkout. Raises UserError where there is nothing to read."""
    base = _resolve(revision or "HEAD")
    snapshot = Snapshot(revision and base)
    lock = snapshot.read(LOCK)
    if lock is None:
        place = f"at {revision}" if revision else "here"
        raise UserError(f"there is no {LOCK} {place}: the pipeline was not run and committed")
    names = snapshot.tracked()
    files = {name: text for name in names if (text := snapshot.read(name))}
    tags = git.run("tag", "--points-at", base).splitlines()
    return Version(snapshot.revision, base, tuple(tags), lock, files)


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
        _resolve(what)
    except UserError:
        kinds = "neither a file of the pipeline nor a revision that git knows"
        raise UserError(f"'{what}' is {kinds}; 'git tag' lists the tags") from None
    return read(what), None


def sightings(digits: str) -> Sighting:
    """Search all of history for the model with this sha256; its first 8 digits are enough."""
    digits = digits.lower()
    if not SHORTEST <= len(digits) <= 64 or set(digits) - set("0123456789abcdef"):
        raise UserError(f"'{digits}' is not a sha256: {SHORTEST} to 64 of the digits 0-9 and a-f")
    path = MODEL_INFO.as_posix()
    commits = commits_with(f'"sha256": "{digits}', path)
    texts = [Snapshot(commit.sha).read(path) for commit in commits]
    hashes = {json.loads(text)["sha256"] for text in texts if text}
    if len(hashes) > 1:
        raise UserError(f"{len(hashes)} models have a sha256 that begins with {digits}; give more")
    if not hashes:
        shallow = git.run("rev-parse", "--is-shallow-repository") == "true"
        older = "; 'git fetch --unshallow' brings older commits" if shallow else ""
        raise UserError(f"no commit's {path} records the sha256 {digits}{older}")
    value = hashes.pop()
    tags = [tag for tag in git.tags() if value in str(Snapshot(f"refs/tags/{tag}").read(path))]
    return Sighting(value, tuple(commits), tuple(tags))


def environments(
    version: Version, commits: Iterable[Commit | None]
) -> dict[Commit | None, str | None]:
    """The sha256 of requirements.lock at each commit; for None, of the version's own."""
    places = {c: Snapshot(c.sha) if c else version.snapshot for c in {*commits}}
    texts = {commit: place.read(ENVIRONMENT) for commit, place in places.items()}
    return {c: None if text is None else sha256(text).hexdigest() for c, text in texts.items()}


def _resolve(revision: str) -> str:
    """The commit of a revision; v1.1.0 also stands for the release tag model@v1.1.0."""
    try:
        return git.resolve(revision)
    except UserError:
        release = next((tag for tag in git.tags() if tag.endswith(f"@{revision}")), None)
        if release is None:
            raise
        return git.resolve(release)
