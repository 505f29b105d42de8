"""The changes between two sides by git and DVC, in Markdown that can do no harm."""

import hashlib
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from machinery.comparison.changes import sections
from machinery.comparison.side import find_challenger, find_champion

pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value")  # pygtrie's, in dvc diff

HOSTILE = "@all <script>`|"
FENCE = re.compile(r"^(```+)diff\n.*\n\1$", re.DOTALL | re.MULTILINE)
CATEGORY = '`{"type": "category", "unit": null, "allowed": null, "known": "before"}`'


def column(kind: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "unit": None, "allowed": None, "known": "before", **more}


def candidate(name: str, mean: float) -> dict[str, Any]:
    return {"candidate": name, "mean": mean, "standard_error": 0.01}


class Project:
    """A folder in git with what the report reads: changed by the tests, committed at once."""

    def __init__(self) -> None:
        self.contract: dict[str, Any] = {
            "version": 1,
            "columns": {"size": column("number", unit="mi"), "colour": column("category")},
        }
        self.params: dict[str, Any] = {"train": {"folds": 4, "features": {"all": ["doubled"]}}}
        self.selection: dict[str, Any] = {
            "candidate": "linear",
            "headline": "roc_auc",
            "candidates": [candidate("prior", 0.5), candidate("linear", 0.7)],
        }
        self.quality: dict[str, Any] = {"rows": 100, "valid": 99, "violations": []}
        self.lock = "numpy==2.0 \\\n    --hash=sha256:0\nscipy==1.0\n"
        self.features = "def doubled(size):\n    return 2 * size\n"
        self.names = ["doubled"]
        self.machinery = "1\n"
        self.source = {"a.csv": "1" * 32}
        random = np.random.default_rng(1)
        self.table = pd.DataFrame(
            {"size": random.normal(size=500), "colour": ["red", "blue"] * 250}
        )

    def write(self) -> None:
        for name, document in {
            "contract.yaml": yaml.safe_dump(self.contract, sort_keys=False),
            "params.yaml": yaml.safe_dump(self.params, sort_keys=False),
            "reports/selection.json": json.dumps(self.selection),
            "reports/data_quality.json": json.dumps(self.quality),
            "models/model.json": json.dumps({"trained_on": {"rows": 80}}),
            "requirements.lock": self.lock,
            "src/shop/features.py": self.features,
            "src/machinery/pipeline/run.py": self.machinery,
            "reports/features.json": json.dumps([{"name": name} for name in self.names]),
            "data/source.dvc": yaml.safe_dump({"outs": [self._source()]}),
            "dvc.lock": yaml.safe_dump(self._lock()),
        }.items():
            path = Path(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(document, encoding="utf-8")

    def _source(self) -> dict[str, Any]:
        listing = [{"md5": md5, "relpath": name} for name, md5 in self.source.items()]
        md5 = cache(json.dumps(listing).encode(), ".dir")
        return {"path": "source", "md5": md5, "hash": "md5", "size": 10 * len(listing)}

    def _lock(self) -> dict[str, Any]:
        path = Path("data/train.parquet")
        path.parent.mkdir(exist_ok=True)
        self.table.to_parquet(path)
        md5 = cache(path.read_bytes())
        machinery = hashlib.md5(self.machinery.encode()).hexdigest()
        deps = [
            {"path": "src/shop/features.py", "md5": "1" * 32},
            {"path": "src/machinery/pipeline", "md5": f"{machinery}.dir"},
        ]
        stage = {"cmd": "run", "deps": deps, "outs": [{"path": path.as_posix(), "md5": md5}]}
        return {"schema": "2.0", "stages": {"train@linear": stage}}


def cache(content: bytes, kind: str = "") -> str:
    """Put bytes where DVC keeps them."""
    md5 = hashlib.md5(content).hexdigest() + kind
    place = Path(".dvc/cache/files/md5", md5[:2], md5[2:])
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    return md5


def git(*words: str) -> str:
    name = ("-c", "user.name=A Tester", "-c", "user.email=a@b.example")
    done = subprocess.run(["git", *name, *words], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project whose champion is committed; the tests change it and write it."""
    monkeypatch.chdir(tmp_path)
    project = Project()
    project.write()
    git("init", "--quiet")
    Path(".gitignore").write_text("/.dvc/\n*.parquet\n", encoding="utf-8")
    git("add", ".")
    git("commit", "--quiet", "--no-verify", "--message", "Champion")
    return project


def changed(project: Project) -> dict[str, str]:
    """The report sections of the project as it is, committed, against its champion."""
    project.write()
    git("add", ".")
    git("commit", "--quiet", "--no-verify", "--allow-empty", "--message", "Challenger")
    champion = find_champion("HEAD~1")
    assert champion
    return dict(sections(champion, find_challenger()))


def rows(text: str) -> list[list[str]]:
    """The cells of the first table below its header."""
    lines = [line for line in text.split("\n\n")[0].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def test_where_nothing_changed_nothing_is_said(project: Project) -> None:
    assert changed(project) == {}


def test_parameters_are_listed_by_their_path_with_both_values(project: Project) -> None:
    project.params["train"]["folds"] = 5
    project.params["train"]["seed"] = None
    texts = changed(project)
    assert list(texts) == ["Parameters"]
    assert rows(texts["Parameters"]) == [
        ["`train.folds`", "`4`", "`5`"],
        ["`train.seed`", "–", "`null`"],
    ]


def test_of_a_long_list_only_what_differs_is_listed(project: Project) -> None:
    project.params["names"] = [*"abcd"]
    project.write()
    git("commit", "--quiet", "--all", "--message", "A list")
    project.params["names"] = [*"abce"]
    assert rows(changed(project)["Parameters"]) == [["`names`", 'with `"d"`', 'with `"e"`']]


def test_the_contract_is_listed_by_paths_and_a_new_column_as_a_whole(project: Project) -> None:
    del project.contract["columns"]["colour"]
    project.contract["version"] = 2
    project.contract["columns"]["size"]["unit"] = "km"
    project.contract["columns"]["new"] = {"type": "integer", "known": "after"}
    project.table = project.table[["size"]]
    assert rows(changed(project)["Contract"]) == [
        ["`version`", "`1`", "`2`"],
        ["`columns.size.unit`", '`"mi"`', '`"km"`'],
        ["`columns.new`", "–", '`{"type": "integer", "known": "after"}`'],
        ["`columns.colour`", CATEGORY, "–"],
    ]


def test_rows_and_source_files_are_counted_and_named(project: Project) -> None:
    project.quality |= {"rows": 120, "violations": [{"column": "a", "problem": "b", "rows": 1}]}
    project.source = {"a.csv": "2" * 32, "b.csv": "3" * 32}
    text = changed(project)["Data"]
    assert rows(text) == [["rows read", "100", "120"], ["quarantined: `a` b", "–", "1"]]
    assert "Added: `data/source/b.csv`. Modified: `data/source/`, `data/source/a.csv`." in text


def test_only_a_column_that_moved_is_listed_with_its_size(
    project: Project,
) -> None:
    project.table["size"] += 2
    text = changed(project)["Data"]
    assert "1 of 2 columns of the training table moved" in text
    assert "| `size` |" in text
    assert "| large | mean " in text
    assert "`colour`" not in text
    assert "population stability index" in text


def hide_and_shift(project: Project) -> None:
    project.contract["columns"]["size"]["personal"] = True  # its drift would name a value
    project.table["size"] += 2


def reverse(project: Project) -> None:
    project.table = project.table[::-1]


@pytest.mark.parametrize("change", [hide_and_shift, reverse])
def test_no_drift_is_shown_of_personal_columns_or_another_order(
    project: Project, change: Callable[[Project], None]
) -> None:
    change(project)
    assert "In the training table, no column moved more than" in changed(project)["Data"]


def test_a_champion_whose_table_is_gone_is_no_failure(project: Project) -> None:
    project.table["size"] += 2
    for place in Path(".dvc/cache").rglob("*"):
        if place.is_file():
            place.unlink()
    text = changed(project)["Data"]
    assert "Drift of the training table is unknown:" in text
    assert "moved:" not in text


def test_features_are_named_and_the_difference_of_their_code_is_shown(project: Project) -> None:
    project.features = project.features.replace("2 *", "3 *") + "def half(x):\n    return x / 2\n"
    project.names = ["half", "size"]
    text = changed(project)["Features and code"]
    assert text.startswith("Added: `half`, `size`. Removed: `doubled`.\n\n```diff\n")
    assert "-    return 2 * size\n+    return 3 * size\n+def half(x):" in text
    assert text.endswith("\n```")


def test_code_that_would_end_the_fence_stays_in_it_and_any_length_is_cut(project: Project) -> None:
    project.features += "```\n@all\n" + "x = 1\n" * 100_000
    text = changed(project)["Features and code"]
    assert text.startswith("````diff") and text.endswith("…\n````")
    assert len(text) < 16_000


def test_other_machinery_is_one_line(project: Project) -> None:
    project.machinery = "2\n"
    text = changed(project)["Features and code"]
    commit = git("rev-parse", "HEAD~1")
    command = f"git diff {commit} -- src/machinery"
    assert text == f"`src/machinery` was edited or replaced: `{command}`."


def test_candidates_are_listed_with_their_scores_and_which_is_chosen(project: Project) -> None:
    project.selection |= {
        "candidate": "forest",
        "candidates": [candidate("linear", 0.7), candidate("forest", 0.8)],
    }
    text = changed(project)["Candidates"]
    assert rows(text) == [["`forest`", "–", "0.8 ± 0.01"], ["`prior`", "0.5 ± 0.01", "–"]]
    assert "Chosen: `forest`, before `linear`." in text
    assert "not comparable" not in text


def test_packages_are_listed(project: Project) -> None:
    project.lock = "numpy==2.1 \\\n    --hash=sha256:1\npandas==3.0 ; python_version > '3.11'\n"
    text = changed(project)["Packages"]
    assert "In `requirements.lock`, 3 packages changed" in text
    assert ["`numpy`", "`2.0`", "`2.1`"] in [
        [cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines()
    ]


def test_no_name_does_harm(project: Project) -> None:
    project.params[HOSTILE] = HOSTILE
    project.contract["columns"][HOSTILE] = column(HOSTILE, unit=HOSTILE)
    project.selection["candidates"].append(candidate(HOSTILE, 0.6))
    project.source[HOSTILE] = "4" * 32
    project.quality["violations"] = [{"column": HOSTILE, "problem": HOSTILE, "rows": 1}]
    project.names.append(HOSTILE)
    project.features += f'def half(x):\n    return "{HOSTILE}"\n'
    for text in changed(project).values():
        for line in FENCE.sub("", text).splitlines():
            outside = harmless(line)
            assert "@all" not in outside
            assert "<script>" not in outside


def harmless(line: str) -> str:
    """The line without its code spans."""
    return re.sub(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", "", line)


def test_any_number_of_changes_takes_few_lines(project: Project) -> None:
    project.params |= {f"parameter {number}": number for number in range(500)}
    project.lock = "".join(f"package{number}==1\n" for number in range(500))
    project.source = {f"file {number}": "5" * 32 for number in range(500)}
    texts = changed(project)
    assert "… and 460 more changes." in texts["Parameters"]
    assert "… and 462 more packages." in texts["Packages"]
    assert "and 490 more." in texts["Data"]
    assert sum(map(len, texts.values())) < 12_000
