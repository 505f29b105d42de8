"""write: a plan and its typed columns in; the project's files, tried on the whole table, out."""

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path, PurePath
from types import ModuleType
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pyarrow as pa
import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from machinery.pipeline.data import agreement
from machinery.pipeline.data import contract as contracts
from machinery.pipeline.data.catalogue import Catalogue
from machinery.pipeline.data.checks import for_pandas
from machinery.pipeline.data.columns import arrays, arrow_type
from machinery.pipeline.data.contract import Contract
from machinery.pipeline.files import UserError, read_yaml, write_table, write_text
from machinery.pipeline.markdown import code
from machinery.pipeline.params import Validate
from machinery.pipeline.paths import CONTRACT, PARAMS, SOURCE
from machinery.pipeline.stages import ingest, validate

from .choices import choose
from .features import arranged, features, free, plain
from .plan import Column, Plan, Typed

PYPROJECT = Path("pyproject.toml")
HEAD = 1000  # rows on which the features are tried
LIMIT = 0.05  # share of rows that may break the contract
PLAIN = re.compile(r"[^\W\d_][\w -]*(?<! )")  # text that YAML 1.1 and 1.2 read alike, but for these
WORDS = {"yes", "no", "on", "off", "true", "false", "null", "y", "n"}


class About(NamedTuple):
    """Whose project it is, and where its table came from; `notes` say how it was read."""

    package: str
    command: str
    owner: str
    name: str
    origin: str
    notes: list[str]


def paths(package: str) -> dict[str, Path]:
    """The templates, and where in a project of this package each is written."""
    own, tests = Path("src", package), Path("tests")
    return {
        "contract.yaml": CONTRACT,
        "source.py": own / "source.py",
        "features.py": own / "features.py",
        "params.yaml": PARAMS,
        "test_source.py": tests / "test_source.py",
        "test_features.py": tests / "test_features.py",
        "test_model.py": tests / "test_model.py",
        "canvas.md": Path("docs/canvas.md"),
        "data.md": Path("data/README.md"),
    }


def stem(table: str) -> str:
    """A name for the file in data/source, from that of the table."""
    name = re.sub(r"\W+", "_", PurePath(urlsplit(table).path).name.partition(".")[0])
    return name.strip("_").lower() or "table"


def address(table: str) -> str:
    """Where a table is, for people: no folder of this machine, and no secret of an address."""
    parts = urlsplit(table)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}" if host else PurePath(parts.path).name


def write(plan: Plan, typed: Sequence[Typed], about: About, folder: Path) -> list[str]:
    """Write into the folder what the project will consist of, and try it on the whole table.

    Returns:
        What was decided on the way, in sentences.

    Raises:
        UserError: when the table has too little to learn from.
    """
    plan, is_numbered = _numbered(plan)
    package = Path("src", about.package)
    facts = vars(plan) | {"plan": plan, "about": about, "numbered": is_numbered}
    _render("contract.yaml", folder / CONTRACT, facts)
    contract = contracts.parse(read_yaml(folder / CONTRACT))
    columns = [each for each in typed if each.name in plan.columns]
    types = {name: arrow_type(column.type) for name, column in plan.columns.items()}
    table = pa.table({each.name: each.values.cast(types[each.name]) for each in columns})
    write_table(for_pandas(table, contract), folder / SOURCE / f"{about.name}.parquet")
    _render("source.py", folder / package / "source.py", facts)

    valid, _, quality = _validated(folder, package, contract)
    every = [*features(plan, table)]
    facts |= choose(valid.to_pandas(), contract) | arranged(every)
    facts |= {"quarantine_limit": LIMIT, "quarantined": quality["quarantined"]["high"]}
    used = [each for each in every if facts["filled"].issuperset(each.columns)]
    if not used:
        raise UserError("no column is left to learn from; look at the decisions, and use --set")
    facts |= {"names": [each.name for each in used], "today": date.today()}
    for template, path in paths(about.package).items():
        _render(template, folder / path, facts)
    _tidy(folder)
    agreement.require(read_yaml(folder / PARAMS), contract)
    catalogue = Catalogue(contract, module(folder / package / "features.py"))
    catalogue.compute(arrays(valid.slice(0, HEAD), catalogue.inputs, contract))
    return [
        f"{each.columns[0]}: without a value in some part of the rows, so no model learns from it"
        for each in every
        if each not in used
    ]


def _numbered(plan: Plan) -> tuple[Plan, bool]:
    """The plan with a key that numbers the rows, if no column tells them apart."""
    if plan.key:
        return plan, False
    name = free("row", plan.columns)
    note = "No column tells the rows apart, so source.py numbers them."
    key = Column(name, "", "string", "none", identifier=True, notes=[note])
    return replace(plan, key=name, columns={name: key, **plan.columns}), True


def _validated(folder: Path, package: Path, contract: Contract) -> validate.Validated:
    """What the stages ingest and validate will make of the new source."""
    source = module(folder / package / "source.py")
    raw = ingest.ingest(source.read(folder / SOURCE, until=None), None, contract)
    params = Validate(quarantine_limit=LIMIT, window_days=30, level=0.95)
    return validate.validate(raw, None, contract, params)


def module(path: Path) -> ModuleType:
    """The module in a file that is not yet in the package; nothing is cached beside it."""
    made = ModuleType(f"adopted_{path.stem}")
    exec(compile(path.read_text(encoding="utf-8"), path, "exec"), vars(made))
    return made


def _render(template: str, path: Path, facts: dict[str, Any]) -> None:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"yaml": _yaml, "plain": plain, "py": _python, "code": code}
    write_text(environment.get_template(f"{template}.jinja").render(facts), path)


def _yaml(value: Any) -> str:
    """One value as YAML 1.1 and 1.2 read it alike, on one line."""
    if isinstance(value, str):
        if PLAIN.fullmatch(value) and value.lower() not in WORDS:
            return value
        style: dict[str, Any] = {"default_style": '"', "allow_unicode": True, "width": 10**9}
        return str(yaml.safe_dump(value, **style)).strip()
    if isinstance(value, list):
        return f"[{', '.join(map(_yaml, value))}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{key}: {_yaml(each)}' for key, each in value.items())} }}"
    return "null" if value is None else str(value).lower()


def _python(text: str) -> str:
    """Text as a string of Python, with the quotes that ruff prefers."""
    return json.dumps(text, ensure_ascii=False)


def _tidy(folder: Path) -> None:
    """Format the modules, and let codespell pass the words of the table."""
    modules = map(str, folder.rglob("*.py"))
    _tool("ruff", "format", "--quiet", "--config", str(PYPROJECT.resolve()), *modules)
    said = _tool("codespell_lib", "--quiet-level=2", ".", cwd=folder)
    words = {word.lower() for word in re.findall(r"^\S+:\d+: (\S+) ==> ", said, re.MULTILINE)}
    text = PYPROJECT.read_text(encoding="utf-8")
    known = re.search(r'^ignore-words-list = "(.*)"$', text, re.MULTILINE)
    if known and (new := sorted(words - set(known[1].split(",")))):
        text = text.replace(known[0], f'ignore-words-list = "{",".join([known[1], *new])}"')
        write_text(text, folder / PYPROJECT)


def _tool(*words: str, cwd: Path | None = None) -> str:
    """What a tool of the project prints; nothing where it is not installed."""
    command = [sys.executable, "-m", *words]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False).stdout
