"""Remedies: running each one fixes the fault and loses no data."""

import hashlib
import io
import json
import re
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import BakedProject
from test_doctor import doctor, edit, follow, wrong
from test_faults import recipe
from test_versions import REFUSALS, append, rollback

pytestmark = pytest.mark.slow

TOOL_FILES = ("/.venv", "/__pycache__/", "/.dvc/tmp/", "/.git/")
SOURCE = "data/source/2013-04.parquet"
CONFLICT = "<<<<<<< HEAD\nmine\n=======\n>>>>>>> theirs\n"

Change = Callable[[BakedProject], object]


def contents(project: BakedProject) -> dict[str, str]:
    """The hash of every content in project, cache, remote, archives and git, with a place of it."""
    places = {}
    for path in sorted(project.path.parent.rglob("*")):
        place = str(path.relative_to(project.path.parent))
        if path.is_file() and not any(part in f"/{place}" for part in TOOL_FILES):
            places[hashlib.sha256(path.read_bytes()).hexdigest()] = place
    for archive in (project.path / ".dvc/tmp").glob("removed-*.tar"):
        with tarfile.open(archive) as tar:
            for member in filter(tarfile.TarInfo.isfile, tar.getmembers()):
                text = (tar.extractfile(member) or io.BytesIO()).read()
                places[hashlib.sha256(text).hexdigest()] = f"{archive.name}: {member.name}"
    if not (project.path / ".git").exists():
        return places
    objects = project.run("git", "cat-file", "--batch-all-objects", "--batch-check").stdout
    refs = project.run("git", "for-each-ref", "--format=a ref to %(objectname)").stdout
    return places | dict.fromkeys((objects + refs).splitlines(), "git")


def write(name: str, text: str = "mine\n") -> Change:
    return lambda project: (project.path / name).write_text(text, encoding="utf-8")


def remove(name: str) -> Change:
    return lambda project: (project.path / name).unlink()


def flip(name: str) -> Change:
    """Change the bytes of a file's object in the cache."""

    def change(project: BakedProject) -> None:
        place = stored(project, name, project.path / ".dvc/cache/files/md5")
        place.chmod(0o644)
        place.write_bytes(b"corrupted")
        place.chmod(0o444)  # DVC verifies, and removes, writable files

    return change


def stored(project: BakedProject, name: str, objects: Path) -> Path:
    digest = hashlib.md5((project.path / name).read_bytes(), usedforsecurity=False).hexdigest()
    return objects / digest[:2] / digest[2:]


def remove_the_repository(project: BakedProject) -> None:
    shutil.rmtree(project.path / ".git")


def new_parameter(project: BakedProject) -> None:
    edit(project, "params.yaml", "floor: 0.65", "floor: 0.6")


def no_remote(project: BakedProject) -> None:
    project.run("dvc", "remote", "remove", "storage")


def move_the_remote(project: BakedProject) -> None:
    remote = project.path.parent / "flight_delays-dvc-remote"
    remote.rename(project.path.parent / "elsewhere")


# The check that fails, what the doctor finds, and the cause.
FAULTS: dict[str, tuple[str, str, Change]] = {
    "no repository": ("git", "not a git repository", remove_the_repository),
    "no hook": ("hooks", "pre-push not installed", remove(".git/hooks/pre-push")),
    "no pins": ("packages", "requirements.lock cannot be read: ", remove("requirements.lock")),
    "pins in conflict": (
        "packages",
        "requirements.lock cannot be read: ",
        write("requirements.lock", CONFLICT),
    ),
    "settings in conflict": (
        "python",
        "pyproject.toml cannot be read: ",
        write("pyproject.toml", CONFLICT),
    ),
    "no lock": ("lock", "there is no dvc.lock: nothing was run yet", remove("dvc.lock")),
    "lock in conflict": ("lock", "dvc.lock cannot be read", write("dvc.lock", CONFLICT)),
    "source's record in conflict": (
        "lock",
        "data/source.dvc cannot be read",
        write("data/source.dvc", CONFLICT),
    ),
    "source corrupted in the cache": ("cache", "1 corrupted", flip(SOURCE)),
    "a table changed": (
        "files",
        "data/train.parquet changed (dvc repro, if you meant to)",
        write("data/train.parquet"),
    ),
    "a source changed": ("files", "data/source changed", write(SOURCE)),
    "a source added": ("files", "data/source changed", write("data/source/new.csv")),
    "a report changed": ("files", "metrics.json changed", write("metrics.json", "{}")),
    "a model missing": ("files", "models/model.onnx missing", remove("models/model.onnx")),
    "a file of nobody": (
        "leftovers",
        "models/candidates/mine.onnx left over",
        write("models/candidates/mine.onnx"),
    ),
    "a parameter changed": ("pipeline", "gate changed since the last run", new_parameter),
    "no remote": ("remote", "none is the default", no_remote),
    "remote's folder moved": ("remote", "is not a folder (if it is elsewhere: ", move_the_remote),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_doctor_says_ends_the_fault_and_loses_nothing(work: BakedProject, fault: str) -> None:
    check, sentence, change = FAULTS[fault]
    (work.path / "notes.txt").write_text("not committed\n", encoding="utf-8")
    change(work)
    findings = doctor(work)
    assert [name for name in findings if not findings[name]["passed"]][0] == check
    assert sentence in findings[check]["found"]
    before = contents(work)
    follow(work, check)
    if check in wrong(work):  # a remote is first set, then filled
        follow(work, check)
        assert check not in wrong(work)
    after = contents(work)
    lost = {place for content, place in before.items() if content not in after}
    # Not written by a user: made again by a run, or written by DVC.
    generated = {"flight_delays/dvc.lock", "flight_delays/.dvc/config", "flight_delays/.gitignore"}
    assert not {place for place in lost if "/reports/" not in place and place not in generated}


def refusals(project: BakedProject) -> dict[str, str]:
    """The reasons against a release, and their remedies."""
    output = project.run("flight-delays", "release", "v1.0.0", "--json", check=False).stdout
    documents = json.loads(output.splitlines()[0]).get("refusals", [])
    return {refusal["reason"]: refusal["remedy"] for refusal in documents}


def clean(project: BakedProject) -> set[str]:
    """The files that are unchanged since the last commit."""
    tracked = project.run("git", "ls-files").stdout.splitlines()
    changed = project.run("git", "diff", "--name-only", "HEAD").stdout.splitlines()
    return {f"{project.path.name}/{name}" for name in {*tracked} - {*changed}}


COMMANDS = {
    "no gate": "dvc repro",
    "stale": "dvc repro",
    "tag exists": "git update-ref refs/removed/v1.0.0 ",
    "exists elsewhere": "git fetch --tags upstream",
}


@pytest.mark.parametrize("name", COMMANDS)
def test_what_release_says_ends_the_refusal_and_loses_nothing(
    work: BakedProject, name: str
) -> None:
    (work.path / "notes.txt").write_text("not committed\n", encoding="utf-8")
    REFUSALS[name][0](work)
    ((reason, remedy), *_) = [
        (reason, remedy)
        for reason, remedy in refusals(work).items()
        if "notes.txt" not in reason and COMMANDS[name] in remedy
    ]
    before, committed = contents(work), clean(work)
    quoted = re.search("'(.+?)'", remedy)
    work.run("sh", "-c", quoted[1] if quoted and not remedy.startswith(COMMANDS[name]) else remedy)
    after = contents(work)
    lost = {place for content, place in before.items() if content not in after}
    assert lost <= {*committed, "flight_delays/reports/gate.json"}
    if name != "exists elsewhere":  # there the user must also choose another version
        assert reason not in refusals(work)


@pytest.mark.parametrize(
    ("name", "remedy"),
    [("README.md", "git stash"), ("data/raw.parquet", "files"), ("metrics.json", "git stash")],
)
def test_what_rollback_says_opens_the_way_and_loses_nothing(
    work: BakedProject, name: str, remedy: str
) -> None:
    work.run("flight-delays", "release", "v1.0.0")
    append(name, "my work")(work)
    before = contents(work)
    output = rollback(work, "v1.0.0", code=1)
    if remedy in output:
        work.run("sh", "-c", remedy)
    else:
        assert "doctor says how" in output
        follow(work, remedy)
    rollback(work, "v1.0.0")
    if remedy == "git stash":
        work.run("git", "stash", "pop")
    assert before.keys() <= contents(work).keys()


def test_a_tag_that_is_in_the_way_of_a_release_is_kept(work: BakedProject) -> None:
    work.run("git", "tag", "--annotate", "--message", "by hand", "v1.0.0")
    before = contents(work)
    output = work.run("flight-delays", "release", "v1.0.0", check=False).stdout
    work.run("sh", "-c", output.partition("half released: ")[2].splitlines()[0])
    work.run("flight-delays", "release", "v1.0.0")
    assert before.keys() <= contents(work).keys()


def test_making_room_keeps_what_was_never_pushed(work: BakedProject) -> None:
    work.run("git", "checkout", "--quiet", "-b", "mine")
    edit(work, "params.yaml", "hours_before_departure: 2", "hours_before_departure: 3")
    work.run("dvc", "repro")
    work.run("git", "commit", "--quiet", "--no-verify", "--all", "--message", "Mine")
    work.run("git", "checkout", "--quiet", "main")
    runbook = (work.path / "docs/runbook.md").read_text(encoding="utf-8")
    command = runbook.partition("To make room: `")[2].partition("`")[0]
    work.run("sh", "-c", f"{command} --force")
    work.run("git", "checkout", "--quiet", "mine")
    assert wrong(work) == ["pushed"]


def test_what_the_runbook_says_of_a_file_that_nobody_has_loses_nothing(work: BakedProject) -> None:
    name = "data/valid.parquet"
    places = [work.path / ".dvc/cache/files/md5", work.path.parent / "flight_delays-dvc-remote"]
    objects = [stored(work, name, places[0]), stored(work, name, places[1] / "files/md5")]
    for path in (*objects, work.path / name):
        path.unlink()
    before = contents(work)
    work.run("sh", "-c", recipe(work, "A file that no checkout has"))
    assert before.keys() <= contents(work).keys()
    assert wrong(work) == []
