"""Write the project's files from a plan, and try them on the whole table."""

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from functools import partial
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
from machinery.pipeline.files import UserError, read_yaml, write_table, write_text
from machinery.pipeline.markdown import code
from machinery.pipeline.params import Validate
from machinery.pipeline.paths import CONTRACT, PARAMS, SOURCE
from machinery.pipeline.stages import ingest, validate

from .choices import choose
from .features import features, layout, plain
from .kinds import unique
from .plan import Column, Plan, TypedColumn

PYPROJECT = Path("pyproject.toml")
TRIAL_ROWS = 1000  # on which the features are computed
LIMIT = 0.05  # share of rows that may break the contract
PLAIN = re.compile(r"[^\W\d_][\w -]*(?<! )")  # text that needs no quotes in YAML, unless it is one
WORDS = {"yes", "no", "on", "off", "true", "false", "null", "y", "n"}  # of these


class About(NamedTuple):
    """Whose project it is, and where its table is from; `notes` are on how it was read."""

    package: str
    command: str
    owner: str
    name: str
    origin: str
    notes: list[str]


def paths(package: str) -> dict[str, Path]:
    """The templates, and where each is written in a project of this package."""
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
    """A name for the file in data/source."""
    name = re.sub(r"\W+", "_", PurePath(urlsplit(table).path).name.partition(".")[0])
    return name.strip("_").lower() or "table"


def address(table: str) -> str:
    """Where a table is from, without local folders and without the secrets of a URL."""
    parts = urlsplit(table)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}" if host else PurePath(parts.path).name


def write(plan: Plan, typed: Sequence[TypedColumn], about: About, folder: Path) -> list[str]:
    """Write the project's files and data into the folder, and try them on the whole table.

    Returns:
        Further decisions, as sentences.

    Raises:
        UserError: if the table has too little to learn from.
    """
    plan, is_numbered = _numbered(plan)
    files = {template: folder / path for template, path in paths(about.package).items()}
    context = vars(plan) | {"plan": plan, "about": about, "numbered": is_numbered}
    _render("contract.yaml", files, context)
    contract = contracts.parse(read_yaml(folder / CONTRACT))
    table = pa.table(
        {
            column.name: column.values.cast(arrow_type(plan.columns[column.name].type))
            for column in typed
        }
    )
    write_table(for_pandas(table, contract), folder / SOURCE / f"{about.name}.parquet")
    _render("source.py", files, context)

    raw = ingest.ingest(
        module(files["source.py"]).read(folder / SOURCE, until=None), None, contract
    )
    checks = Validate(quarantine_limit=LIMIT, window_days=30, level=0.95)
    valid, _, quality = validate.validate(raw, None, contract, checks)
    catalogue_features = [*features(plan, table)]
    context |= choose(valid.to_pandas(), contract) | layout(catalogue_features)
    context |= {"quarantine_limit": LIMIT, "quarantined": quality["quarantined"]["high"]}
    used = [item for item in catalogue_features if context["filled"].issuperset(item.columns)]
    if not used:
        raise UserError("no column is left to learn from; check the decisions, and use --set")
    context |= {"names": [feature.name for feature in used], "today": date.today()}
    for template in files:
        _render(template, files, context)
    _tidy(folder)
    agreement.require(read_yaml(folder / PARAMS), contract)
    catalogue = Catalogue(contract, module(files["features.py"]))
    catalogue.compute(arrays(valid.slice(0, TRIAL_ROWS), catalogue.inputs, contract))
    return [
        f"{feature.columns[0]}: empty in some part of the rows, so no model uses it"
        for feature in catalogue_features
        if feature not in used
    ]


def _numbered(plan: Plan) -> tuple[Plan, bool]:
    """The plan with a key that numbers the rows, if no column identifies them."""
    if plan.key:
        return plan, False
    name = unique("row", plan.columns)
    note = "No column identifies the rows, so source.py numbers them."
    key = Column(name, "", "string", "none", identifier=True, notes=[note])
    return replace(plan, key=name, columns={name: key, **plan.columns}), True


def module(path: Path) -> ModuleType:
    """The module in a file outside the package; no bytecode is cached."""
    namespace = ModuleType(f"adopted_{path.stem}")
    exec(compile(path.read_text(encoding="utf-8"), path, "exec"), vars(namespace))
    return namespace


def _render(template: str, files: dict[str, Path], context: dict[str, Any]) -> None:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "yaml": _yaml,
        "plain": plain,
        "py": partial(json.dumps, ensure_ascii=False),
        "code": code,
    }
    text = environment.get_template(f"{template}.jinja").render(context)
    write_text(text, files[template])


def _yaml(value: Any) -> str:
    """The value as YAML 1.1 and 1.2 read it alike, on one line."""
    if isinstance(value, str):
        if PLAIN.fullmatch(value) and value.lower() not in WORDS:
            return value
        style: dict[str, Any] = {"default_style": '"', "allow_unicode": True, "width": 10**9}
        return str(yaml.safe_dump(value, **style)).strip()
    if isinstance(value, list):
        return f"[{', '.join(map(_yaml, value))}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{key}: {_yaml(item)}' for key, item in value.items())} }}"
    return "null" if value is None else str(value).lower()


def _tidy(folder: Path) -> None:
    """Format the modules, and let codespell ignore the words of the table."""
    modules = map(str, folder.rglob("*.py"))
    _run("ruff", "format", "--quiet", "--config", str(PYPROJECT.resolve()), *modules)
    output = _run("codespell_lib", "--quiet-level=2", ".", cwd=folder)
    words = {word.lower() for word in re.findall(r"^\S+:\d+: (\S+) ==> ", output, re.MULTILINE)}
    text = PYPROJECT.read_text(encoding="utf-8")
    ignored = re.search(r'^ignore-words-list = "(.*)"$', text, re.MULTILINE)
    if ignored and (new := sorted(words - set(ignored[1].split(",")))):
        line = f'ignore-words-list = "{",".join([ignored[1], *new])}"'
        write_text(text.replace(ignored[0], line), folder / PYPROJECT)


def _run(*words: str, cwd: Path | None = None) -> str:
    """The output of a tool of the project; empty if it is not installed."""
    command = [sys.executable, "-m", *words]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False).stdout
