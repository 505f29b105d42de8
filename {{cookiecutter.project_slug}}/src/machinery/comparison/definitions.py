"""definitions: features.py of two sides as text in; which features are made in another way out.

A feature is what its function does: its arguments, its body, and whatever of the module they use,
directly or not. Docstrings, tags and comments do not count. Nobody's code is run for this.
"""

import ast
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from difflib import unified_diff

Function = ast.FunctionDef
NEUTRAL = "tag"  # the decorator that says who answers for a feature, and nothing of its values


@dataclass(frozen=True)
class Definition:
    """A feature's own code without its name, and all that it uses by name."""

    code: str
    uses: dict[str, str]


@dataclass(frozen=True)
class Change:
    """What became of a feature: added, removed, renamed or changed."""

    name: str
    kind: str
    names: tuple[str, ...] = ()  # what it was, or what it changed through
    diff: str = ""

    @property
    def link(self) -> str:
        """The word between the kind and the names."""
        return "from" if self.kind == "renamed" else "through"


def compare(before: str, after: str) -> list[Change]:
    """The features that are not as they were."""
    was, now = definitions(before), definitions(after)
    removed = [name for name in was if name not in now]
    added = [name for name in now if name not in was]
    renamed = dict(_renamed(was, now, removed, added))
    return [
        *(Change(new, "renamed", (old,)) for new, old in renamed.items()),
        *(Change(name, "added") for name in added if name not in renamed),
        *(Change(name, "removed") for name in removed if name not in renamed.values()),
        *(
            _changed(name, was[name], now[name])
            for name in now
            if was.get(name, now[name]) != now[name]
        ),
    ]


def definitions(source: str) -> dict[str, Definition]:
    """The definition of each feature; none where the text is not Python."""
    try:
        module = ast.parse(source)
    except (SyntaxError, ValueError):
        return {}
    parts = {name: statement for statement in module.body for name in _names(statement)}
    features = (each for each in module.body if _is_feature(each))
    return {each.name: _definition(each, parts) for each in features if isinstance(each, Function)}


def _definition(feature: Function, parts: dict[str, ast.stmt]) -> Definition:
    found: dict[str, str] = {}
    waiting = _used(feature, parts)
    while waiting:
        name = waiting.pop()
        if name not in found and name != feature.name:
            found[name] = _code(parts[name])
            waiting += _used(parts[name], parts)
    return Definition(_code(feature, nameless=True), dict(sorted(found.items())))


def _renamed(
    was: dict[str, Definition], now: dict[str, Definition], removed: list[str], added: list[str]
) -> Iterator[tuple[str, str]]:
    """New and old name of each feature whose code is only called something else."""
    left = list(removed)
    for new in added:
        if old := next((name for name in left if was[name] == now[new]), None):
            left.remove(old)
            yield new, old


def _changed(name: str, was: Definition, now: Definition) -> Change:
    if was.code != now.code:
        return Change(name, "changed", diff=_difference(name, was.code, now.code))
    both = {*was.uses, *now.uses}
    through = sorted(each for each in both if was.uses.get(each) != now.uses.get(each))
    return Change(name, "changed", tuple(through))


def _difference(name: str, before: str, after: str) -> str:
    named = f"def {name}("
    was, now = (each.replace("def feature(", named, 1).splitlines() for each in (before, after))
    lines = unified_diff(was, now, lineterm="", n=2)
    return "\n".join(line for line in list(lines)[2:] if not line.startswith("@@"))


def _used(statement: ast.stmt, parts: dict[str, ast.stmt]) -> list[str]:
    """The names of the module that a statement uses; of a feature, its arguments too."""
    names = {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}
    if isinstance(statement, Function) and _is_feature(statement):
        names |= {argument.arg for argument in _arguments(statement)}
    return sorted((names & parts.keys()) - {NEUTRAL})


def _arguments(function: Function) -> list[ast.arg]:
    given = function.args
    return [*given.posonlyargs, *given.args, *given.kwonlyargs]


def _names(statement: ast.stmt) -> list[str]:
    """What a statement of the module defines."""
    match statement:
        case ast.FunctionDef() | ast.ClassDef():
            return [statement.name]
        case ast.Import() | ast.ImportFrom():
            return [(each.asname or each.name).partition(".")[0] for each in statement.names]
        case ast.Assign() | ast.AnnAssign():
            return [node.id for node in ast.walk(statement) if _is_stored(node)]  # type: ignore[attr-defined]
        case _:
            return []


def _is_stored(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)


def _is_feature(statement: ast.stmt) -> bool:
    return isinstance(statement, Function) and not statement.name.startswith("_")


def _code(statement: ast.stmt, *, nameless: bool = False) -> str:
    """The code in one style, without docstring, tags and comments."""
    if not isinstance(statement, Function):
        return ast.unparse(statement)
    plain = copy(statement)
    if ast.get_docstring(statement) is not None:
        plain.body = statement.body[1:] or [ast.Pass()]
    plain.decorator_list = [each for each in statement.decorator_list if not _is_tag(each)]
    if nameless:
        plain.name = "feature"
    return ast.unparse(plain)


def _is_tag(decorator: ast.expr) -> bool:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return isinstance(called, ast.Name) and called.id == NEUTRAL
