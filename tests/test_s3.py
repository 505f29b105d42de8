"""S3 as the project's remote, on real servers, including failures."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import s3
from conftest import BakedProject, bake, need

pytestmark = pytest.mark.slow

MEGABYTE = 1_000_000
# Tests in which servers may differ run on both; all others run on Ceph alone.
ON_CEPH = pytest.mark.parametrize("server", ["ceph"], indirect=True)


@pytest.fixture(scope="session", params=["rclone", "ceph"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[s3.Server]:
    need(*s3.programs(request.param))
    with s3.start(request.param, tmp_path_factory.mktemp(request.param)) as running:
        yield running


@pytest.fixture
def bucket(server: s3.Server, request: pytest.FixtureRequest) -> str:
    """A new bucket, named after the test."""
    words = re.sub(r"[^a-z0-9]+", "-", request.node.name).strip("-")
    name = words[:60].rstrip("-")
    server.rclone("mkdir", f":s3:{name}")
    return name


@pytest.fixture
def here(small: BakedProject, server: s3.Server, bucket: str, tmp_path: Path) -> BakedProject:
    """A reproduced project, moved to S3 as in the guide, with the keys in the environment."""
    copy = small.copy(tmp_path / "here")
    to_s3(copy, server, bucket)
    return BakedProject(copy.path, copy.environment | server.environment())


def to_s3(project: BakedProject, server: s3.Server, bucket: str) -> None:
    """Change the remote, and commit the change."""
    project.run("dvc", "remote", "modify", "storage", "url", f"s3://{bucket}/data")
    project.run("dvc", "remote", "modify", "storage", "endpointurl", server.url)
    commit(project)


def commit(project: BakedProject) -> None:
    project.run("git", "add", ".")
    project.run("git", "commit", "--quiet", "--no-verify", "--message", "A change")


def add(project: BakedProject, name: str, text: str) -> None:
    """Add a new file to DVC, and commit it."""
    (project.path / name).write_text(text, encoding="utf-8")
    project.run("dvc", "add", "--quiet", name)
    commit(project)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def refused(project: BakedProject, *command: str, **environment: str) -> str:
    """Run a command that must fail, and return its output."""
    done = project.run(*command, check=False, **environment)
    assert done.returncode, done.stdout
    assert "Traceback" not in done.stdout
    return done.stdout


def test_a_clone_pulls_what_was_pushed(here: BakedProject, tmp_path: Path) -> None:
    here.run("dvc", "push")
    clone = here.clone(tmp_path / "clone")
    clone.run("dvc", "pull")
    for folder in ("data", "models"):
        assert contents(clone.path / folder) == contents(here.path / folder)
    assert "in sync" in clone.run("dvc", "status", "--cloud").stdout


def test_gc_removes_from_s3_only_what_the_workspace_does_not_use(
    here: BakedProject, server: s3.Server, bucket: str, tmp_path: Path
) -> None:
    add(here, "notes.bin", "old")
    here.run("dvc", "push")
    before = server.names(bucket)
    add(here, "notes.bin", "new")
    here.run("dvc", "push")
    here.run("dvc", "gc", "--workspace", "--cloud", "--force")
    after = server.names(bucket)
    assert len(after) == len(before)
    assert len(before - after) == 1
    clone = here.clone(tmp_path / "clone")
    clone.run("dvc", "pull")
    assert clone.file_contains("notes.bin", "new")


@pytest.mark.parametrize("verb", ["push", "pull"])
def test_a_wrong_secret_is_refused_and_changes_nothing(
    here: BakedProject, server: s3.Server, bucket: str, tmp_path: Path, verb: str
) -> None:
    clone = here.clone(tmp_path / "clone")
    user = here if verb == "push" else clone
    output = refused(user, "dvc", verb, AWS_SECRET_ACCESS_KEY=server.secret[::-1])
    assert "Forbidden" in output
    assert server.names(bucket) == set()
    assert user.run("git", "status", "--porcelain").stdout == ""


def test_a_missing_bucket_is_named_as_the_fault(here: BakedProject) -> None:
    here.run("dvc", "remote", "modify", "storage", "url", "s3://nobody-made-this/data")
    assert "NoSuchBucket" in refused(here, "dvc", "push")
    fault = "bucket nobody-made-this does not exist"
    remedy = "create it, or dvc remote modify storage url s3://BUCKET/PREFIX"
    finding = doctor(here, "remote")
    assert finding["found"] == f"s3://nobody-made-this/data: {fault}"
    assert finding["remedy"] == remedy
    assert doctor(here, "pushed")["found"] == "not checked, since remote failed"
    assert f"{fault}: {remedy}" in refused(here, "flight-delays", "release", "v1.0.0")


@ON_CEPH
def test_a_bit_flipped_in_s3_is_refused(
    here: BakedProject, server: s3.Server, bucket: str, tmp_path: Path
) -> None:
    add(here, "notes.bin", "good")
    here.run("dvc", "push")
    (name,) = (key for key in server.names(bucket) if key.endswith(md5("good")[2:]))
    server.rclone("rcat", f":s3:{bucket}/{name}", text="gooe")
    clone = here.clone(tmp_path / "clone")
    assert "failed to pull" in refused(clone, "dvc", "pull")
    assert not clone.has_file("notes.bin")
    server.rclone("deletefile", f":s3:{bucket}/{name}")
    here.run("dvc", "push")
    clone.run("dvc", "pull")
    assert clone.file_contains("notes.bin", "good")


@ON_CEPH
def test_a_bit_flipped_in_the_cache_does_not_pass_a_pull(
    here: BakedProject, tmp_path: Path
) -> None:
    add(here, "notes.bin", "good")
    cached = here.path / ".dvc/cache/files/md5" / md5("good")[:2] / md5("good")[2:]
    before = cached.stat()
    cached.chmod(0o644)
    cached.write_text("gooe", encoding="utf-8")
    os.utime(cached, ns=(before.st_atime_ns, before.st_mtime_ns))
    here.run("dvc", "push")
    clone = here.clone(tmp_path / "clone")
    assert "failed to pull" in refused(clone, "dvc", "pull")
    assert not clone.has_file("notes.bin")


@ON_CEPH
def test_a_thousand_small_files(here: BakedProject, tmp_path: Path) -> None:
    (here.path / "many").mkdir()
    for number in range(1000):
        (here.path / "many" / f"{number}.txt").write_text(f"{number}\n" * 20, encoding="utf-8")
    pushed_and_pulled(here, "many", tmp_path)
    pulled = contents(tmp_path / "clone/many")
    assert len(pulled) == 1000
    assert pulled == contents(here.path / "many")


@ON_CEPH
def test_a_file_of_500_megabytes(
    here: BakedProject, server: s3.Server, bucket: str, tmp_path: Path
) -> None:
    block = os.urandom(MEGABYTE)
    with (here.path / "large.bin").open("wb") as file:
        for number in range(500):
            file.write(number.to_bytes(8, "big") + block[8:])
    pushed_and_pulled(here, "large.bin", tmp_path)
    done = subprocess.run(["cmp", here.path / "large.bin", tmp_path / "clone/large.bin"])
    assert done.returncode == 0
    server.rclone("delete", f":s3:{bucket}")
    shutil.rmtree(tmp_path)


def pushed_and_pulled(here: BakedProject, name: str, tmp_path: Path) -> None:
    """Push it to S3 and pull it into a clone; pytest -s shows the durations."""
    here.run("dvc", "add", "--quiet", name)
    commit(here)
    start = time.perf_counter()
    here.run("dvc", "push", f"{name}.dvc")
    pushed = time.perf_counter()
    clone = here.clone(tmp_path / "clone")
    clone.run("dvc", "pull", f"{name}.dvc")
    print(f"{name}: push {pushed - start:.1f} s, pull {time.perf_counter() - pushed:.1f} s")


def doctor(project: BakedProject, check: str) -> dict[str, str]:
    """The doctor's finding of one check."""
    output = project.run("flight-delays", "doctor", "--json", check=False).stdout
    return next(finding for finding in json.loads(output)["checks"] if finding["name"] == check)


@ON_CEPH
def test_the_doctor_reads_s3_and_says_what_to_do(here: BakedProject) -> None:
    assert doctor(here, "pushed")["remedy"] == "dvc push"
    here.run("dvc", "push")
    assert doctor(here, "pushed")["found"] == "all is in the remote"
    wrong = here.environment | {"AWS_SECRET_ACCESS_KEY": "wrong"}
    finding = doctor(BakedProject(here.path, wrong), "remote")
    assert not finding["passed"]
    assert finding["remedy"] == "set the credentials (docs/guide/s3.md)"
    address = ("dvc", "remote", "modify", "--local", "storage", "endpointurl")
    here.run(*address, "http://127.0.0.1:9")
    remedy = "start it, check the network, or dvc remote modify storage endpointurl URL"
    assert doctor(here, "remote")["remedy"] == remedy


@ON_CEPH
@pytest.mark.parametrize("place", ["config.local", "profile", "environment"])
def test_no_tracked_file_contains_the_keys(
    here: BakedProject, server: s3.Server, tmp_path: Path, place: str
) -> None:
    keys = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    bare = {name: value for name, value in here.environment.items() if name not in keys}
    user = BakedProject(here.path, bare | {"HOME": str(tmp_path)})
    if place == "config.local":
        user.run("dvc", "remote", "modify", "--local", "storage", "access_key_id", server.key)
        secret = ["secret_access_key", server.secret]
        user.run("dvc", "remote", "modify", "--local", "storage", *secret)
    elif place == "profile":
        (tmp_path / ".aws").mkdir()
        (tmp_path / ".aws/credentials").write_text(
            f"[team]\naws_access_key_id = {server.key}\naws_secret_access_key = {server.secret}\n",
            encoding="utf-8",
        )
        user.run("dvc", "remote", "modify", "--local", "storage", "profile", "team")
    else:
        user = here
    user.run("dvc", "push", "data/source.dvc")
    user.run("git", "add", ".")
    for secret_word in (server.key, server.secret):
        assert user.run("git", "grep", "--cached", secret_word, check=False).returncode == 1
    assert user.run("git", "status", "--porcelain").stdout == ""


def test_a_project_generated_for_s3_needs_only_keys(
    project: BakedProject, server: s3.Server, bucket: str, tmp_path: Path
) -> None:
    folder = bake(tmp_path, remote_url=f"s3://{bucket}/some/prefix").path
    (folder / ".venv").symlink_to(project.path / ".venv")
    user = BakedProject(folder, project.environment | server.environment())
    user.run("dvc", "commit", "--quiet", "data/source.dvc")
    user.run("dvc", "push", "data/source.dvc", AWS_ENDPOINT_URL_S3=server.url)
    assert user.run("git", "status", "--porcelain").stdout == ""
    assert {name.split("files/")[0] for name in server.names(bucket)} == {"some/prefix/"}


@ON_CEPH
def test_a_bucket_that_keeps_old_versions_works_as_any_other(
    here: BakedProject, server: s3.Server, bucket: str, tmp_path: Path
) -> None:
    server.rclone("backend", "versioning", f":s3:{bucket}", "Enabled")
    add(here, "notes.bin", "old")
    here.run("dvc", "push")
    old = here.run("git", "rev-parse", "HEAD").stdout.strip()
    add(here, "notes.bin", "new")
    here.run("dvc", "push")
    here.run("dvc", "gc", "--workspace", "--cloud", "--force")
    here.run("git", "-c", "core.hooksPath=/dev/null", "checkout", "--quiet", old)
    (here.path / "notes.bin").write_text("old", encoding="utf-8")
    here.run("dvc", "commit", "--quiet", "notes.bin.dvc")
    here.run("dvc", "push")
    clone = here.clone(tmp_path / "clone")
    clone.run("dvc", "pull")
    assert clone.file_contains("notes.bin", "old")


@ON_CEPH
def test_the_documented_rule_for_abandoned_uploads_is_accepted(
    here: BakedProject, server: s3.Server, bucket: str
) -> None:
    guide = (here.path / "docs/guide/s3.md").read_text(encoding="utf-8")
    (rule,) = re.findall(r"'(\{\"Rules\".*?\})'", guide, re.DOTALL)
    put = (
        "import json, sys; from botocore.session import get_session; "
        "url, bucket, rule = sys.argv[1:]; "
        "s3 = get_session().create_client('s3', 'us-east-1', endpoint_url=url); "
        "s3.put_bucket_lifecycle_configuration("
        "Bucket=bucket, LifecycleConfiguration=json.loads(rule)); "
        "print(json.dumps(s3.get_bucket_lifecycle_configuration(Bucket=bucket)['Rules']))"
    )
    rules = here.run("python", "-c", put, server.url, bucket, rule).stdout
    assert json.loads(rules)[0]["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] == 7


def test_an_endpoint_that_is_down_is_named_and_loses_nothing(
    small: BakedProject, tmp_path: Path
) -> None:
    nobody = s3.Server("nobody", f"http://127.0.0.1:{s3.free_port()}", "AKIANOBODY", "nothing")
    copy = small.copy(tmp_path / "here")
    to_s3(copy, nobody, "bucket")
    before = contents(copy.path / "data")
    assert nobody.url in refused(copy, "dvc", "push", **nobody.environment())
    assert contents(copy.path / "data") == before
    assert copy.run("git", "status", "--porcelain").stdout == ""


def test_make_s3_starts_a_server_and_says_how_to_use_it(
    small: BakedProject, tmp_path: Path
) -> None:
    copy = small.copy(tmp_path / "here")
    address = f"127.0.0.1:{s3.free_port()}"
    with subprocess.Popen(
        ["make", "s3", f"S3={address}"],
        cwd=copy.path,
        env=copy.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        text=True,
    ) as make:
        try:
            assert make.stdout is not None
            commands = [make.stdout.readline().strip() for _ in range(4)][1:]
            s3.wait_for(f"http://{address}")
            copy.run("sh", "-ec", "\n".join([*commands, "dvc push data/source.dvc"]))
        finally:
            os.killpg(make.pid, signal.SIGINT)
    assert copy.run("git", "status", "--porcelain").stdout == ""
    assert list((tmp_path / "flight_delays-s3/bucket/data/files/md5").iterdir())


def md5(text: str) -> str:
    """DVC's name for these bytes."""
    return hashlib.md5(text.encode()).hexdigest()
