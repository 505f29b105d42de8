"""What is written of a plan: it is valid, tidy, tried, and put in place whole or not at all."""

import io
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml
from ruamel.yaml import YAML

from machinery.adopt import swap
from machinery.adopt.plan import Column, Plan, TypedColumn
from machinery.adopt.write import About, address, module, stem, write
from machinery.pipeline.data import contract as contracts
from machinery.pipeline.data.catalogue import Catalogue
from machinery.pipeline.data.columns import arrays
from machinery.pipeline.data.leakage import SAME
from machinery.pipeline.files import CheckError, UserError, read_yaml
from machinery.versions import git

PATHS_OF_PYTHON = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
ABOUT = About("shop", "the-shop", 'The "shop"', "sales", "sales.csv", ["Read as UTF-8."])
SETTINGS = next(Path(__file__).parents[3].glob("*/src/machinery")).parents[1] / "pyproject.toml"
PYPROJECT = "[tool.ruff]" + SETTINGS.read_text(encoding="utf-8").split("[tool.ruff]")[1]
NEW_YEAR, HOUR = np.datetime64("2024-01-01T06:30", "us"), np.timedelta64(3_600_000_000, "us")


class Table:
    """A table to adopt, whose number and town tell the outcome, y; `roles` are its plan's."""

    def __init__(self, kind: Any = "binary", rows: int = 240, **roles: Any) -> None:
        self.kind, self.rows, self.roles = kind, rows, roles
        self.columns: dict[str, Column] = {}
        self.values: dict[str, Any] = {}
        random = np.random.default_rng(1)
        size, town = random.normal(size=rows), random.choice(["Aa", "Ulm"], rows)
        effort = 2 * size + (town == "Ulm") + random.normal(scale=0.5, size=rows)
        self.add("size", "number", "number", size, unit="kg")
        self.add("town", "category", "category", town, allowed=["Aa", "Ulm"])
        self.add("sent", "datetime", "date", NEW_YEAR + 9 * HOUR * np.arange(rows))
        outcomes: dict[str, Any] = {
            "binary": ("boolean", effort > 0),
            "classes": ("category", np.array(["a", "b", "c"])[np.digitize(effort, [-1, 1])]),
            "regression": ("number", effort),
            "counts": ("integer", random.poisson(np.exp(effort / 2))),
        }
        allowed = ["a", "b", "c"] if kind == "classes" else None
        of, values = outcomes[kind]
        self.add("y", of, "none", values, known="after", allowed=allowed)

    def add(self, name: str, kind: Any, use: Any, values: Any, **more: Any) -> None:
        """Another column."""
        self.columns[name] = Column(name, more.pop("header", name), kind, use, **more)
        self.values[name] = values

    @property
    def typed(self) -> list[TypedColumn]:
        """Its columns."""
        return [
            TypedColumn(
                name,
                column.header,
                "string" if column.type == "category" else column.type,
                pa.chunked_array([pa.array(self.values[name])]),
                "it looks so",
            )
            for name, column in self.columns.items()
        ]

    @property
    def plan(self) -> Plan:
        """Its plan."""
        positive = True if self.kind == "binary" else None
        roles = {"key": None, "time": None, "group": None, "unlabelled": 0, "duplicates": 0}
        roles |= {"kept_duplicates": 0}
        return Plan(
            kind=self.kind,
            target="y",
            positive=positive,
            columns=self.columns,
            rows=self.rows,
            decisions=[],
            questions=[],
            **roles | self.roles,
        )


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Table], Path]:
    """The folder of what is written of a table."""
    monkeypatch.chdir(tmp_path)
    Path("pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
    Path("src/shop").mkdir(parents=True)
    for name in ("__init__", "source", "features"):  # by which ruff knows the package
        Path(f"src/shop/{name}.py").touch()

    def write_table(table: Table) -> Path:
        write(table.plan, table.typed, ABOUT, tmp_path / "new")
        return tmp_path / "new"

    return write_table


def params(folder: Path) -> dict[str, Any]:
    return read_yaml(folder / "params.yaml")


def own(folder: Path, name: str) -> ModuleType:
    return module(folder / f"src/shop/{name}.py")


def features(folder: Path) -> dict[str, np.ndarray]:
    """Every feature of the rows that were written."""
    contract = contracts.parse(read_yaml(folder / "contract.yaml"))
    catalogue = Catalogue(contract, own(folder, "features"))
    table = pa.parquet.read_table(folder / "data/source/sales.parquet")
    return catalogue.compute(arrays(table, catalogue.inputs, contract))


def has_layout_of_dvc(path: Path) -> bool:
    """Whether `dvc exp run -S`, which reads and writes the file, would change a parameter alone."""
    text, written = path.read_text(encoding="utf-8"), io.StringIO()
    YAML().dump(YAML().load(text), written)
    return written.getvalue() == text


def is_tidy(folder: Path) -> bool:
    """Whether ruff, with the settings of a project, has nothing to say of the modules."""
    for words in ("check", "format --check"):
        command = [sys.executable, "-m", "ruff", *words.split(), "--config=pyproject.toml"]
        subprocess.run([*command, *folder.rglob("*.py")], cwd=folder.parent, check=True)
    return True


@pytest.mark.parametrize("by", ["time", "group", None])
@pytest.mark.parametrize("kind", ["binary", "classes", "regression", "counts"])
def test_tables_of_every_task_and_split_are_written(
    kind: str, by: str | None, written: Callable[[Table], Path]
) -> None:
    table = Table(kind, **{by: {"time": "sent", "group": "ward"}[by]} if by else {})
    table.add("ward", "string", "none", [f"ward {row // 8}" for row in range(240)])
    folder = written(table)
    assert params(folder)["split"]["by"] == (by or "stratified")
    headline = params(folder)["select"]["headline"]
    classification = kind in ("binary", "classes")
    assert headline == ("roc_auc" if classification else "root_mean_squared_error")
    assert params(folder)["gate"]["floor"] == 0.5 or not classification
    assert has_layout_of_dvc(folder / "params.yaml")
    assert is_tidy(folder)


NAMES = ["l", "np", "Age", "größe", "on", "name", "_hidden", "_1", "size_value", "tag", "A" * 90]


def test_columns_of_any_name_become_features(written: Callable[[Table], Path]) -> None:
    table = Table()
    for name in NAMES:
        table.add(name, "number", "number", np.arange(240.0), header=f'{name}: "x"\\')
    folder = written(table)
    assert is_tidy(folder)
    computed = features(folder)
    assert len(computed) == len({*computed} - {*table.columns}) == len(NAMES) + 2 + 4
    assert {
        "age_value",
        "hidden_value",
        "column_1_value",
        "size_value_2",
        "on_value",
    } <= computed.keys()


def test_dates_become_their_parts_but_none_that_a_later_row_cannot_share(
    written: Callable[[Table], Path],
) -> None:
    for roles, parts in (({}, {"month", "year"}), ({"time": "sent"}, set())):
        table = Table(**roles)
        days = table.values["sent"].astype("datetime64[D]") + np.timedelta64(2, "D")
        table.add("paid", "datetime", "date", days.astype("datetime64[us]"))
        computed = features(written(table))
        common = {"size_value", "town_category", "sent_hour", "sent_weekday", "paid_weekday"}
        of_dates = {f"{name}_{part}" for name in ("sent", "paid") for part in parts}
        assert computed.keys() == common | {"paid_days"} | of_dates
        assert computed["sent_hour"][0] == 6.5
        assert computed["paid_days"][0] == pytest.approx(2 - 6.5 / 24)


HALF_A_YEAR = [*np.linspace(0, 30, 60), *range(31, 182), *range(183, 365, 4)]  # has 4 in 5 rows


@pytest.mark.parametrize(
    ("days", "comes"), [(range(240), False), (range(0, 720, 3), True), (HALF_A_YEAR, False)]
)
def test_the_month_of_rows_in_time_comes_where_a_whole_year_is_learned_from(
    written: Callable[[Table], Path], days: Sequence[float], comes: bool
) -> None:
    table = Table(time="sent", rows=len(days))
    hours = np.rint(24 * np.array(days)).astype(int)
    table.values["sent"] = NEW_YEAR + HOUR * hours[::-1]
    folder = written(table)
    computed = features(folder)
    assert ("sent_month" in computed) is comes
    assert "sent_year" not in computed
    text = (folder / "src/shop/features.py").read_text(encoding="utf-8")
    assert ("Month and year are not features" in text) is not comes


@pytest.mark.parametrize(("rows", "stops"), [(240, False), (6500, True)])
def test_boosting_stops_early_where_rows_are_many(
    written: Callable[[Table], Path], rows: int, stops: bool
) -> None:
    folder = written(Table(rows=rows))
    params = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))
    boosting = params["train"]["hyperparameters"]["boosting"]
    assert (boosting["early_stopping"], boosting["max_iter"]) == (stops, 300 if stops else 100)


def test_texts_and_many_categories_say_how_they_are_encoded(
    written: Callable[[Table], Path],
) -> None:
    table = Table()
    table.add("note", "string", "text", ["Well,\tDONE!"] * 239 + [None], nullable=True)
    table.add("code", "string", "many categories", [f"c{row % 90}" for row in range(240)])
    folder = written(table)
    computed, own_module = features(folder), own(folder, "features")
    assert {*computed["note_words"]} == {"well done", "missing"}
    assert own_module.note_words.tags["encode"] == "text"
    assert own_module.code_category.tags["encode"] == "target"


def test_a_wide_table_has_lists_of_columns_in_place_of_functions(
    written: Callable[[Table], Path],
) -> None:
    table = Table()
    for number in range(300):
        table.add(f"x{number}", "number", "number", np.arange(240.0))
    folder = written(table)
    text = (folder / "src/shop/features.py").read_text(encoding="utf-8")
    assert len(text.splitlines()) < 150
    assert is_tidy(folder)
    computed = features(folder)
    assert len(computed) == 300 + 6
    np.testing.assert_array_equal(computed["x299_value"], np.arange(240, dtype=np.float32))


VALUES = ["yes", "NO", "1e5", "2013-01-01", "a: b", "# x", "it's", '"q"', "~", "0x1f", "1_000"]
VALUES += [" x", "😀", "\x85", "null", "-", "a\nb", "{}", "%", "=", "<<"]


def test_words_of_any_kind_stay_what_they_are(written: Callable[[Table], Path]) -> None:
    table = Table()
    table.add("odd", "category", "category", (VALUES * 12)[:240], allowed=VALUES)
    folder = written(table)
    column = read_yaml(folder / "contract.yaml")["columns"]["odd"]
    assert column["allowed"] == VALUES
    assert column == yaml.safe_load((folder / "contract.yaml").read_bytes())["columns"]["odd"]


def test_codespell_learns_the_words_of_the_table(written: Callable[[Table], Path]) -> None:
    table = Table()
    table.add("oder", "category", "category", ["nd", "fo"] * 120, allowed=["nd", "fo"])
    text = (written(table) / "pyproject.toml").read_text(encoding="utf-8")
    assert text == PYPROJECT.replace('"fpr"', '"fpr,fo,nd,oder"')


def test_source_reads_rows_with_an_outcome_once_and_names_them_by_their_place(
    written: Callable[[Table], Path], tmp_path: Path
) -> None:
    table = Table(unlabelled=1, duplicates=1)
    table.values["y"] = [*table.values["y"][:-1], None]
    table.values = {name: [values[0], *values] for name, values in table.values.items()}
    folder = written(table)
    read = own(folder, "source").read(folder / "data/source", until=None)
    assert read["row"].tolist() == ["sales-1", *(f"sales-{row}" for row in range(3, 241))]
    assert read["y"].notna().all()
    with pytest.raises(UserError, match="has no Parquet file"):
        own(folder, "source").read(tmp_path, until=None)


def test_a_number_that_some_fold_never_has_is_left_to_people(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
    table = Table(time="sent")
    table.add("late", "number", "number", [None] * 230 + [1.0] * 10, nullable=True)
    notes = write(table.plan, table.typed, ABOUT, tmp_path)
    assert "late_value" not in params(tmp_path)["train"]["features"]["all"]
    assert any(note.startswith("late") for note in notes)


def test_rare_classes_are_measured_by_what_needs_no_row_of_each(
    written: Callable[[Table], Path],
) -> None:
    table = Table("classes")
    table.values["y"] = ["a"] * 118 + ["b"] * 120 + ["c"] * 2
    folder = written(table)
    assert params(folder)["select"]["headline"] == "log_loss"
    assert params(folder)["gate"]["floor"] > 0.6


def test_rows_that_are_alike_by_chance_may_stand_on_both_sides_of_the_split(
    written: Callable[[Table], Path],
) -> None:
    folder = written(Table(kept_duplicates=7))
    allowed = params(folder)["split"]["leakage"]["allow"]
    assert allowed[SAME]["row"].startswith("7 rows are alike by chance")
    assert has_layout_of_dvc(folder / "params.yaml")


def test_too_few_rows_are_refused(written: Callable[[Table], Path]) -> None:
    table = Table(rows=4)
    with pytest.raises(UserError, match="y "):
        written(table)


def test_a_class_that_only_the_newest_rows_have_is_reported_with_the_fix(
    written: Callable[[Table], Path],
) -> None:
    table = Table("classes", time="sent")
    table.values["y"] = ["a"] * 100 + ["b"] * 100 + ["c"] * 40
    with pytest.raises(UserError, match="^a split by time fails: y is never c .*--time none"):
        written(table)


@pytest.mark.parametrize(
    ("table", "shown", "name"),
    [
        ("/home/ada/My Sales.csv.gz", "My Sales.csv.gz", "my_sales"),
        ("https://u:secret@host:8443/a/b.csv?key=secret#x", "https://host:8443/a/b.csv", "b"),
        ("postgresql+psycopg://ada:secret@db/shop", "postgresql+psycopg://db/shop", "shop"),
        ("s3://bucket/sales/", "s3://bucket/sales/", "sales"),
        ("sqlite:////home/ada/shop.db", "shop.db", "shop"),
        ("", "", "table"),
    ],
)
def test_where_a_table_is_is_shown_without_secrets(table: str, shown: str, name: str) -> None:
    assert (address(table), stem(table)) == (shown, name)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with DVC, a sample, and what is not to be replaced."""
    monkeypatch.chdir(tmp_path)
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "Ada")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "ada@example.com")
    git.run("init", "--quiet", "--initial-branch=main")
    subprocess.run([sys.executable, "-m", "dvc", "init", "--quiet"], check=True)
    texts = {"contract.yaml": "the sample's", "data/make_sample.py": "", "dvc.lock": "", "a": ""}
    for name, text in {**texts, "data/source/old.csv": "1", "data/.gitignore": "/source"}.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text, encoding="utf-8")
    subprocess.run([sys.executable, "-m", "dvc", "add", "--quiet", "data/source"], check=True)
    git.run("add", ".")
    git.run("commit", "--quiet", "--message", "First")
    return tmp_path


def fill(folder: Path, text: str = "new") -> None:
    for name in ("contract.yaml", "tests/test_it.py", "data/source/new.parquet"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


WARNS = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # what DVC imports
PATHS = [Path("contract.yaml"), Path("tests/test_it.py")]


@WARNS
def test_the_new_stands_in_place_of_the_old_and_again(project: Path) -> None:
    for text in ("new", "newer"):
        swap.refuse_edited(PATHS)
        with swap.staging() as folder:
            fill(folder, text)
            swap.swap()
        assert Path("contract.yaml").read_text(encoding="utf-8") == text
        assert [path.name for path in Path("data/source").iterdir()] == ["new.parquet"]
        assert not Path("data/make_sample.py").exists() and Path("a").exists()
        assert not swap.STAGING.exists()
        Path("dvc.lock").write_text("of the new table", encoding="utf-8")  # stays
    assert Path("dvc.lock").exists()


@WARNS
def test_what_was_edited_is_named_and_nothing_is_written(project: Path) -> None:
    with swap.staging() as folder:
        fill(folder)
        swap.swap()
    Path("tests/test_it.py").write_text("mine", encoding="utf-8")
    with pytest.raises(CheckError, match="edited since .*: tests/test_it.py; --force overwrites"):
        swap.refuse_edited(PATHS)
    Path("tests/test_it.py").unlink()
    Path("data/source/more.csv").write_text("2", encoding="utf-8")
    with pytest.raises(CheckError, match=r"data/source \(not as data/source.dvc records it\)"):
        swap.refuse_edited(PATHS)


def test_without_a_commit_to_go_back_to_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    git.run("init", "--quiet")
    with pytest.raises(UserError, match="^git has no commit here to go back to; type 'git init"):
        swap.refuse_edited(PATHS)


@WARNS
@pytest.mark.parametrize("is_committed", [False, True])
def test_an_edit_of_the_sample_is_kept(project: Path, is_committed: bool) -> None:
    Path("contract.yaml").write_text("mine", encoding="utf-8")
    if is_committed:
        git.run("commit", "--quiet", "--all", "--message", "Mine")
    with pytest.raises(CheckError, match="contract.yaml"):
        swap.refuse_edited(PATHS)


def test_an_interrupt_leaves_the_project_as_it_was(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path: path.read_bytes() for path in project.rglob("*") if _is_own(path)}
    rename = Path.rename

    def stopped(last: int) -> Callable[[Path, Path], Path]:
        moved: list[Path] = []

        def renamed(path: Path, to: Path) -> Path:
            moved.append(path)
            if len(moved) == last:
                raise KeyboardInterrupt
            return rename(path, to)

        return renamed

    for last in range(10):  # at 0 it is interrupted in DVC
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(Path, "rename", stopped(last))
            patch.setattr(swap.storage, "opened", _ctrl_c)
            with swap.staging() as folder:
                fill(folder)
                swap.swap()
        assert {path: path.read_bytes() for path in project.rglob("*") if _is_own(path)} == before
        assert git.changes() == []


KILLED = """
import os, sys
from pathlib import Path
from machinery.adopt import swap
rename, left = Path.rename, int(sys.argv[1])
def killed(path, to):
    global left
    left -= 1
    if left < 0:
        os._exit(137)
    return rename(path, to)
with swap.staging() as folder:
    for name in ("contract.yaml", "tests/test_it.py", "data/source/new.parquet"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("new")
    Path.rename = killed
    swap.swap()
"""


@pytest.mark.parametrize("moves", [2, 3, 5, 8])
def test_after_a_kill_nothing_goes_on_before_the_former_files_are_back(
    project: Path, moves: int
) -> None:
    Path("contract.yaml").write_text("mine, and in no commit", encoding="utf-8")  # by --force
    before = {path: path.read_bytes() for path in project.rglob("*") if _is_own(path)}
    command = [sys.executable, "-c", KILLED, str(moves)]
    assert subprocess.run(command, env=PATHS_OF_PYTHON, check=False).returncode == 137
    for _ in range(2):
        with pytest.raises(UserError, match="^adopt was killed while it wrote; 'cp ") as refused:
            swap.refuse_unfinished()
    subprocess.run(str(refused.value).split("'")[1], shell=True, check=True)
    swap.refuse_unfinished()
    after = {path: path.read_bytes() for path in project.rglob("*") if _is_own(path)}
    assert before.items() <= after.items()


def _is_own(path: Path) -> bool:
    return path.is_file() and not {".git", ".dvc"}.intersection(path.parts)


def _ctrl_c(what: str) -> None:
    raise KeyboardInterrupt


def test_a_dry_run_shows_lines_and_files(project: Path) -> None:
    with swap.staging() as folder:
        fill(folder)
        shown = list(swap.difference())
    assert "-the sample's" in shown and "+new" in shown
    assert "removed: data/make_sample.py" in shown
    assert "written: data/source/new.parquet" in shown
    assert git.changes() == []
