"""`adopt` replaces the sample with another table, and everything works without an edit."""

import json
import os
import pty
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from conftest import BakedProject, bake, once
from service import serving

pytestmark = pytest.mark.slow

SAMPLE = re.compile(r"flights?\b|carrier|airport|airline", re.IGNORECASE)
NOT_OURS = ("docs/guide/", "src/machinery/", "requirements", "deploy/grafana/")
TABLES = {  # how each is adopted, and a file that comes later
    "orders.csv": ["--target", "Complained"],
    "stays.parquet": ["--target", "days", "--group", "ward"],
    "teile.csv": ["--target", "Größe"],
}


def orders(random: Any) -> pd.DataFrame:
    """Two classes as words; times, texts, many towns, and personal data."""
    rows = 700
    hours = np.sort(random.integers(0, 9000, rows))
    when = pd.Timestamp("2023-01-02") + pd.to_timedelta(hours, "h")
    words = ["late", "broken", "fine", "great", "slow", "kind", "box"]
    notes = [" ".join(random.choice(words, 5)) for _ in range(rows)]
    age = random.integers(18, 85, rows).astype(object)
    age[::19] = None
    effort = [2 * ("broken" in text) + ("late" in text) for text in notes]
    effort = effort + 0.4 * random.normal(size=rows) + (age == None) * 0.5  # noqa: E711
    return pd.DataFrame(
        {
            "E-Mail": [f"ada{row}@example.com" for row in range(rows)],
            "Ordered At": when.strftime("%d.%m.%Y %H:%M"),
            "class": random.choice(["economy", "first", "next day"], rows),
            "Town": random.choice([f"Town {number}" for number in range(120)], rows),
            "Age (years)": age,
            "Amount": [f"{value:,.2f} €" for value in random.gamma(2, 300, rows)],
            "Note": notes,
            "Complained": np.where(effort > 1.5, "yes", "no"),
        }
    )


def stays(random: Any) -> pd.DataFrame:
    """Patients with numeric columns, ten to a ward."""
    rows = 800
    mass, of_ward = random.normal(25, 4, rows).round(1), random.normal(size=rows // 10)
    sex = random.choice(["f", "m"], rows)
    days = 5 + mass / 4 + 2 * (sex == "m") + of_ward[np.arange(rows) // 10]
    return pd.DataFrame(
        {
            "patient": [f"P{row:04d}" for row in range(rows)],
            "ward": [f"W{row // 10:02d}" for row in range(rows)],
            "sex": sex,
            "mass": mass,
            "days": (days + random.normal(size=rows)).round(2),
        }
    )


def parts(random: Any) -> pd.DataFrame:
    """Three classes in German, with German number formats."""
    weight, height = random.normal(10, 2, (2, 600))
    sizes = np.array(["klein", "mittel", "groß"])[np.digitize(weight + height, [18.5, 21.5])]
    colours = random.choice(["rot", "grün", "blau"], 600)
    return pd.DataFrame(
        {"Gewicht (kg)": weight.round(2), "Höhe": height.round(3), "Farbe": colours, "Größe": sizes}
    )


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tables of TABLES."""
    folder, random = tmp_path_factory.mktemp("tables"), np.random.default_rng(1)
    orders(random).to_csv(folder / "orders.csv", index=False)
    stays(random).to_parquet(folder / "stays.parquet")
    parts(random).to_csv(folder / "teile.csv", sep=";", decimal=",", encoding="cp1252", index=False)
    return folder


@pytest.fixture(scope="session")
def house_sales(tmp_path_factory: pytest.TempPathFactory) -> BakedProject:
    """A project of another name with the sample. Shared: copy it before changing it."""
    answers = {"project_name": "House sales", "description": "Predicts what houses sell for"}
    make = lambda folder: bake(folder, **answers).run("make", "setup")  # noqa: E731
    return once(tmp_path_factory, "house_sales", make, "house_sales").here()


@pytest.fixture
def work(house_sales: BakedProject, tmp_path: Path) -> BakedProject:
    """A copy of the project with the sample."""
    return house_sales.copy(tmp_path / house_sales.path.name)


def adopt(project: BakedProject, table: Path, *more: str, check: bool = True) -> str:
    words = [*TABLES.get(table.name, []), *more]
    return project.run("house-sales", "adopt", table, *words, check=check).stdout


def status(project: BakedProject) -> str:
    return project.run("git", "status", "--porcelain").stdout


def of_the_sample(project: BakedProject) -> list[str]:
    """The files that still mention the sample."""
    names = project.run("git", "ls-files", "--cached", "--others", "--exclude-standard").stdout
    texts = {
        name: (project.path / name).read_text(encoding="utf-8")
        for name in names.splitlines()
        if not name.startswith(NOT_OURS) and (project.path / name).is_file()
    }
    return [name for name, text in texts.items() if SAMPLE.search(text)]


@pytest.mark.parametrize("name", TABLES)
def test_a_table_works_from_adopt_to_monitor_without_an_edit(
    name: str, tables: Path, work: BakedProject, tmp_path: Path
) -> None:
    output = adopt(work, tables / name)
    assert "make check test" in output
    work.run("dvc", "repro")
    work.run("make", "test")
    work.run("git", "add", ".")
    work.run("git", "commit", "--quiet", "--message", "Another table")  # with all that check runs
    work.run("house-sales", "show")  # exits with 0: the gate passed
    assert of_the_sample(work) == []
    assert "up to date" in work.run("dvc", "repro").stdout
    work.run("house-sales", "report", "--against", "HEAD", "--output", "report.md")
    work.run("house-sales", "convert", tables / name, tmp_path / "later.parquet")
    work.run("house-sales", "predict", tmp_path / "later.parquet", tmp_path / "predicted.parquet")
    serve_and_monitor(work, name)


def serve_and_monitor(work: BakedProject, name: str) -> None:
    """Answer the test rows, deliver their outcomes, and monitor."""
    with serving(work, api_keys="", demo=True) as server:
        if name == "orders.csv":  # which has a time
            url = f"http://127.0.0.1:{server.port}"
            output = work.run("house-sales", "replay", "--from", "2023-11-01", "--url", url).stdout
            assert "refused" not in output
        else:
            table = pd.read_parquet(work.path / "data/test.parquet")
            target = json.loads((work.path / "models/model.json").read_text())["target"]
            rows = json.loads(table.drop(columns=target).to_json(orient="records"))
            code, answer = server.ask("/predict", rows)
            assert code == 200, answer
            for row, outcome in enumerate(json.loads(table[target].to_json(orient="values"))[:60]):
                feedback = {"request_id": answer["request_id"], "row": row, "outcome": outcome}
                assert server.ask("/feedback", feedback)[0] == 200
    report = json.loads(work.run("house-sales", "monitor", "--json").stdout)
    assert sum(window["labelled"] for window in report["windows"]) >= 60


def test_a_dry_run_shows_the_difference_and_writes_nothing(
    tables: Path, work: BakedProject
) -> None:
    output = adopt(work, tables / "teile.csv", "--dry-run")
    assert "\n-target: late # what is predicted\n" in output
    assert "\n+target:" in output and "written: data/source/teile.parquet" in output
    assert status(work) == ""


def test_a_second_run_changes_nothing_and_edited_files_are_named(
    tables: Path, work: BakedProject
) -> None:
    adopt(work, tables / "teile.csv")
    first = work.run("git", "diff", "HEAD").stdout
    adopt(work, tables / "teile.csv")
    assert work.run("git", "diff", "HEAD").stdout == first
    with (work.path / "contract.yaml").open("a") as file:
        file.write("# mine\n")
    done = work.run("house-sales", "adopt", tables / "teile.csv", "--target", "Farbe", check=False)
    assert done.returncode == 1 and "contract.yaml; --force overwrites" in done.stdout
    assert work.file_contains("contract.yaml", "# mine")
    adopt(work, tables / "stays.parquet", "--force")
    assert not work.file_contains("contract.yaml", "# mine")
    assert [path.name for path in (work.path / "data/source").iterdir()] == ["stays.parquet"]


@pytest.mark.parametrize("seconds", [0.5, 1.5, 2.5])
def test_an_interrupted_run_leaves_the_project_as_it_was(
    seconds: float, tables: Path, work: BakedProject
) -> None:
    command = ["house-sales", "adopt", str(tables / "teile.csv"), *TABLES["teile.csv"]]
    process = subprocess.Popen(
        command, cwd=work.path, env=work.environment, stdout=subprocess.PIPE, text=True
    )
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    if "Written." not in process.communicate()[0]:
        assert status(work) == ""
        assert not (work.path / ".dvc/tmp/adopt").exists()


def test_at_a_terminal_a_person_is_asked(tables: Path, work: BakedProject) -> None:
    def typed(answers: str) -> tuple[str, int]:
        terminal, end = pty.openpty()
        command = ["house-sales", "adopt", str(tables / "orders.csv"), *TABLES["orders.csv"]]
        process = subprocess.Popen(
            command, cwd=work.path, env=work.environment, stdin=end, stdout=subprocess.PIPE
        )
        os.write(terminal, answers.encode())
        output = process.communicate()[0].decode()
        os.close(terminal)
        os.close(end)
        return output, process.returncode

    output, code = typed("\nn\n")
    assert "Write these files? [Y/n]" in output and code == 1
    assert status(work) == ""
    output, code = typed("Note.use=none\n\n\n")
    assert "Written." in output and code == 0
    assert output.count("To check:") == 2
    assert not work.file_contains("src/house_sales/features.py", "Note")


def test_invalid_arguments_are_refused_in_one_sentence_and_nothing_is_written(
    tables: Path, work: BakedProject
) -> None:
    for words, sentence in (
        ((str(tables / "none.csv"), "--target", "x"), "none.csv is missing"),
        ((str(tables / "teile.csv"), "--target", "Groesse"), "Groesse"),
        ((str(tables / "teile.csv"), "--target", "Farbe", "--set", "x"), "COLUMN.WHAT=VALUE"),
    ):
        done = work.run("house-sales", "adopt", *words, check=False)
        assert done.returncode == 2 and sentence in done.stdout
        assert "Traceback" not in done.stdout
        assert len(done.stdout.strip().splitlines()) == 1
    assert status(work) == ""


def test_names_and_values_that_are_code_never_run(tmp_path: Path, work: BakedProject) -> None:
    ran = tmp_path / "ran"
    touch = f"import os; os.system('touch {ran}')"
    names = [f'a"""\n{touch}\n"""', f"b\\\n{touch}", "{{ 7*7 }}{% raw %}", f"`touch {ran}`"]
    names += [f"f'; {touch}; '", "g # note\ntarget: evil", "<script>alert(1)</script>"]
    names += ["h\u2028i", "right \u202e to left"]
    random = np.random.default_rng(1)
    table = pd.DataFrame({name: random.normal(size=400) for name in names})
    texts = [f"$(touch {ran})", 'x: "y"\n- z', "{{ 7*7 }}", "\\"]
    table["texts"] = random.choice(texts, 400)
    table["y"] = np.where(table[names[0]] > 0, f'"""{touch}', "no\n: yes")
    table.to_csv(tmp_path / "table.csv", index=False)
    output = adopt(work, tmp_path / "table.csv", "--target", "y")
    assert "Written." in output and "\u202e" not in output and "\ntarget: evil" not in output
    work.run("make", "check", "test")
    work.run("dvc", "repro", "featurize")
    assert not ran.exists()
