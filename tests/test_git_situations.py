"""A project after a merge, in a worktree, and in a larger repository."""

import json
import shutil
from pathlib import Path

import pytest

from conftest import GIT_SETTINGS, BakedProject
from test_doctor import doctor, edit, follow, wrong

pytestmark = pytest.mark.slow

UNHOOKED = ("git", "-c", "core.hooksPath=/dev/null")
REPLAYED_LOG = Path(__file__).with_name("replayed_log.py")


def commit(project: BakedProject, message: str = "A change", of: str = ".") -> None:
    project.run("git", "add", of)
    project.run("git", "commit", "--quiet", "--no-verify", "--message", message)


def with_settings(project: BakedProject, folder: Path) -> BakedProject:
    """The project with global git settings that the test can change."""
    settings = folder / "gitconfig"
    settings.write_text(GIT_SETTINGS, encoding="utf-8")
    own = {"GIT_CONFIG_GLOBAL": str(settings)}
    return BakedProject(project.path, project.environment | own)


@pytest.fixture
def inside(work: BakedProject) -> BakedProject:
    """The project as a folder of a repository with another team's folder."""
    shutil.rmtree(work.path / ".git")
    root = work.path.parent
    work.run("git", "init", "--quiet", "-b", "main", root)
    (root / ".gitignore").write_text("*-dvc-remote\n", encoding="utf-8")
    (root / "other").mkdir()
    (root / "other/file").write_text("one\n", encoding="utf-8")
    commit(work, "All teams", ":/")
    return work


# What doctor says, and typing it


def test_hooks_that_git_looks_for_elsewhere(work: BakedProject, tmp_path: Path) -> None:
    user = with_settings(work, tmp_path)
    user.run("git", "config", "--global", "core.hooksPath", str(tmp_path / "hooks"))
    finding = doctor(user)["hooks"]
    assert (
        finding["found"] == f"core.hooksPath is {tmp_path}/hooks: git runs the hooks there instead"
    )
    shutil.rmtree(work.path / ".git/hooks")
    follow(user, "hooks")
    assert wrong(user) == []


def test_a_hook_whose_python_is_gone(work: BakedProject) -> None:
    hook = work.path / ".git/hooks/pre-commit"
    lines = hook.read_text(encoding="utf-8").splitlines()
    gone = ["INSTALL_PYTHON=/gone" if "INSTALL_PYTHON=" in line else line for line in lines]
    hook.write_text("\n".join(gone), encoding="utf-8")
    assert doctor(work)["hooks"]["found"] == "pre-commit not installed"
    follow(work, "hooks")
    assert wrong(work) == []


def test_a_repository_of_another_owner(work: BakedProject, tmp_path: Path) -> None:
    user = with_settings(work, tmp_path)
    user.environment["GIT_TEST_ASSUME_DIFFERENT_OWNER"] = "1"
    assert doctor(user)["git"]["found"] == "git refuses a repository of another owner"
    assert "another owner" in user.run("make", "setup").stdout
    follow(user, "git")
    assert wrong(user) == []


def test_a_repository_without_a_commit(work: BakedProject) -> None:
    shutil.rmtree(work.path / ".git")
    work.run("git", "init", "--quiet", "-b", "main")
    assert doctor(work)["git"]["found"] == "there is no commit yet"
    follow(work, "git")
    assert wrong(work) == ["hooks"]
    follow(work, "hooks")
    assert wrong(work) == []


def test_a_worktree_whose_repository_was_moved(work: BakedProject, tmp_path: Path) -> None:
    work.run(*UNHOOKED, "worktree", "add", "--quiet", tmp_path / "tree")
    tree = BakedProject(tmp_path / "tree", work.environment).here()
    work.path.rename(tmp_path / "moved")
    finding = doctor(tree)["git"]
    assert finding["found"].startswith(".git points to no repository")
    command, _, _ = finding["remedy"].partition(", typed in ")
    BakedProject(tmp_path / "moved", work.environment).run("sh", "-c", command)
    assert doctor(tree)["git"]["passed"]


# A worktree


def test_a_worktree_is_a_checkout_like_any(work: BakedProject, tmp_path: Path) -> None:
    work.run("git", "worktree", "add", "--quiet", tmp_path / "tree")  # its hooks find no .venv
    (tmp_path / "tree/.venv").symlink_to((work.path / ".venv").resolve())
    tree = BakedProject(tmp_path / "tree", work.environment).here()
    hook = work.path / ".git/hooks/pre-commit"
    before = hook.read_bytes()
    assert wrong(tree) == ["files", "pipeline"]
    follow(tree, "files")
    assert wrong(tree) == []
    tree.run("flight-delays", "release", "v1.0.0")
    edit(tree, "params.yaml", "floor: 0.65", "floor: 0.6")
    tree.run("dvc", "repro")
    commit(tree)
    tree.run("dvc", "push")
    tree.run("flight-delays", "report", "--against", "main")
    tree.run("flight-delays", "release", "v1.1.0")
    tree.run("flight-delays", "rollback", "v1.0.0")
    assert wrong(tree) == []
    assert hook.read_bytes() == before
    assert work.run("git", "branch", "--show-current").stdout == "main\n"


# A folder of a larger repository


def test_a_folder_of_a_larger_repository_is_in_order(inside: BakedProject) -> None:
    findings = doctor(inside)
    assert wrong(inside) == []
    assert findings["git"]["found"].endswith(f", a folder of the repository {inside.path.parent}")
    assert findings["hooks"]["found"].startswith("none: ")
    inside.run("make", "setup")
    assert not (inside.path.parent / ".git/hooks/pre-commit").exists()


def test_a_rollback_leaves_the_folders_of_other_teams(inside: BakedProject) -> None:
    other = inside.path.parent / "other/file"
    model = (inside.path / "models/model.onnx").read_bytes()
    inside.run("flight-delays", "release", "v1.0.0")
    edit(inside, "params.yaml", "C: 1.0", "C: 0.5")
    inside.run("dvc", "repro")
    (inside.path / "src/flight_delays/more.py").write_text("", encoding="utf-8")
    other.write_text("two\n", encoding="utf-8")
    commit(inside, of=":/")
    inside.run("dvc", "push")
    other.write_text("three, not committed\n", encoding="utf-8")  # nothing of this project
    assert wrong(inside) == []
    inside.run("flight-delays", "report", "--against", "v1.0.0")
    inside.run("flight-delays", "release", "v1.1.0")
    assert (inside.path / "models/model.onnx").read_bytes() != model
    refused = inside.run("flight-delays", "rollback", "v1.0.0", check=False)
    assert refused.stdout.startswith("other/file: not committed, and a rollback would lose it")
    assert other.read_text(encoding="utf-8") == "three, not committed\n"
    inside.run("git", "stash")
    inside.run("flight-delays", "rollback", "v1.0.0", "--stage", "production")
    assert (inside.path / "models/model.onnx").read_bytes() == model
    assert not (inside.path / "src/flight_delays/more.py").exists()
    assert other.read_text(encoding="utf-8") == "two\n"
    assert inside.run("git", "status", "--porcelain").stdout == ""
    assert inside.run("git", "diff", "--stat", "v1.0.0", "--", ".").stdout == ""
    assert wrong(inside) == []


@pytest.fixture
def host(inside: BakedProject, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder next to the larger repository, with its `origin`."""
    host = tmp_path_factory.mktemp("host")
    inside.run("git", "clone", "--quiet", "--bare", inside.path.parent, host / "origin.git")
    inside.run("git", "remote", "add", "origin", host / "origin.git")
    return host


def test_a_pull_request_in_a_larger_repository_is_reproduced_and_recorded(
    inside: BakedProject, host: Path
) -> None:
    inside.run("git", "switch", "--quiet", "--create", "change")
    edit(inside, "params.yaml", "C: 1.0", "C: 0.5")
    (inside.path.parent / "other/file").write_text("two\n", encoding="utf-8")
    commit(inside, of=":/")
    inside.run("git", "push", "--quiet", "--no-verify", "origin", "change")
    sha = inside.run("git", "rev-parse", "HEAD").stdout.strip()
    event = host / "event.json"
    head = {"ref": "change", "sha": sha, "repo": {"full_name": "owner/name"}}
    event.write_text(json.dumps({"pull_request": {"number": 1, "head": head}}), encoding="utf-8")
    github = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_API_URL": "http://127.0.0.1:9",
        "GITHUB_EVENT_PATH": str(event),
        "GITHUB_REPOSITORY": "owner/name",
        "GITHUB_SERVER_URL": "http://127.0.0.1:9",
    }
    job = BakedProject(inside.path, inside.environment | github)
    job.run("flight-delays", "reproduce")
    run = shutil.move(inside.path / "run", host / "run")
    inside.run("git", "switch", "--quiet", "main")
    output = job.run("flight-delays", "record", run).stdout
    assert "Pushed dvc.lock and the reports to change." in output
    inside.run("git", "fetch", "--quiet", "origin")
    changed = inside.run("git", "diff", "--name-only", sha, "origin/change").stdout.split()
    assert f"{inside.path.name}/dvc.lock" in changed
    assert {name.partition("/")[0] for name in changed} == {inside.path.name}


@pytest.mark.usefixtures("host")
def test_a_retraining_in_a_larger_repository_takes_in_the_log_and_leaves_other_teams_alone(
    inside: BakedProject,
) -> None:
    inside.run("python", REPLAYED_LOG, "logs/predictions", "2013-08-01", "2013-09-01")
    inside.run("flight-delays", "monitor", check=False)
    retrain = ("flight-delays", "retrain", "--until", "2013-09-01", "--anyway")
    other = inside.path.parent / "other/file"
    other.write_text("not committed\n", encoding="utf-8")
    assert "not committed: other/file" in inside.run(*retrain, check=False).stdout
    inside.run("git", "checkout", "--quiet", "--", other)
    before = inside.run("git", "rev-parse", "HEAD").stdout.strip()
    output = inside.run(*retrain).stdout
    assert "Pushed retrain/2013-09-01; open its pull request" in output
    assert "data/source/logged has " in output
    inside.run("git", "fetch", "--quiet", "origin")
    pushed = ("diff", "--name-only", before, "origin/retrain/2013-09-01")
    changed = inside.run("git", *pushed).stdout.split()
    expected = {f"{inside.path.name}/{name}" for name in ("dvc.lock", "data/source.dvc")}
    assert expected <= {*changed}
    assert {name.partition("/")[0] for name in changed} == {inside.path.name}


# After a merge


@pytest.fixture
def merging(work: BakedProject) -> BakedProject:
    """The project on main, with a branch `theirs` that has another model."""
    work.run("git", "checkout", "--quiet", "-b", "theirs")
    edit(work, "params.yaml", "C: 1.0", "C: 0.5")
    work.run("dvc", "repro")
    commit(work)
    work.run("dvc", "push")
    work.run("git", "checkout", "--quiet", "main")
    assert wrong(work) == []
    return work


@pytest.mark.parametrize("command", ["merge", "rebase"])
def test_the_model_comes_with_a_merge(merging: BakedProject, command: str) -> None:
    (merging.path / "note.txt").write_text("mine\n", encoding="utf-8")
    commit(merging, "Mine")
    merging.run("git", command, *(["--no-edit"] if command == "merge" else []), "theirs")
    assert wrong(merging) == []


def test_an_old_model_after_a_merge_has_a_remedy_that_fits(
    merging: BakedProject, tmp_path: Path
) -> None:
    merging.run(*UNHOOKED, "merge", "--quiet", "theirs")
    output = merging.run("flight-delays", "release", "v1.0.0", check=False).stdout
    assert "models/candidates/schedule-linear.json and 4 more of another run: dvc pull\n" in output
    predict = ("flight-delays", "predict", "data/test.parquet", str(tmp_path / "out.parquet"))
    output = merging.run(*predict, check=False).stdout
    assert "is not the file that model.json describes; run 'dvc pull' in a checkout" in output
    assert doctor(merging)["files"]["remedy"] == "dvc pull"
    follow(merging, "files")
    assert wrong(merging) == []


def test_bytes_that_only_the_checkout_has_are_set_aside_first(merging: BakedProject) -> None:
    merging.run(*UNHOOKED, "merge", "--quiet", "theirs")
    (merging.path / "data/train.parquet").write_text("mine", encoding="utf-8")
    assert "files" in wrong(merging)
    follow(merging, "files")
    assert wrong(merging) == []
    archived = merging.run("tar", "-xOf", ".dvc/tmp/removed-1.tar", "data/train.parquet")
    assert archived.stdout == "mine"


def test_show_says_of_which_run_its_figures_are(work: BakedProject) -> None:
    assert "these metrics" not in work.run("flight-delays", "show").stdout
    assert json.loads(work.run("flight-delays", "show", "--json").stdout)["stale"] == []
    features = work.path / "src/flight_delays/features.py"
    with features.open("a", encoding="utf-8") as file:
        file.write("\nraise ValueError\n")
    assert work.run("dvc", "repro", check=False).returncode
    last = work.run("git", "log", "-1", "--format=%h of %as", "--", "metrics.json").stdout.strip()
    output = work.run("flight-delays", "show").stdout
    assert f"these metrics are of the run committed in {last}, but src/flight_delays/fe" in output
    (stale,) = json.loads(work.run("flight-delays", "show", "--json").stdout)["stale"]
    assert "features.py has changed since" in stale


# DVC was killed while it wrote


@pytest.mark.parametrize(("name", "share"), [("dvc.lock", 0.55), ("data/source.dvc", 0)])
def test_a_record_that_was_torn(work: BakedProject, name: str, share: float) -> None:
    path = work.path / name
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    assert wrong(work)[0] == "lock"
    model = (work.path / "models/model.onnx").read_bytes()
    follow(work, "lock")
    assert (work.path / "models/model.onnx").read_bytes() == model
    assert wrong(work) == []
