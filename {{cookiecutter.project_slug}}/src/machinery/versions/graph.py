"""graph: dvc.lock and the .dvc files in; what was made from what out."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from graphlib import TopologicalSorter
from posixpath import dirname, join, normpath
from typing import Any

HASHES = ("md5", "etag", "checksum", "rev_lock")


@dataclass(frozen=True)
class File:
    """A file or folder as DVC recorded it; the hash of a folder ends in `.dir`."""

    path: str
    hash: str
    size: int | None = None  # bytes
    files: int | None = None  # how many, in a folder


@dataclass(frozen=True)
class Stage:
    """What one run read and wrote; a `.dvc` file is a stage that only says what is there."""

    name: str
    command: str | None
    params: Mapping[str, Mapping[str, Any]]  # params file: key: value
    deps: tuple[File, ...]
    outs: tuple[File, ...]


@dataclass(frozen=True)
class Step:
    """One link of the chain: a file, and the stages that made it (several fill a folder)."""

    file: File
    stages: tuple[Stage, ...]
    reads: tuple[str, ...]  # the files that they made it from


@dataclass(frozen=True)
class Graph:
    """All stages of one revision."""

    stages: tuple[Stage, ...]

    @cached_property
    def outs(self) -> dict[str, File]:
        """What the stages wrote, by path."""
        return {out.path: out for stage in self.stages for out in stage.outs}

    @cached_property
    def ordered(self) -> tuple[Stage, ...]:
        """The stages, each after those that it reads from."""
        by_name = {stage.name: stage for stage in self.stages}
        before = {
            stage.name: [maker.name for dep in stage.deps for maker in self.makers(dep.path)]
            for stage in self.stages
        }
        return tuple(by_name[name] for name in TopologicalSorter(before).static_order())

    def find(self, path: str) -> File | None:
        """The file as its maker recorded it, or the recorded folder that it lies in."""
        files = [*self.outs.values(), *(dep for stage in self.stages for dep in stage.deps)]
        exact = (file for file in files if file.path == path)
        return next(exact, next((file for file in files if within(path, file.path)), None))

    def makers(self, path: str) -> tuple[Stage, ...]:
        """The stages that wrote this file, the folder around it, or files in this folder."""
        return tuple(s for s in self.stages if any(overlap(path, out.path) for out in s.outs))

    def inputs(self, stage: Stage) -> tuple[File, ...]:
        """The dependencies that have makers of their own: data, not code."""
        return tuple(dep for dep in stage.deps if self.makers(dep.path))

    def code(self, stage: Stage) -> tuple[File, ...]:
        """The dependencies that git keeps: files and folders of code, and the contract."""
        return tuple(dep for dep in stage.deps if not self.makers(dep.path))

    def trace(self, file: File) -> tuple[Step, ...]:
        """What the file was made from, directly or not: each step before those that it read."""
        steps: list[Step] = []

        def visit(file: File) -> None:
            if all(step.file.path != file.path for step in steps):
                stages = self.makers(file.path)
                reads = {r.path: r for stage in stages for r in self._read_for(stage, file)}
                for read in reads.values():
                    visit(read)
                steps.append(Step(file, stages, tuple(reads)))

        visit(file)
        return tuple(reversed(steps))

    def impact(self, path: str) -> tuple[Stage, ...]:
        """The stages that read this path or what was made from it, in the order of their runs."""
        reached: set[str] = set()
        paths = [path]
        while paths:
            path = paths.pop()
            for stage in self.stages:
                reads = path in stage.params or any(overlap(path, dep.path) for dep in stage.deps)
                if reads and stage.name not in reached:
                    reached.add(stage.name)
                    paths += [out.path for out in stage.outs]
        return tuple(stage for stage in self.ordered if stage.name in reached)

    def broken(self, stage: Stage) -> Iterator[tuple[File, File]]:
        """What the stage read, and what is recorded there now, where the two differ."""
        for dep in stage.deps:
            if self.outs.get(dep.path, dep).hash != dep.hash:
                yield dep, self.outs[dep.path]

    def _read_for(self, stage: Stage, made: File) -> Iterator[File]:
        """The inputs of the stage; of a folder only the file that it copied, where it did so."""
        for read in self.inputs(stage):
            inside = (out for out in self.outs.values() if within(out.path, read.path))
            yield next((out for out in inside if out.hash == made.hash != ""), read)


def parse(lock: Mapping[str, Any], tracked: Mapping[str, Mapping[str, Any]]) -> Graph:
    """The graph of a parsed dvc.lock and the parsed .dvc files, which are given by their path."""
    runs = [
        Stage(name, str(entry["cmd"]), entry.get("params", {}), *_files(entry))
        for name, entry in lock.get("stages", {}).items()
    ]
    return Graph((*(_tracked(path, entry) for path, entry in tracked.items()), *runs))


def _files(entry: Mapping[str, Any]) -> tuple[tuple[File, ...], tuple[File, ...]]:
    """The deps and the outs."""
    deps, outs = (tuple(_file(each) for each in entry.get(key, ())) for key in ("deps", "outs"))
    return deps, outs


def _tracked(path: str, entry: Mapping[str, Any]) -> Stage:
    folder = join(dirname(path), entry.get("wdir", "."))
    outs = [{**out, "path": normpath(join(folder, out["path"]))} for out in entry.get("outs", ())]
    deps = [_origin(dep) for dep in entry.get("deps", ())]
    return Stage(path, None, {}, *_files({"deps": deps, "outs": outs}))


def _origin(dep: Mapping[str, Any]) -> dict[str, Any]:
    """Where `dvc import` or `dvc import-url` fetched the bytes from."""
    repository = dep.get("repo", {})
    place = "/".join(str(part) for part in (repository.get("url"), dep.get("path")) if part)
    return {**dep, **repository, "path": place}


def _file(entry: Mapping[str, Any]) -> File:
    value = next((str(entry[name]) for name in HASHES if name in entry), "")
    return File(entry["path"], value, entry.get("size"), entry.get("nfiles"))


def within(path: str, folder: str) -> bool:
    """Whether the path lies in the folder."""
    return path.startswith(f"{folder}/")


def overlap(one: str, other: str) -> bool:
    """Whether two paths are the same, or one lies in the other."""
    return one == other or within(one, other) or within(other, one)
