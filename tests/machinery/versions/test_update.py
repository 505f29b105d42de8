"""update: the machinery is replaced whole, an edited one is not, and what else changed is named."""

from pathlib import Path

import pytest

from machinery.pipeline.files import CheckError, UserError
from machinery.versions import git, manifest
from machinery.versions.update import update

MACHINERY = "src/machinery"


def write(name: str | Path, text: str) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(text, encoding="utf-8")


def save(folder: Path) -> None:
    git.run("add", ".", cwd=folder)
    git.run("commit", "--quiet", "--allow-empty", "--message", "A change", cwd=folder)


@pytest.fixture
def template(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A template with one module and a README, and beside it, as the folder, a project of it."""
    source = repository / "template" / "{{project}}"
    for place in (source, repository / "project"):
        write(place / MACHINERY / "VERSION", "1.0.0\n")
        write(place / MACHINERY / "a.py", "a = 1\n")
        write(place / MACHINERY / "old.py", "")
        write(place / "README.md", "One\n")
        write(place / "named.md", "{{name}}\n" if place == source else "Shop\n")
    monkeypatch.chdir(repository / "project")
    manifest.write(Path(MACHINERY))
    for folder in (repository / "template", repository / "project"):
        git.run("init", "--quiet", "--initial-branch=main", str(folder))
        save(folder)
    git.run("tag", "v1.0.0", cwd=repository / "template")
    return repository / "template"


def move_on(template: Path) -> None:
    """The next version of the template: a module changes, one goes, one comes."""
    source = template / "{{project}}"
    write(source / MACHINERY / "VERSION", "1.1.0\n")
    write(source / MACHINERY / "a.py", "a = 2\n")
    write(source / MACHINERY / "rooms/b.py", "b = 1\n")
    (source / MACHINERY / "old.py").unlink()
    write(source / "README.md", "Two\n")


@pytest.mark.parametrize("revision", [None, "HEAD"])
def test_the_machinery_becomes_the_templates_and_the_rest_is_named(
    template: Path, revision: str | None
) -> None:
    move_on(template)
    save(template)
    done = update(str(template), revision)
    assert (done.before, done.after) == ("1.0.0", "1.1.0")
    assert done.files == ["a.py", "old.py", "rooms/b.py"]
    assert (done.elsewhere, done.since) == (["README.md"], "v1.0.0")
    assert Path(MACHINERY, "a.py").read_text(encoding="utf-8") == "a = 2\n"
    assert not Path(MACHINERY, "old.py").exists()
    assert manifest.check() == "1.1.0, as the template has it"
    assert Path("README.md").read_text(encoding="utf-8") == "One\n"
    assert {path.name for path in Path("src").iterdir()} == {"machinery"}


def test_without_the_old_version_in_its_history_what_differs_is_named(template: Path) -> None:
    git.run("tag", "--delete", "v1.0.0", cwd=template)
    move_on(template)
    write(template / ".gitignore", "*.pyc\n")
    write(template / "{{project}}/tests/__pycache__/test_a.pyc", "")
    done = update(str(template))
    assert (done.elsewhere, done.since) == (["README.md"], None)


def test_an_edited_machinery_is_refused_with_the_files_named_until_it_is_forced(
    template: Path,
) -> None:
    write(f"{MACHINERY}/a.py", "a = 3\n")
    write(f"{MACHINERY}/mine.py", "")
    save(Path())
    assert manifest.check() == "1.0.0, edited here: a.py, mine.py"
    move_on(template)
    with pytest.raises(CheckError, match=r"edited here: src/machinery/a.py, src/machinery/mine.py"):
        update(str(template))
    assert Path(MACHINERY, "a.py").read_text(encoding="utf-8") == "a = 3\n"
    assert update(str(template), force=True).after == "1.1.0"
    assert not Path(MACHINERY, "mine.py").exists()


def test_a_tree_with_changes_and_a_folder_that_is_no_template_are_refused(template: Path) -> None:
    with pytest.raises(UserError, match="is not the template"):
        update(str(template / "{{project}}"))
    write("README.md", "mine\n")
    with pytest.raises(CheckError, match="not committed: README.md"):
        update(str(template))


def test_the_checks_of_the_machinery_ignore_compiled_python(template: Path) -> None:
    write(f"{MACHINERY}/__pycache__/a.pyc", "")
    assert manifest.edited(Path(MACHINERY)) == []
