"""Release and rollback of a baked project, with real git, DVC and GTO."""

import hashlib
import json
import os
import re
import shlex
import shutil
import signal
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml

from conftest import BakedProject
from service import KEY, PATIENCE, Server, for_serving, serving
from test_doctor import follow, wrong
from test_faults import recipe, start, wait_for

pytestmark = pytest.mark.slow

Change = Callable[[BakedProject], object]
SCORE = """
import sys
from pathlib import Path
import onnxruntime, pandas as pd
from machinery.pipeline.model.model_file import Model
path = Path("models/model.onnx")
rows = pd.read_parquet(sys.argv[1])
types = {"tensor(float)": "float32", "tensor(string)": "object"}
session = onnxruntime.InferenceSession(path)
feed = {
    each.name: rows[each.name].to_numpy(types[each.type]).reshape(-1, 1)
    for each in session.get_inputs()
}
print(session.run(None, feed)[0].tobytes().hex())
model = Model(path)
print(model.predict(rows[list(model.features)]).tobytes().hex())
"""


def beside(project: BakedProject, folder: Path) -> BakedProject:
    """Copy a project together with its remote."""
    remote = f"{project.path.name}-dvc-remote"
    shutil.copytree(project.path.parent / remote, folder / remote)
    return project.copy(folder / project.path.name)


def commit(project: BakedProject, message: str = "A change") -> None:
    project.run("git", "add", ".")
    project.run("git", "commit", "--quiet", "--no-verify", "--message", message)


def change_params(project: BakedProject, old: str, new: str) -> None:
    path = project.path / "params.yaml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def read(project: BakedProject, name: str) -> Any:
    return json.loads((project.path / name).read_text(encoding="utf-8"))


def tags(project: BakedProject) -> list[str]:
    return project.run("git", "tag").stdout.split()


def in_production(project: BakedProject) -> str:
    """The version in production according to GTO."""
    (row,) = json.loads(project.run("gto", "show", "model#production", "--json").stdout)
    return str(row["version"])


def hashes(project: BakedProject) -> dict[str, str]:
    """The sha256 of every file in data, models and reports, and of metrics.json."""
    folders = (project.path / name for name in ("data", "models", "reports"))
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return {
        str(path.relative_to(project.path)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in [*files, project.path / "metrics.json"]
    }


def in_cache(project: BakedProject, md5: str) -> Path:
    return project.path / ".dvc/cache/files/md5" / md5[:2] / md5[2:]


def in_remote(project: BakedProject, md5: str) -> Path:
    remote = project.path.parent / f"{project.path.name}-dvc-remote"
    return remote / "files/md5" / md5[:2] / md5[2:]


def rollback(project: BakedProject, *words: str, code: int = 0) -> str:
    done = project.run("flight-delays", "rollback", *words, check=False)
    assert done.returncode == code, done.stdout
    assert "Traceback" not in done.stdout
    return done.stdout


def branch(project: BakedProject) -> str:
    return project.run("git", "branch", "--show-current").stdout.strip()


ENDS = ("json", "onnx", "parquet")  # the files of a candidate
BROKEN_ROLLBACK = """
from machinery.pipeline.files import UserError
from machinery.versions import rollback, storage

checkout, failures = storage.checkout, [{error}] * {times}

def breaking(leaving, **how):
    if failures:
        raise failures.pop()
    return checkout(leaving, **how)

storage.checkout = breaking
rollback.rollback("v1.0.0")
"""


class Released:
    """A project with two releases, v1.0.0 and v1.1.0, and the state of the first one."""

    def __init__(self, project: BakedProject, folder: Path) -> None:
        self.project = project
        self.hashes = {"v1.0.0": hashes(project)}
        self.metrics = read(project, "metrics.json")
        self.rows = folder / "rows.parquet"
        shutil.copy(project.path / "data/features/test.parquet", self.rows)
        self.answer = self.score(project)
        self.output = {"v1.0.0": project.run("flight-delays", "release", "v1.0.0").stdout}
        self.request = json.dumps(read(project, "models/examples.json")["rows"]).encode()
        self.served = self.ask(project)

    def change(self) -> None:
        """Add the data of August and a candidate, and change a parameter."""
        change_params(self.project, "until: '2013-08-01'", "until: '2013-09-01'")
        change_params(self.project, "C: 1.0", "C: 0.5")
        change_params(self.project, "  - linear\n", "  - linear\n  - forest\n")
        self.project.run("dvc", "repro")
        commit(self.project, "August")
        self.project.run("dvc", "push")
        command = ("flight-delays", "release", "v1.1.0", "--stage", "production")
        self.output["v1.1.0"] = self.project.run(*command).stdout
        self.hashes["v1.1.0"] = hashes(self.project)

    def score(self, project: BakedProject) -> str:
        """The answers of the model file and the scorer for the rows stored at v1.0.0."""
        return project.run("python", "-c", SCORE, self.rows).stdout

    def ask(self, project: BakedProject) -> bytes:
        """The bytes of the service's answer to the request stored at v1.0.0."""
        with TemporaryDirectory() as folder, serving(for_serving(project, Path(folder))) as server:
            return answer(server, self.request)


def answer(server: Server, request: bytes) -> bytes:
    """The body of the answer without the request id."""
    connection = HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    connection.request("POST", "/predict", request, headers)
    reply = connection.getresponse()
    body = reply.read()
    connection.close()
    assert reply.status == 200, body
    bare, ids = re.subn(rb'"request_id": ?"[^"]*"', b"", body)
    assert ids == 1
    return bare


@pytest.fixture(scope="module")
def released(small: BakedProject, tmp_path_factory: pytest.TempPathFactory) -> Released:
    folder = tmp_path_factory.mktemp("released")
    result = Released(beside(small, folder), folder)
    result.change()
    return result


@pytest.fixture
def copy(released: Released, tmp_path: Path) -> BakedProject:
    """A copy with two releases; v1.1.0 is checked out."""
    return beside(released.project, tmp_path)


# release


def append(name: str, text: str) -> Change:
    def change(project: BakedProject) -> None:
        with (project.path / name).open("a", encoding="utf-8") as file:
            file.write(text)

    return change


def fail_the_gate(project: BakedProject) -> None:
    change_params(project, "floor: 0.65", "floor: 0.99")
    project.run("dvc", "repro")
    commit(project)


def take_from_the_remote(name: str) -> Change:
    def change(project: BakedProject) -> None:
        data = project.path / name
        in_remote(project, hashlib.md5(data.read_bytes()).hexdigest()).unlink()

    return change


def move_the_remote_out_of_reach(project: BakedProject) -> None:
    settings = {"url": "s3://bucket/prefix", "endpointurl": "http://127.0.0.1:9"}
    settings |= {"access_key_id": "nobody", "secret_access_key": "nothing"}
    for name, value in settings.items():
        project.run("dvc", "remote", "modify", "--local", "storage", name, value)


def undeclare(project: BakedProject) -> None:
    path = project.path / "dvc.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("\n  model:\n", "\n  another:\n"), encoding="utf-8")
    commit(project)


def make_stale(project: BakedProject) -> None:
    change_params(project, "folds: 4", "folds: 3")
    commit(project)


def release_elsewhere(project: BakedProject) -> None:
    """A teammate publishes this version, which is not fetched."""
    project.run("git", "clone", "--quiet", "--bare", ".", "../upstream.git")
    project.run("git", "--git-dir", "../upstream.git", "tag", "v1.0.0")
    project.run("git", "remote", "add", "upstream", "../upstream.git")


def write_gate(document: Any) -> Change:
    def change(project: BakedProject) -> None:
        text = json.dumps(document)
        (project.path / "reports/gate.json").write_text(text, encoding="utf-8")

    return change


REFUSALS: dict[str, tuple[Change, str]] = {
    "gate failed": (fail_the_gate, "the gate failed (floor): read reports/model_card.md"),
    "no gate": (
        lambda project: (project.path / "reports/gate.json").unlink(),
        "reports/gate.json is missing: run 'dvc repro'",
    ),
    "changed file": (append("README.md", "x"), "not committed: README.md"),
    "new file": (append("src/flight_delays/new.py", ""), "not committed: src/flight_delays/new.py"),
    "stale": (
        make_stale,
        "train@schedule-prior and 1 more changed since the last run: dvc repro",
    ),
    "new source": (append("data/source/x.csv", "x"), "data/source changed (dvc repro, if"),
    "not pushed": (
        take_from_the_remote("models/model.onnx"),
        "models/candidates/schedule-linear.onnx and 1 more not in the remote: dvc push",
    ),
    "file of a folder not pushed": (
        take_from_the_remote("data/source/2013-04.parquet"),
        "data/source/2013-04.parquet not in the remote: mkdir again && dvc add --to-remote",
    ),
    "remote out of reach": (move_the_remote_out_of_reach, "the remote cannot be asked: Could not"),
    "tag exists": (
        lambda project: project.run("git", "tag", "v1.0.0"),
        "v1.0.0 is only half released: git update-ref refs/removed/v1.0.0 refs/tags/v1.0.0 ",
    ),
    "registered": (
        lambda project: project.run("git", "tag", "model@v1.0.0"),
        "v1.0.0 is only half released: git update-ref refs/removed/model@v1.0.0 ",
    ),
    "exists": (
        lambda project: [project.run("git", "tag", name) for name in ("v1.0.0", "model@v1.0.0")],
        "v1.0.0 exists already: choose another",
    ),
    "exists elsewhere": (
        release_elsewhere,
        "v1.0.0 exists already in upstream: fetch it with 'git fetch --tags upstream'",
    ),
    "git remote out of reach": (
        lambda project: project.run("git", "remote", "add", "origin", "../nowhere.git"),
        "'../nowhere.git' does not appear to be a git repository",
    ),
    "gate without checks": (
        write_gate({"passed": True, "checks": []}),
        "the gate has no checks: run 'dvc repro'",
    ),
    "gate that did not pass": (
        write_gate({"passed": False, "checks": [{"name": "floor", "passed": True}]}),
        "the gate failed: read reports/model_card.md",
    ),
    "commit released": (
        lambda project: project.run("flight-delays", "release", "v0.9.0"),
        "this commit is released as v0.9.0: use that version",
    ),
    "not declared": (undeclare, "dvc.yaml declares no artifact 'model'"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_release_is_refused_with_reason_and_remedy(name: str, work: BakedProject) -> None:
    change, sentence = REFUSALS[name]
    change(work)
    before = tags(work)
    refused = work.run("flight-delays", "release", "v1.0.0", check=False)
    assert refused.returncode == 1
    assert sentence in refused.stdout
    assert "Traceback" not in refused.stdout
    assert tags(work) == before


def test_all_refusals_come_at_once_and_as_json(work: BakedProject) -> None:
    append("README.md", "x")(work)
    (work.path / "reports/gate.json").unlink()
    take_from_the_remote("data/raw.parquet")(work)
    done = work.run("flight-delays", "release", "v1.0.0", "--json", check=False)
    document = json.loads(done.stdout.splitlines()[0])
    assert done.returncode == 1
    assert document["released"] is False
    assert len(document["refusals"]) == 4
    assert all(refusal["reason"] and refusal["remedy"] for refusal in document["refusals"])


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("1.0.0",), "'1.0.0' is not a version; write it like v1.2.0"),
        (("v1.0.0", "--stage", "a b"), "'a b' is not a stage"),
    ],
)
def test_wrong_use_of_release_exits_with_2(
    words: tuple[str, ...], sentence: str, small: BakedProject
) -> None:
    done = small.run("flight-delays", "release", *words, check=False)
    assert done.returncode == 2
    assert sentence in done.stdout


def test_a_release_that_fails_half_way_leaves_no_tag(work: BakedProject) -> None:
    (work.path / ".git/refs/tags/model@v1.0.0.lock").touch()  # as another git would hold it
    done = work.run("flight-delays", "release", "v1.0.0", check=False)
    assert done.returncode == 2
    assert "GTO could not write its tag" in done.stdout
    assert tags(work) == []


INTERRUPTED_RELEASE = """
import os, signal
from gto import api
from machinery.versions import release

register = api.register

def interrupted(*words, **how):
    register(*words, **how)
    {end}

api.register = interrupted
release.release("v1.0.0")
"""


def test_ctrl_c_between_the_tags_of_a_release_leaves_none(work: BakedProject) -> None:
    script = INTERRUPTED_RELEASE.format(end="raise KeyboardInterrupt")
    assert "KeyboardInterrupt" in work.run("python", "-c", script, check=False).stdout
    assert tags(work) == []


def test_a_release_that_was_killed_half_way_says_how_to_begin_anew(work: BakedProject) -> None:
    script = INTERRUPTED_RELEASE.replace("register(*words, **how)\n", "").format(
        end="os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert work.run("python", "-c", script, check=False).returncode == -signal.SIGKILL
    assert tags(work) == ["v1.0.0"]
    output = work.run("flight-delays", "release", "v1.0.0", check=False).stdout
    work.run("sh", "-c", output.partition("v1.0.0 is only half released: ")[2].splitlines()[0])
    work.run("flight-delays", "release", "v1.0.0")
    assert tags(work) == ["model@v1.0.0", "v1.0.0"]


def test_a_release_tags_registers_and_assigns(released: Released) -> None:
    project = released.project
    assert set(tags(project)) == {
        *("v1.0.0", "model@v1.0.0"),
        *("v1.1.0", "model@v1.1.0", "model#production#1"),
    }
    shown = json.loads(project.run("gto", "show", "model", "--json").stdout)
    assert [row["version"] for row in shown] == ["v1.1.0", "v1.0.0"]
    assert in_production(project) == "v1.1.0"


def test_the_notes_are_in_the_tag_and_say_what_changed(released: Released) -> None:
    notes = released.project.run("git", "tag", "--list", "--format=%(contents)", "v1.1.0").stdout
    assert notes.strip() in released.output["v1.1.0"]
    for line in (
        "## Changed since v1.0.0",
        "| `ingest.until` | 2013-08-01 | 2013-09-01 |",
        "| `train.hyperparameters.linear.C` | 1 | 0.5 |",
    ):
        assert line in notes
    value = f"| {released.metrics['roc_auc']['value']:.4g} ("
    assert f"| roc_auc {value}" in notes
    assert f"| roc_auc {value}" in released.output["v1.0.0"]


def test_the_printed_command_publishes_the_release(copy: BakedProject, released: Released) -> None:
    copy.run("git", "init", "--quiet", "--bare", "../origin.git")
    copy.run("git", "remote", "add", "origin", "../origin.git")
    command = released.output["v1.1.0"].splitlines()[-1]
    copy.run(*shlex.split(command))
    there = copy.run("git", "ls-remote", "--tags", "--refs", "origin").stdout
    assert [name in there for name in ("v1.1.0", "model@v1.1.0", "model#production#1")]
    teammate = copy.clone(copy.path.parent / "teammate" / copy.path.name)
    model = teammate.path / "model.onnx"
    teammate.run("dvc", "artifacts", "get", copy.path, "model", "--rev", "v1.0.0", "-o", model)
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    assert digest == released.hashes["v1.0.0"]["models/model.onnx"]


def test_releases_are_listed_newest_first(released: Released) -> None:
    listed = json.loads(released.project.run("flight-delays", "releases", "--json").stdout)
    assert [(release["version"], release["stages"]) for release in listed] == [
        ("v1.1.0", ["production"]),
        ("v1.0.0", []),
    ]
    assert listed[1]["metric"] == "roc_auc"
    assert {end: listed[1][end] for end in ("value", "low", "high")} == released.metrics["roc_auc"]
    shown = released.project.run("flight-delays", "releases").stdout
    assert shown.index("v1.1.0") < shown.index("v1.0.0")


def test_without_a_release_the_list_says_how_to_make_one(small: BakedProject) -> None:
    assert "There is no release here" in small.run("flight-delays", "releases").stdout
    assert json.loads(small.run("flight-delays", "releases", "--json").stdout) == []


# rollback


def test_a_rollback_brings_back_the_same_bytes_metrics_and_answers(
    copy: BakedProject, released: Released
) -> None:
    assert released.hashes["v1.0.0"] != released.hashes["v1.1.0"]
    assert released.score(copy) != released.answer
    assert released.ask(copy) != released.served
    output = rollback(copy, "v1.0.0", "--stage", "production")
    assert branch(copy) == "rollback/v1.0.0"
    assert hashes(copy) == released.hashes["v1.0.0"]
    assert read(copy, "metrics.json") == released.metrics
    assert released.score(copy) == released.answer
    assert released.ask(copy) == released.served
    assert "up to date" in copy.run("dvc", "status").stdout
    assert copy.run("git", "status", "--porcelain").stdout == ""
    assert f"{released.metrics['roc_auc']['value']:.4g}" in output
    assert "git push --atomic origin 'refs/tags/model#production#2'" in output
    assert in_production(copy) == "v1.0.0"


def test_plain_git_and_dvc_bring_back_the_same_bytes(
    copy: BakedProject, released: Released
) -> None:
    copy.run("git", "checkout", "--quiet", "v1.0.0")
    copy.run("dvc", "checkout")
    assert released.score(copy) == released.answer
    assert wrong(copy) == ["leftovers", "pipeline"]  # of the forest, no candidate of v1.0.0
    follow(copy, "leftovers")
    assert hashes(copy) == released.hashes["v1.0.0"]
    assert wrong(copy) == []


def test_rolling_back_and_forth(copy: BakedProject, released: Released) -> None:
    rollback(copy, "v1.0.0")
    answer = json.loads(rollback(copy, "v1.1.0", "--json"))
    assert hashes(copy) == released.hashes["v1.1.0"]
    rollback(copy, "v1.0.0")
    assert branch(copy) == "rollback/v1.0.0-2"
    assert answer["branch"] == "rollback/v1.1.0"
    assert answer["bytes"] > 1_000_000
    assert answer["tags"] == []


def test_a_stage_that_the_version_has_is_not_assigned_again(copy: BakedProject) -> None:
    before = tags(copy)
    rollback(copy, "v1.1.0", "--stage", "production")
    assert tags(copy) == before


def test_data_that_the_cache_lacks_is_not_left_behind(
    copy: BakedProject, released: Released
) -> None:
    shutil.rmtree(copy.path / ".dvc/cache")
    sentence = "not in the cache, or corrupted there, and a rollback would lose it"
    assert sentence in rollback(copy, "v1.0.0", code=1)
    assert_untouched(copy, released)
    copy.run("dvc", "commit", "--force")
    rollback(copy, "v1.0.0")
    assert hashes(copy) == released.hashes["v1.0.0"]
    rollback(copy, "v1.1.0")
    assert hashes(copy) == released.hashes["v1.1.0"]


def test_a_fresh_clone_rolls_back(copy: BakedProject, released: Released) -> None:
    clone = copy.clone(copy.path.parent / "clone")
    rollback(clone, "v1.0.0")
    cloned = hashes(clone)
    assert {name: cloned[name] for name in released.hashes["v1.0.0"]} == released.hashes["v1.0.0"]


def output_of(project: BakedProject, version: str, path: str) -> str:
    """The md5 of an output in the dvc.lock of a version."""
    lock = yaml.safe_load(project.run("git", "show", f"{version}:dvc.lock").stdout)
    outs = [out for stage in lock["stages"].values() for out in stage["outs"]]
    return next(str(out["md5"]) for out in outs if out["path"] == path)


def flip(path: Path) -> None:
    """Change one byte but not size, time and mode, so that DVC does not notice."""
    before = path.stat()
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    path.chmod(before.st_mode)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def assert_untouched(project: BakedProject, released: Released) -> None:
    """v1.1.0 is checked out unchanged, on its branch, without new branches or tags."""
    assert branch(project) == branch(released.project)
    assert hashes(project) == released.hashes["v1.1.0"]
    assert tags(project) == tags(released.project)
    assert "rollback" not in project.run("git", "branch").stdout


def test_a_flipped_byte_that_dvc_does_not_see_leads_back_and_to_a_command_that_helps(
    copy: BakedProject, released: Released
) -> None:
    rollback(copy, "v1.0.0")  # DVC has now hashed the object, and trusts its size and time
    copy.run("git", "checkout", "--quiet", "main")
    copy.run("git", "branch", "--quiet", "-D", "rollback/v1.0.0")
    copy.run("dvc", "checkout")
    flip(in_cache(copy, output_of(copy, "v1.0.0", "data/raw.parquet")))
    output = rollback(copy, "v1.0.0", code=1)
    assert "data/raw.parquet did not come back as recorded" in output
    assert_untouched(copy, released)
    copy.run("sh", "-c", output.split("'")[1])
    rollback(copy, "v1.0.0")
    assert hashes(copy) == released.hashes["v1.0.0"]


def test_bytes_that_are_nowhere_leave_everything_as_it_was(
    copy: BakedProject, released: Released
) -> None:
    md5 = output_of(copy, "v1.0.0", "data/train.parquet")
    in_cache(copy, md5).unlink()
    in_remote(copy, md5).unlink()
    output = rollback(copy, "v1.0.0", code=1)
    assert "data/train.parquet" in output
    assert f"{branch(copy)} is checked out as before" in output
    assert_untouched(copy, released)


def test_a_version_without_a_candidate_of_old_comes_back(copy: BakedProject) -> None:
    """DVC never removes a candidate from dvc.lock, and this one's files are gone."""
    change_params(copy, "  - linear\n  - forest\n", "  - linear\n")
    copy.run("dvc", "repro")
    commit(copy, "Without the forest")
    for path in (copy.path / "models/candidates").glob("*-forest.*"):
        path.unlink()
    gone = {f"models/candidates/schedule-forest.{end}" for end in ENDS}
    for md5 in {output_of(copy, "HEAD", path) for path in gone}:
        in_cache(copy, md5).unlink()
        in_remote(copy, md5).unlink()
    copy.run("dvc", "push")
    copy.run("flight-delays", "release", "v1.2.0")
    before = hashes(copy)
    rollback(copy, "v1.0.0")
    rollback(copy, "v1.2.0")
    assert hashes(copy) == before


def test_files_of_a_candidate_that_only_the_lock_of_the_version_names_do_not_stay(
    copy: BakedProject,
) -> None:
    change_params(copy, "  - linear\n  - forest\n", "  - linear\n")
    copy.run("dvc", "repro")
    commit(copy, "Without the forest")
    copy.run("dvc", "push")
    copy.run("flight-delays", "release", "v1.2.0")
    before = hashes(copy)
    rollback(copy, "v1.1.0")
    assert copy.has_file("models/candidates/schedule-forest.onnx")
    rollback(copy, "v1.2.0")
    assert hashes(copy) == before
    assert wrong(copy) == []


def test_the_good_copy_of_a_file_that_went_bad_in_the_cache_is_not_left_behind(
    copy: BakedProject, released: Released
) -> None:
    flip(in_cache(copy, output_of(copy, "v1.1.0", "data/predictions.parquet")))
    assert "data/predictions.parquet: not in the cache" in rollback(copy, "v1.0.0", code=1)
    assert_untouched(copy, released)


def broken_rollback(project: BakedProject, error: str, times: int) -> str:
    """A rollback in which DVC's checkout fails the first times."""
    script = BROKEN_ROLLBACK.format(error=error, times=times)
    return project.run("python", "-c", script, check=False).stdout


def test_ctrl_c_before_any_data_is_moved_leads_back(copy: BakedProject, released: Released) -> None:
    assert "KeyboardInterrupt" in broken_rollback(copy, "KeyboardInterrupt()", 1)
    assert_untouched(copy, released)


MANY = 600  # files, so that there is a middle to be stopped in


@pytest.fixture
def many(copy: BakedProject) -> BakedProject:
    """v1.2.0 has a folder of many files; the checkout has other files in it."""
    folder = copy.path / "data/many"
    for text in ("then", "now"):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for number in range(MANY):
            path = folder / f"{text}-{number}.txt"
            path.write_text(f"{text} {number}\n" * 2000, encoding="utf-8")
        copy.run("dvc", "add", "--quiet", "data/many")
        commit(copy, f"Many files, {text}")
        if text == "then":
            copy.run("dvc", "push")
            copy.run("flight-delays", "release", "v1.2.0")
    return copy


def stop_in_the_middle(project: BakedProject, number: signal.Signals) -> None:
    """Stop a rollback when it has restored only some of the files."""
    run = start(project, "flight-delays", "rollback", "v1.2.0")
    wait_for(lambda: any((project.path / "data/many").glob("then-*")))
    os.killpg(run.pid, number)
    run.wait(60)
    assert run.returncode != 0


def tidy(project: BakedProject) -> None:
    """Remove DVC's unfinished file, as the doctor says."""
    if "leftovers" in wrong(project):
        follow(project, "leftovers")


def test_ctrl_c_while_data_is_moved_leads_back_to_every_byte(many: BakedProject) -> None:
    before = hashes(many)
    stop_in_the_middle(many, signal.SIGINT)
    assert branch(many) == "main"
    assert "rollback" not in many.run("git", "branch").stdout
    assert many.run("git", "status", "--porcelain").stdout == ""
    tidy(many)
    assert hashes(many) == before


def test_a_rollback_that_was_killed_while_data_is_moved_is_undone_as_the_runbook_says(
    many: BakedProject,
) -> None:
    before = hashes(many)
    stop_in_the_middle(many, signal.SIGKILL)
    assert branch(many) == "rollback/v1.2.0"
    many.run("sh", "-c", recipe(many, "A rollback was killed"))
    tidy(many)
    assert wrong(many) == ["pushed"]  # these many files never were
    assert branch(many) == "main"
    assert hashes(many) == before


INTERRUPTED_SWITCH = """
from machinery.versions import git, rollback

run = git.run

def interrupted(*words, **how):
    said = run(*words, **how)
    if "-b" in words:
        raise KeyboardInterrupt
    return said

git.run = interrupted
rollback.rollback("v1.0.0")
"""


def test_ctrl_c_as_soon_as_the_branch_is_switched_leads_back(
    copy: BakedProject, released: Released
) -> None:
    output = copy.run("python", "-c", INTERRUPTED_SWITCH, check=False).stdout
    assert "KeyboardInterrupt" in output
    assert_untouched(copy, released)


def test_where_the_way_back_fails_too_the_commands_are_told(
    copy: BakedProject, released: Released
) -> None:
    here = branch(copy)
    output = broken_rollback(copy, "UserError('the disk is full')", 2)
    way = f"git checkout --force {here} && dvc checkout"
    assert f"'{way}' leads back" in output
    copy.run("sh", "-c", way)
    assert_untouched(copy, released)


def test_a_version_of_other_packages_says_what_to_type(copy: BakedProject) -> None:
    append("requirements.lock", "# changed\n")(copy)
    commit(copy, "Other packages")
    assert "run 'make setup' before you run its code" in rollback(copy, "v1.0.0")


def test_a_stage_that_cannot_be_assigned_leads_back(copy: BakedProject, released: Released) -> None:
    (copy.path / ".git/refs/tags/model#production#2.lock").touch()
    output = rollback(copy, "v1.0.0", "--stage", "production", code=1)
    assert "GTO could not write its tag" in output
    assert_untouched(copy, released)
    assert "up to date" in copy.run("dvc", "status").stdout


def test_a_remote_out_of_reach_is_one_sentence(copy: BakedProject, released: Released) -> None:
    move_the_remote_out_of_reach(copy)
    in_cache(copy, output_of(copy, "v1.0.0", "data/raw.parquet")).unlink()
    output = rollback(copy, "v1.0.0", code=1)
    assert "Could not connect to the endpoint URL" in output
    assert "the remote cannot be read: " in output
    assert_untouched(copy, released)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("README.md", "README.md: not committed"),
        ("data/raw.parquet", "data/raw.parquet: not committed"),
        ("data/source/2014-01.csv", "data/source: not committed"),
    ],
)
def test_work_that_is_not_committed_is_refused_and_kept(
    name: str, sentence: str, copy: BakedProject
) -> None:
    append(name, "my work")(copy)
    before = (copy.path / name).read_bytes()
    assert sentence in rollback(copy, "v1.0.0", code=1)
    assert (copy.path / name).read_bytes() == before
    assert "rollback" not in copy.run("git", "branch").stdout


@pytest.mark.parametrize("ignored", [False, True])
def test_a_new_file_that_the_version_would_overwrite_is_kept(
    ignored: bool, copy: BakedProject
) -> None:
    copy.run("git", "rm", "--quiet", "docs/canvas.md")
    if ignored:
        append(".gitignore", "/docs/canvas.md\n")(copy)
    commit(copy)
    (copy.path / "docs/canvas.md").write_text("my work", encoding="utf-8")
    output = rollback(copy, "v1.0.0", code=1)
    assert "docs/canvas.md" in output
    assert "would be overwritten by checkout" in output
    assert (copy.path / "docs/canvas.md").read_text(encoding="utf-8") == "my work"


def test_a_new_file_in_nobodys_way_stays(copy: BakedProject, released: Released) -> None:
    (copy.path / "notes.txt").write_text("my work", encoding="utf-8")
    rollback(copy, "v1.0.0")
    assert (copy.path / "notes.txt").read_text(encoding="utf-8") == "my work"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("v9.0.0",), "no release v9.0.0 (released: v1.1.0, v1.0.0)"),
        (("latest",), "'latest' is not a version"),
        (("v1.0.0", "--stage", "a b"), "'a b' is not a stage"),
    ],
)
def test_wrong_use_of_rollback_exits_with_2(
    words: tuple[str, ...], sentence: str, released: Released
) -> None:
    assert sentence in rollback(released.project, *words, code=2)
