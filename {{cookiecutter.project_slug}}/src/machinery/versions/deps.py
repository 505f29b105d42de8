"""Find the files that stages run but that are missing from their deps in dvc.yaml.

DVC does not follow imports: when a module that is in no `deps` changes, `dvc repro` calls the old
model up to date. A stage runs the module of its name, the parts of the project that this module
asks for (`project.features()`), and all that these import. Nothing is executed to find out.
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
PARTS = {"source", "features", "candidates"}


def check() -> str:
    """Check that every stage depends on the code that it runs."""
    if problems := missing():
        raise FixableError(first_names(problems), "edit dvc.yaml, then dvc repro")
    return "every stage depends on the code that it runs"


def missing() -> list[str]:
    """A sentence for each file that a stage uses and does not depend on."""
    stages = read_yaml(Path("dvc.yaml")).get("stages") or {}
    entries = {name: stage.get("do", stage) for name, stage in stages.items()}
    return [
        f"{path}{f', which {importer} imports,' if importer else ''} is missing from the deps of "
        f"{name} in dvc.yaml; add it"
        for name, entry in entries.items()
        for path, importer in _used(entry["cmd"]).items()
        if not _is_dep(path, entry)
    ]


def _is_dep(path: str, entry: dict[str, Any]) -> bool:
    deps = [next(iter(dep)) if isinstance(dep, dict) else dep for dep in entry.get("deps", ())]
    folder = entry.get("wdir", ".")
    return any(Path(path).is_relative_to(normpath(f"{folder}/{dep}")) for dep in deps)


def _used(commands: str | list[str]) -> dict[str, str]:
    """The files that commands use, each with the name of the file that imports it, if any."""
    used: dict[str, str] = {}
    commands = [commands] if isinstance(commands, str) else commands
    queue = [(path, "") for command in commands for path in _entry_points(command.split())]
    while queue:
        path, importer = queue.pop()
        if path.as_posix() not in used:
            used[path.as_posix()] = importer
            if PIPELINE not in (path, *path.parents):  # that folder is one dependency
                queue += [(imported, path.name) for imported in _imports(path, _parse(path))]
    return used


def _entry_points(words: list[str]) -> Iterator[Path]:
    """What a command starts: a stage of the machinery, a module, or a file."""
    files = (Path(word) for word in words if word.endswith(".py"))
    yield from (path for path in files if path.is_relative_to(SRC) and path.is_file())
    if "-m" in words[:-1]:
        package, name = [*words[words.index("-m") + 1 :], ""][:2]
        stage, project = PIPELINE / "stages" / f"{name}.py", SRC / package / "project.py"
        if stage.is_file() and project.is_file():
            yield PIPELINE
            yield from _parts(stage, project)
        elif (SRC / package / f"{name}.py").is_file():  # a stage of the user's own
            yield from _files([package, name])
        else:
            yield from _files(package.split("."))


def _parts(stage: Path, project: Path) -> Iterator[Path]:
    """The modules of the project that a stage asks for, such as by `project.features()`."""
    attributes = (node for node in ast.walk(_parse(stage)) if isinstance(node, ast.Attribute))
    names = {node.attr for node in attributes if ast.unparse(node.value) == "project"}
    for node in ast.walk(_parse(project)):
        if isinstance(node, ast.FunctionDef) and node.name in names & PARTS:
            yield from _imports(project, node)


def _imports(path: Path, code: ast.AST) -> Iterator[Path]:
    """The files below src that this code imports, in functions too."""
    package = path.relative_to(SRC).parts[:-1]
    for node in ast.walk(code):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _files(alias.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            parents = package[: len(package) - node.level + 1] if node.level else ()
            module = [*parents, *(node.module.split(".") if node.module else ())]
            for alias in node.names:
                yield from _files([*module, alias.name])


def _files(names: list[str]) -> Iterator[Path]:
    """The module of a dotted name, or of its longest prefix that is one, and its packages."""
    for end in range(1, len(names) + 1):
        path = SRC.joinpath(*names[:end])
        if path.with_suffix(".py").is_file():
            yield path.with_suffix(".py")
        elif (init := path / "__init__.py").is_file() and len(_parse(init).body) > 1:
            yield init  # it contains more than its docstring


def _parse(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError) as error:
        raise UserError(f"{path} is not readable Python: {error}") from error
