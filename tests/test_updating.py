"""Updates from the template with `make update` and cruft, as in docs/updating.md."""

import re
import subprocess
from hashlib import sha256
from pathlib import Path

import pytest

from conftest import TEMPLATE, BakedProject, copy_template
from test_doctor import doctor, wrong

SOURCE = "{{cookiecutter.project_slug}}"


class Updated:
    """A template that changes, and a project made from its first version."""

    def __init__(self, folder: Path, files: dict[str, str] | None = None) -> None:
        self.template = folder / "template"
        self.project = folder / "flight_delays"
        copy_template(self.template)
        for name, text in (files or {}).items():
            (self.template / name).write_text(text, encoding="utf-8")
        self.run(self.template, "git", "init", "--quiet", "-b", "main")
        self.run(self.template, "git", "add", "--force", ".")
        self.run(self.template, "git", "commit", "--quiet", "-m", "One")
        output = self.run(folder, "cruft", "create", "--no-input", str(self.template))
        (self.first_commit,) = re.findall(r"^    (git init .*)$", output, re.MULTILINE)

    def run(self, folder: Path, *command: str) -> str:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start(self) -> None:
        """Make the first commit of the project."""
        self.run(self.project, "sh", "-c", self.first_commit)

    def move_on(self, **changes: tuple[str, str]) -> None:
        """Change files of the template, and commit that."""
        for name, (old, new) in changes.items():
            replace(self.template / SOURCE / name.replace("__", "."), old, new)
        self.run(self.template, "git", "commit", "--quiet", "--all", "-m", "Two")

    def edit(self, **changes: tuple[str, str]) -> None:
        """Change files of the project, as its user does."""
        for name, (old, new) in changes.items():
            replace(self.project / name.replace("__", "."), old, new)

    def commit(self) -> None:
        self.run(self.project, "git", "commit", "--quiet", "--all", "-m", "Mine")

    def update(self) -> list[str]:
        """Update the project, and return git's list of changes."""
        self.run(self.project, "cruft", "update", "--skip-apply-ask")
        changed = self.run(self.project, "git", "status", "--porcelain").splitlines()
        return sorted(changed, key=lambda line: line[3:])

    def text(self, name: str) -> str:
        return (self.project / name).read_text(encoding="utf-8")


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, (path, old)
    path.write_text(text.replace(old, new), encoding="utf-8")


GATE = "src/machinery/pipeline/stages/gate.py"


def next_template(folder: Path) -> Path:
    """The template with version 0.1.0 in its history, and a newer gate and README."""
    template = copy_template(folder / "template")
    for words in (("init", "--quiet"), ("add", "--force", "."), ("commit", "-qm", "One")):
        subprocess.run(["git", *words], cwd=template, check=True)
    subprocess.run(["git", "tag", "v0.1.0"], cwd=template, check=True)
    (template / SOURCE / "src/machinery/VERSION").write_text("0.2.0\n", encoding="utf-8")
    for name in (GATE, "README.md"):
        with (template / SOURCE / name).open("a", encoding="utf-8") as file:
            file.write("\n# newer\n")
    return template


@pytest.mark.slow
def test_make_update_brings_the_machinery_and_names_the_rest(
    work: BakedProject, tmp_path: Path
) -> None:
    template = next_template(tmp_path)
    metrics = (work.path / "metrics.json").read_bytes()
    readme = (work.path / "README.md").read_bytes()
    output = work.run("make", "update", f"FROM={template}").stdout
    assert "src/machinery was 0.1.0 and is 0.2.0; 1 files changed." in output
    assert "Review what else changed in the template since v0.1.0:" in output
    assert "\n    README.md\n" in output
    assert (work.path / "README.md").read_bytes() == readme
    assert doctor(work)["machinery"]["found"] == "0.2.0, as the template has it"
    work.run("dvc", "repro")
    assert (work.path / "metrics.json").read_bytes() == metrics
    changed = {line[3:] for line in work.run("git", "status", "--porcelain").stdout.splitlines()}
    assert changed == {"dvc.lock", GATE, "src/machinery/VERSION"}
    work.run("git", "commit", "--quiet", "--no-verify", "--all", "--message", "Update")
    work.run("dvc", "push")
    assert wrong(work) == []


@pytest.mark.slow
def test_make_update_refuses_an_edited_machinery_unless_it_is_forced(
    work: BakedProject, tmp_path: Path
) -> None:
    template = next_template(tmp_path)
    with (work.path / GATE).open("a", encoding="utf-8") as file:
        file.write("# mine\n")
    refused = work.run("make", "update", f"FROM={template}", check=False).stdout
    assert f"not committed: {GATE}" in refused
    work.run("git", "commit", "--quiet", "--no-verify", "--all", "--message", "Mine")
    refused = work.run("make", "update", f"FROM={template}", check=False).stdout
    assert f"edited here: {GATE}; --force (make: FORCE=1)" in refused
    assert work.file_contains(GATE, "# mine")
    output = work.run("make", "update", "FROM=data", "FORCE=1", check=False).stdout
    assert "data is not the template" in output
    work.run("make", "update", f"FROM={template}", "REV=v0.1.0", "FORCE=1")
    assert not work.file_contains(GATE, "# mine")
    assert not work.file_contains(GATE, "# newer")


@pytest.fixture
def updated(tmp_path: Path) -> Updated:
    return Updated(tmp_path)


def test_a_change_of_the_template_comes_to_a_project(updated: Updated) -> None:
    updated.start()
    updated.run(updated.project, "cruft", "check")
    updated.move_on(params__yaml=("folds: 4 ", "folds: 5 "))
    assert updated.update() == [" M .cruft.json", "M  params.yaml"]
    assert "folds: 5 " in updated.text("params.yaml")
    updated.run(updated.project, "cruft", "check")


def test_cruft_brings_the_machinery_and_its_record(updated: Updated) -> None:
    updated.start()
    line = "from math import inf"
    updated.move_on(**{GATE.replace(".py", "__py"): (line, f"{line}  # newer")})
    changed = [line[3:] for line in updated.update()]
    assert changed == [".cruft.json", "src/machinery/VERSION", GATE]
    sums = updated.text("src/machinery/VERSION")
    digest = sha256(updated.text(GATE).encode()).hexdigest()
    assert f"{digest}  {GATE.removeprefix('src/machinery/')}" in sums


def test_edits_of_the_user_survive_beside_those_of_the_template(updated: Updated) -> None:
    updated.start()
    updated.edit(params__yaml=("floor: 0.65", "floor: 0.7"), README__md=("## Start", "## Begin"))
    (updated.project / "mine.md").write_text("mine\n", encoding="utf-8")
    updated.run(updated.project, "git", "add", ".")
    updated.commit()
    updated.move_on(
        params__yaml=("folds: 4 ", "folds: 5 "), contract__yaml=("version: 1", "version: 2")
    )
    changed = updated.update()
    assert [line[3:] for line in changed] == [".cruft.json", "contract.yaml", "params.yaml"]
    assert "folds: 5 " in updated.text("params.yaml")
    assert "floor: 0.7" in updated.text("params.yaml")
    assert "## Begin" in updated.text("README.md")
    assert updated.text("mine.md") == "mine\n"


def test_where_both_changed_a_line_git_marks_a_conflict_with_both(updated: Updated) -> None:
    updated.start()
    updated.edit(params__yaml=("folds: 4 ", "folds: 3 "))
    updated.commit()
    updated.move_on(
        params__yaml=("folds: 4 ", "folds: 5 "), Makefile=("setup: .venv", "setup:  .venv")
    )
    assert "UU params.yaml" in updated.update()
    assert re.search(
        "<<<<<<< ours\n  folds: 3 .*\n=======\n  folds: 5 .*\n>>>>>>> theirs\n",
        updated.text("params.yaml"),
    )
    assert "setup:  .venv" in updated.text("Makefile")


def test_without_the_bake_in_git_what_does_not_fit_is_in_a_rej_file(updated: Updated) -> None:
    updated.edit(params__yaml=("folds: 4 ", "folds: 3 "))
    updated.start()
    updated.move_on(
        params__yaml=("folds: 4 ", "folds: 5 "), Makefile=("setup: .venv", "setup:  .venv")
    )
    assert "?? params.yaml.rej" in updated.update()
    assert "folds: 3 " in updated.text("params.yaml")
    assert "+  folds: 5 " in updated.text("params.yaml.rej")
    assert "setup:  .venv" in updated.text("Makefile")


def test_files_that_the_user_wants_left_alone_are(updated: Updated) -> None:
    updated.start()
    with (updated.project / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write('\n[tool.cruft]\nskip = ["params.yaml"]\n')
    updated.commit()
    updated.move_on(params__yaml=("folds: 4 ", "folds: 5 "))
    updated.update()
    assert "folds: 4 " in updated.text("params.yaml")


def test_a_project_that_cookiecutter_made_is_linked_later(updated: Updated) -> None:
    (updated.project / ".cruft.json").unlink()
    updated.start()
    link = ("cruft", "link", "--no-input", str(updated.template))
    updated.run(updated.project, *link)
    updated.run(updated.project, "git", "add", ".cruft.json")
    updated.commit()
    updated.move_on(params__yaml=("folds: 4 ", "folds: 5 "))
    updated.update()
    assert "folds: 5 " in updated.text("params.yaml")


def test_a_bad_slug_is_refused_in_one_sentence_with_nothing_written(
    updated: Updated, tmp_path: Path
) -> None:
    (tmp_path / "here").mkdir()
    answers = ("--extra-context", '{"project_slug": "a/b"}')
    done = subprocess.run(
        ["cruft", "create", "--no-input", *answers, str(updated.template)],
        cwd=tmp_path / "here",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert re.fullmatch(r'project_slug "a/b" is .*: choose another\.\n', done.stdout + done.stderr)
    assert list((tmp_path / "here").iterdir()) == []


def test_a_project_of_before_the_answers_were_checked_by_a_filter_is_updated(
    tmp_path: Path,
) -> None:
    of_today = (TEMPLATE / "cookiecutter.json").read_text(encoding="utf-8")
    of_before = re.sub(r'  "(__fault|_extensions)": .*\n', "", of_today)
    assert of_before.count("\n") == of_today.count("\n") - 2
    updated = Updated(tmp_path, {"cookiecutter.json": of_before})
    assert "_extensions" not in updated.text(".cruft.json")
    updated.start()
    (updated.template / "cookiecutter.json").write_text(of_today, encoding="utf-8")
    updated.move_on(params__yaml=("folds: 4 ", "folds: 5 "))
    assert updated.update() == [" M .cruft.json", "M  params.yaml"]
    assert "_extensions" in updated.text(".cruft.json")
    updated.run(updated.project, "cruft", "diff", "--exit-code")
