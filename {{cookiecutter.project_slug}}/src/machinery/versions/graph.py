"""The graph of files and stages that dvc.lock and the .dvc files record."""

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
    files: int | None = None  # number of files in a folder


@dataclass(frozen=True)
class Stage:
    """What one run read and wrote. A `.dvc` file is a stage without a command."""

    name: str
    command: str | None
    params: Mapping[str, Mapping[str, Any]]  # params file: key: value
    deps: tuple[File, ...]
    outs: tuple[File, ...]


@dataclass(frozen=True)
class Step:
    """One step of a lineage: a file, and the stages that made it (several fill a folder)."""

    file: File
    stages: tuple[Stage, ...]
    inputs: tuple[str, ...]  # the paths that they made it from


@dataclass(frozen=True)
class Graph:
    """All stages of one revision."""

    stages: tuple[Stage, ...]

    @cached_property
    def outs(self) -> dict[str, File]:
        """The outputs of all stages, by path."""
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
        """The recorded file of this path, or the recorded folder around it."""
        files = dict(self.outs)
        for stage in self.stages:
            for dep in stage.deps:
                files.setdefault(dep.path, dep)
        return files.get(path) or next((f for f in files.values() if within(path, f.path)), None)

    def makers(self, path: str) -> tuple[Stage, ...]:
        """The stages that wrote this file, the folder around it, or files in this folder."""
        return tuple(s for s in self.stages if any(overlap(path, out.path) for out in s.outs))

    def inputs(self, stage: Stage) -> tuple[File, ...]:
        """The dependencies that a stage made: data."""
        return tuple(dep for dep in stage.deps if self.makers(dep.path))

    def code(self, stage: Stage) -> tuple[File, ...]:
        """The dependencies that git keeps: files and folders of code, and the contract."""
        return tuple(dep for dep in stage.deps if not self.makers(dep.path))

    def trace(self, file: File) -> tuple[Step, ...]:
        """The steps that led to the file: each before the steps of its inputs."""
        steps: dict[str, Step] = {}

        def visit(file: File) -> None:
            if file.path not in steps:
                stages = self.makers(file.path)
                inputs = {i.path: i for stage in stages for i in self._inputs_of(stage, file)}
                for source in inputs.values():
                    visit(source)
                steps[file.path] = Step(file, stages, tuple(inputs))

        visit(file)
        return tuple(reversed(steps.values()))

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

    def changed_deps(self, stage: Stage) -> list[str]:
        """The dependencies that were made anew since the stage read them."""
        return [d.path for d in stage.deps if self.outs.get(d.path, d).hash != d.hash]

    def _inputs_of(self, stage: Stage, file: File) -> Iterator[File]:
        """The inputs that the stage made the file from; of a folder the one that it copied."""
        for source in self.inputs(stage):
            inside = (out for out in self.outs.values() if within(out.path, source.path))
            yield next((out for out in inside if out.hash == file.hash != ""), source)


def parse(lock: Mapping[str, Any], tracked: Mapping[str, Mapping[str, Any]]) -> Graph:
    """The graph of a parsed dvc.lock and, by their paths, the parsed .dvc files."""
    runs = [
        Stage(name, str(entry["cmd"]), entry.get("params", {}), *_files(entry))
        for name, entry in lock.get("stages", {}).items()
    ]
    return Graph((*(_tracked(path, entry) for path, entry in tracked.items()), *runs))


def _files(entry: Mapping[str, Any]) -> tuple[tuple[File, ...], tuple[File, ...]]:
    """The deps and the outs."""
    deps, outs = (tuple(map(_file, entry.get(key, ()))) for key in ("deps", "outs"))
    return deps, outs


def _file(entry: Mapping[str, Any]) -> File:
    value = next((str(entry[name]) for name in HASHES if name in entry), "")
    return File(entry["path"], value, entry.get("size"), entry.get("nfiles"))


def _tracked(path: str, entry: Mapping[str, Any]) -> Stage:
    folder = join(dirname(path), entry.get("wdir", "."))
    outs = [{**out, "path": normpath(join(folder, out["path"]))} for out in entry.get("outs", ())]
    deps = [_origin(dep) for dep in entry.get("deps", ())]
    return Stage(path, None, {}, *_files({"deps": deps, "outs": outs}))


def _origin(dep: Mapping[str, Any]) -> dict[str, Any]:
    """Where `dvc import` or `dvc import-url` fetched the bytes from."""
    repository = dep.get("repo", {})
    address = "/".join(str(part) for part in (repository.get("url"), dep.get("path")) if part)
    return {**dep, **repository, "path": address}


def within(path: str, folder: str) -> bool:
    """Whether the path is in the folder."""
    return path.startswith(f"{folder}/")


def overlap(one: str, other: str) -> bool:
    """Whether two paths are the same, or one is in the other."""
    return one == other or within(one, other) or within(other, one)
