"""history: a revision in, its files and the commits that last changed what they record out."""

import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from machinery.pipeline.files import UserError
from . import git
from .graph import parse

LOCK = "dvc.lock"
FORMAT = "%x00".join(("%H", "%P", "%an", "%aI", "%s"))
AT_ONCE = 50  # commits read by one call of git

# DVC writes its lock in this one form. To parse each of hundreds of versions would take 20 ms each.
FILE = re.compile(r"^ *- path: (.+)\n(?: +(?!md5:).+\n)*? +md5: (\S+)$", re.MULTILINE)
EXPONENT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$")
RUN = re.compile(r"^  (\S.*):\n", re.MULTILINE)

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
        return self.read_all([path])[0]

    def read_all(self, paths: Sequence[str]) -> list[bytes | None]:
        """The files, in order, each None when it is not there."""
        if self.revision is not None:
            return blobs([f"{self.revision}:./{path}" for path in paths])
        return [Path(path).read_bytes() if Path(path).is_file() else None for path in paths]

    def tracked(self) -> list[str]:
        """The paths of the .dvc files."""
        if self.revision is None:
            listed = git.run("ls-files", "-z", "--cached", "--others", "--exclude-standard")
        else:
            listed = git.run("ls-tree", "-r", "-z", "--name-only", self.revision)
        return sorted(path for path in listed.split("\0") if path.endswith(".dvc"))


def blobs(names: Sequence[str]) -> list[bytes | None]:
    """The files that names such as `v1.0.0:./dvc.lock` stand for; None for what is no file."""
    asked = "".join(f"{name}\n" for name in names).encode()
    stream = io.BytesIO(git.read("cat-file", "--batch", given=asked))
    return [_blob(stream) for _ in names]


def last_changes(
    revision: str, facts: Iterable[Fact], tracked: Sequence[str]
) -> dict[Fact, Commit | None]:
    """For each fact, the commit since which it holds without a break; None: not committed.

    Follows the parent that agrees, as `git log PATH` does, but for each fact by itself.
    """
    found: dict[Fact, Commit | None] = dict.fromkeys(facts)
    history = list(_log(revision, "--", LOCK, *tracked))
    known = _Known([commit.sha for commit, _ in history], tracked, frozenset(found))
    reached = {history[0][0].sha: known.at(history[0][0].sha)} if history else {}
    for commit, parents in history:  # children before their parents
        for fact in reached.get(commit.sha, ()):
            agreeing = (parent for parent in parents if fact in known.at(parent))
            if parent := next(agreeing, None):
                reached[parent] = reached.get(parent, frozenset()) | {fact}
            else:
                found[fact] = commit
    return found


def last_commit(revision: str, path: str) -> Commit | None:
    """The commit that last changed a file which git keeps."""
    return next((commit for commit, _ in _log("--max-count=1", revision, "--", path)), None)


def commits_with(text: str, path: str) -> list[Commit]:
    """The commits, on any branch or tag, that brought the text into the file; newest first."""
    changed = [commit for commit, _ in _log("--all", f"-S{text}", "--", path)]
    files = blobs([f"{commit.sha}:./{path}" for commit in changed])
    wanted = text.encode()
    return [c for c, file in zip(changed, files, strict=True) if file and wanted in file]


def facts_of(lock: bytes, tracked: Mapping[str, bytes]) -> frozenset[Fact]:
    """All that these files record: each path with its hash, each stage with its run."""
    text = lock.decode("utf-8", "replace").replace("\r\n", "\n")
    parts = RUN.split(text)
    files = ((path.strip("'\""), value) for path, value in FILE.findall(text))
    graph = parse({}, {path: read_yaml(file, path) for path, file in tracked.items()})
    outs = ((out.path, out.hash) for stage in graph.stages for out in stage.outs)
    return frozenset((*files, *zip(parts[1::2], parts[2::2], strict=True), *outs))


def read_yaml(text: bytes, place: str) -> dict[str, Any]:
    """The YAML mapping; UserError names the place of what is none."""
    import yaml

    try:
        document = yaml.load(text, _loader())
    except yaml.YAMLError as error:
        raise UserError(f"{place} is not readable YAML: {' '.join(str(error).split())}") from error
    if not isinstance(document, dict):
        raise UserError(f"{place} holds no 'name: value' lines; restore it with git checkout")
    return document


@cache
def _loader() -> Any:
    """PyYAML's, in C where it has one: five times faster. It would take 1e-05 for text.

    DVC writes YAML 1.2, where that is a number.
    """
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        pass

    Loader.add_implicit_resolver("tag:yaml.org,2002:float", EXPONENT, [*"+-0123456789"])
    return Loader


class _Known:
    """Which of the wanted facts hold at each commit; read some commits at a time, as asked."""

    def __init__(self, shas: list[str], tracked: Sequence[str], wanted: frozenset[Fact]) -> None:
        self.shas = shas
        self.tracked = tracked
        self.wanted = wanted
        self.read: dict[str, frozenset[Fact]] = {}

    def at(self, sha: str) -> frozenset[Fact]:
        while sha not in self.read and len(self.read) < len(self.shas):
            self._read_on(self.shas[len(self.read) : len(self.read) + AT_ONCE])
        return self.read.get(sha, frozenset())

    def _read_on(self, shas: list[str]) -> None:
        paths = [LOCK, *self.tracked]
        files = iter(blobs([f"{sha}:./{path}" for sha in shas for path in paths]))
        for sha in shas:
            lock, *others = (next(files) for _ in paths)
            tracked = {path: file for path, file in zip(paths[1:], others, strict=True) if file}
            self.read[sha] = facts_of(lock or b"", tracked) & self.wanted


def _log(*words: str) -> Iterator[tuple[Commit, list[str]]]:
    """Commits with their parents, each the nearest one that changed these files."""
    form = ("-z", "--no-show-signature", "--topo-order", "--parents", f"--format={FORMAT}")
    fields = git.run("log", *form, *words).split("\0")
    for sha, parents, author, date, subject in zip(*[iter(fields)] * 5, strict=False):
        yield Commit(sha, author, date, subject), parents.split()


def _blob(stream: io.BytesIO) -> bytes | None:
    *_, kind, size = stream.readline().split()
    if size == b"missing":
        return None
    content = stream.read(int(size))
    stream.readline()
    return content if kind == b"blob" else None
