"""deps: dvc.yaml and the code that its stages run in; the files that are missing from deps out.

DVC does not follow imports: a module that is in no `deps` can change, and `dvc repro` calls
the old model up to date. A stage runs the module of its name, the parts of the project that this
one asks for (`project.features()`), and all that these import. Nothing is executed to find out.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from posixpath import normpath
from typing import Any

from machinery.pipeline.files import UserError, read_yaml

from .checking import FixableError, first_names

SRC = Path("src")
PIPELINE = SRC / "machinery" / "pipeline"
PARTS = ("source", "features", "candidates")


def check() -> str:
    """Every stage depends on the code that it runs. Raises FixableError with what is missing."""
    if lacking := missing():
        raise FixableError(first_names(lacking), "edit dvc.yaml, then dvc repro")
    return "every stage depends on the code that it runs"


def missing() -> list[str]:
    """Each file that a stage uses and does not depend on, in a sentence."""
    stages = read_yaml(Path("dvc.yaml")).get("stages") or {}
    runs = {name: stage.get("do", stage) for name, stage in stages.items()}
    return [
        f"{path}{f', which {by} imports,' if by else ''} is missing from the deps of {name} "
        "in dvc.yaml; add it"
        for name, run in runs.items()
        for path, by in _used(run["cmd"]).items()
        if not _covered(path, run)
    ]


def _covered(path: str, run: dict[str, Any]) -> bool:
    listed = (next(iter(dep)) if isinstance(dep, dict) else dep for dep in run.get("deps", ()))
    deps = [normpath(f"{run.get('wdir', '.')}/{dep}") for dep in listed]
    return any(path == dep or path.startswith(f"{dep}/") for dep in deps)


def _used(commands: str | list[str]) -> dict[str, str]:
    """The files that commands use, each with the name of the file that imports it, if one does."""
    used: dict[str, str] = {}
    commands = [commands] if isinstance(commands, str) else commands
    paths = [(path, "") for command in commands for path in _entries(command.split())]
    while paths:
        path, by = paths.pop()
        if path.as_posix() not in used:
            used[path.as_posix()] = by
            if PIPELINE not in (path, *path.parents):  # that folder is one dependency
                paths += [(each, path.name) for each in _imports(path, _parse(path))]
    return used


def _entries(words: list[str]) -> Iterator[Path]:
    """What a command starts: a stage of the machinery, a module, or a file."""
    files = (Path(word) for word in words if word.endswith(".py"))
    yield from (path for path in files if path.is_relative_to(SRC) and path.is_file())
    if "-m" in words[:-1]:
        package, name = [*words[words.index("-m") + 1 :], ""][:2]
        stage = PIPELINE / "stages" / f"{name}.py"
        if stage.is_file() and (SRC / package / "project.py").is_file():
            yield PIPELINE
            yield from _parts(stage, SRC / package / "project.py")
        elif (SRC / package / f"{name}.py").is_file():  # a stage of the user's own
            yield from _files([package, name])
        else:
            yield from _files(package.split("."))


def _parts(stage: Path, project: Path) -> Iterator[Path]:
    """The modules of the project that a stage asks for, such as by `project.features()`."""
    attributes = (node for node in ast.walk(_parse(stage)) if isinstance(node, ast.Attribute))
    own = (a for a in attributes if isinstance(a.value, ast.Name) and a.value.id == "project")
    wanted = {attribute.attr for attribute in own} & {*PARTS}
    for node in ast.walk(_parse(project)):
        if isinstance(node, ast.FunctionDef) and node.name in wanted:
            yield from _imports(project, node)


def _imports(path: Path, code: ast.AST) -> Iterator[Path]:
    """The files below src that this code imports, in functions too."""
    package = path.relative_to(SRC).parts[:-1]
    for node in ast.walk(code):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _files(alias.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = [*above, *(node.module.split(".") if node.module else ())]
            for alias in node.names:
                yield from _files([*module, alias.name])


def _files(names: list[str]) -> Iterator[Path]:
    """The module of a dotted name, or the longest part of it that is one, and its packages."""
    for end in range(1, len(names) + 1):
        place = SRC.joinpath(*names[:end])
        if place.with_suffix(".py").is_file():
            yield place.with_suffix(".py")
        elif (init := place / "__init__.py").is_file() and len(_parse(init).body) > 1:
            yield init  # with more than its docstring


def _parse(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError) as error:
        raise UserError(f"{path} is not readable Python: {error}") from error
