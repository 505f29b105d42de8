"""The pull request's comment: posted once, then edited, and never a reason to fail.

Over HTTPS, against a stand-in for the code host's API, with the real `cml` or, if it is not
installed, a stand-in that sends the same requests and records how it was called.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import pytest

import cml_stand_in
import code_host
from code_host import TOKEN, signed
from code_host_api import NUMBER, REPOSITORY, USER
from conftest import BakedProject

TEXT = "**Better**: roc_auc 0.75 against 0.71\n"
CML = """\
#!/bin/sh
exec python3 '{program}' '{record}' {code} "$@"
"""
IMPOSTOR = "#!/bin/sh\necho 1.0.0\n"


@dataclass
class Job:
    """A CI job of the project: a machine with some tools, a home, and a pull request."""

    project: BakedProject
    host: code_host.CodeHost
    folder: Path
    environment: dict[str, str]

    def comment(self, text: str = TEXT, **environment: str) -> str:
        """Post a report as the workflow does, and return the output. It never fails."""
        self.report.write_text(text, encoding="utf-8", newline="\n")
        return self.post(**environment)

    def post(self, **environment: str) -> str:
        """Run `make comment`."""
        environment = self.project.environment | self.environment | environment
        machine = replace(self.project, environment=environment)
        done = machine.run("make", "comment", OUTPUT=str(self.report))
        assert TOKEN not in done.stdout
        return done.stdout

    def install(self, name: str, program: str | Path) -> None:
        """Put a program on the PATH of the job: a script, or an installed one."""
        place = self.folder / "bin" / name
        if isinstance(program, Path):
            place.symlink_to(program)
        else:
            place.write_text(program, encoding="utf-8")
            place.chmod(0o755)

    def install_stand_in(self, code: int = 0) -> Path:
        """Install a cml that posts, or fails with a code; returns the record of its calls."""
        record = self.folder / "cml.json"
        self.install("cml", CML.format(program=cml_stand_in.__file__, record=record, code=code))
        return record

    def install_cml(self) -> None:
        """Install the real cml, or the stand-in."""
        if real := _real_cml():
            self.install("cml", real)
            self.install("node", Path(shutil.which("node") or "node"))
        else:
            self.install_stand_in()

    @property
    def report(self) -> Path:
        """Where `make report` writes."""
        return self.folder / "report.md"

    @property
    def summary(self) -> str:
        """The job's summary."""
        return (self.folder / "summary.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[code_host.CodeHost]:
    """The code host, for all tests of this file."""
    with code_host.start(tmp_path_factory.mktemp("host")) as host:
        yield host


@pytest.fixture
def job(project: BakedProject, server: code_host.CodeHost, tmp_path: Path) -> Job:
    """A job on a machine with git and Python, without cml; nobody has commented yet."""
    server.clear()
    tools = tmp_path / "bin"
    tools.mkdir()
    (tmp_path / "home").mkdir()
    path = os.pathsep.join([str(tools), str(project.path / ".venv" / "bin")])
    ci_job = Job(project, server, tmp_path, server.environment(tmp_path, "dial"))
    ci_job.environment |= {"PATH": path, "HOME": str(tmp_path / "home"), "GH_TOKEN": TOKEN}
    for name in ("git", "env", "make", "sh"):
        ci_job.install(name, Path(shutil.which(name) or name))
    return ci_job


@cache
def _real_cml() -> Path | None:
    """The installed cml, if it is the one of https://cml.dev."""
    if not (program := shutil.which("cml")):
        return None
    words = [program, "comment", "update", "--help"]
    help_text = subprocess.run(words, capture_output=True, text=True, check=False).stdout
    return Path(program) if "--watermark-title" in help_text else None


@pytest.fixture(params=["cml", "the API"])
def way(request: pytest.FixtureRequest, job: Job) -> str:
    """Install a tool that posts, or none."""
    if request.param == "cml":
        job.install_cml()
    return str(request.param)


def test_comment_is_made_once_and_then_edited(job: Job, way: str) -> None:
    assert f"Posted by {way} " in job.comment("First.\n")
    assert f"Posted by {way} " in job.comment("Second.\n")
    (body,) = job.host.bodies()
    assert body.startswith("Second.\n")
    assert "watermark.png#" in body and '"CML watermark flight-delays report")' in body
    assert job.summary == "First.\n\nSecond.\n\n"


def test_comment_is_the_same_one_whether_cml_is_there_or_not(job: Job) -> None:
    job.comment("By the API.\n")
    job.install_cml()
    assert "Posted by cml" in job.comment("By CML.\n")
    assert [body.partition("\n")[0] for body in job.host.bodies()] == ["By CML."]
    (job.folder / "bin" / "cml").unlink()
    assert "Posted by the API" in job.comment("By the API again.\n")
    assert [body.partition("\n")[0] for body in job.host.bodies()] == ["By the API again."]


def test_failed_run_takes_the_place_of_an_earlier_report(job: Job, way: str) -> None:
    job.comment("**Better**: roc_auc\n")
    job.report.unlink()
    assert f"Posted by {way} " in job.post()
    (body,) = job.host.bodies()
    commit = job.project.run("git", "rev-parse", "HEAD").stdout.strip()
    log = f"{job.host.url}/{REPOSITORY}/actions/runs/42"
    assert body.startswith(f"**No report** for {commit}: the run failed, see [its log]({log}).\n")
    assert job.summary.endswith(job.report.read_text(encoding="utf-8") + "\n")


def test_watermark_that_a_stranger_has_planted_is_left_alone(job: Job, way: str) -> None:
    planted = job.host.say(signed("**Better**: trust me\n"))["body"]
    for text in ("First.\n", "Second.\n"):
        job.comment(text)
        job.host.say(planted)
    before, own, *after = job.host.bodies()
    assert {before, *after} == {planted}
    assert own.startswith("Second.\n")


def test_text_arrives_byte_for_byte(job: Job, way: str) -> None:
    hostile = (
        "$(touch pwned) `touch pwned` ; touch pwned\n'\"\\\n%0A::error::pwned\n"
        "::set-env name=PATH::/\n@all <script>alert(1)</script> ![x](/etc/passwd) ✓ {workflow}\n"
    )
    printed = job.comment(hostile, GITHUB_HEAD_REF="x;touch pwned")
    assert job.host.bodies()[0].startswith(hostile)
    assert "pwned" not in printed and not list(job.folder.rglob("pwned"))
    assert not (job.project.path / "pwned").exists()


def test_cml_gets_these_words_and_no_secret_but_its_token(job: Job) -> None:
    record = job.install_stand_in()
    assert "Posted by cml" in job.comment(
        AWS_SECRET_ACCESS_KEY="s3cret", CML_COMMENT_PUBLISH="true"
    )
    call = json.loads(record.read_text(encoding="utf-8"))
    place = ["--driver", "github", "--repo", f"{job.host.url}/{REPOSITORY}"]
    assert call["words"][:-1] == [
        *("comment", "update", "--publish=false"),
        *("--watermark-title", "flight-delays report", "--target", f"pr/{NUMBER}", *place),
    ]
    assert call["text"] == TEXT
    assert call["environment"]["REPO_TOKEN"] == TOKEN
    assert call["environment"]["ITERATIVE_DO_NOT_TRACK"] == "1"
    assert not {"AWS_SECRET_ACCESS_KEY", "CML_COMMENT_PUBLISH", "GH_TOKEN"} & {*call["environment"]}


def test_home_is_left_alone(job: Job) -> None:
    record = job.install_stand_in()
    settings = Path(os.environ["GIT_CONFIG_GLOBAL"])
    before = settings.read_bytes()
    job.comment()
    home = Path(json.loads(record.read_text(encoding="utf-8"))["environment"]["HOME"])
    assert not list((job.folder / "home").iterdir())
    assert not home.exists() and settings.read_bytes() == before


def test_cml_that_crashes_is_replaced_by_the_api(job: Job) -> None:
    job.install_stand_in(code=1)
    printed = job.comment()
    assert "::notice::the API posted the comment, since cml: exit code 1" in printed
    assert len(job.host.bodies()) == 1


def test_another_program_named_cml_is_not_used(job: Job) -> None:
    job.install("cml", IMPOSTOR)
    assert "cml: the program of that name is not https://cml.dev" in job.comment()
    assert len(job.host.bodies()) == 1


def test_comment_beyond_those_that_cml_looks_at_is_edited_by_the_api(job: Job) -> None:
    record = job.install_stand_in()
    for number in range(30):
        job.host.say(f"Comment {number}")
    job.host.say(signed("Old.\n"), USER)
    assert "Posted by the API" in job.comment()
    assert not record.exists() and len(job.host.bodies()) == 31
    assert job.host.bodies()[30].startswith(TEXT)


def test_comment_is_found_among_hundreds(job: Job) -> None:
    for number in range(250):
        job.host.say(f"Comment {number}")
    job.comment("First.\n")
    for number in range(250):
        job.host.say(f"Comment {number}")
    job.comment("Second.\n")
    assert len(job.host.bodies()) == 501
    assert job.host.bodies()[250].startswith("Second.\n")


def test_reply_that_quotes_the_comment_is_not_taken_for_it(job: Job, way: str) -> None:
    own = job.host.say(signed("Old.\n"), USER)
    reply = "> " + own["body"].replace("\n", "\n> ") + "\n\nNice!"
    job.host.say(reply)
    job.comment()
    assert job.host.bodies()[1] == reply
    assert job.host.bodies()[0].startswith(TEXT)


def test_other_comments_of_the_same_token_are_left_alone(job: Job, way: str) -> None:
    job.host.say("Coverage: 93 %", USER)
    job.comment("First.\n")
    job.host.say("Preview: https://example.com", USER)
    job.comment("Second.\n")
    first, own, last = job.host.bodies()
    assert (first, last) == ("Coverage: 93 %", "Preview: https://example.com")
    assert own.startswith("Second.\n")


def test_token_that_may_only_read_is_a_warning_and_loses_nothing(job: Job, way: str) -> None:
    job.host.fail(403, fits=_writes)
    printed = job.comment()
    assert "::warning::no comment (" in printed and "403" in printed
    assert "the job's summary has the text" in printed
    assert job.host.bodies() == [] and job.summary == TEXT + "\n"


def test_token_that_may_nothing_is_a_warning_and_loses_nothing(job: Job, way: str) -> None:
    job.host.fail(403)
    assert job.comment().count("::warning::") == 1
    assert job.summary == TEXT + "\n"


def test_host_that_stays_broken_is_given_up(job: Job, way: str) -> None:
    job.host.fail(500, fits=_writes)
    assert "500" in job.comment()
    assert len(job.host.requests) < 40
    assert job.summary == TEXT + "\n"


def test_text_too_long_for_a_comment_is_cut_and_the_summary_has_it_all(job: Job, way: str) -> None:
    text = "A line of the report.\n" * 5_000
    job.comment(text)
    job.comment(text)
    (body,) = job.host.bodies()
    assert len(body) < 65_536 and "too long for a comment" in body
    assert job.summary.startswith(text)


def test_push_without_pull_request_fills_the_summary_only(job: Job) -> None:
    job.host.environment(job.folder)
    assert "belongs to no pull request" in job.comment()
    assert job.summary == TEXT + "\n" and job.host.requests == []


def test_job_without_token_says_so(job: Job) -> None:
    assert "::warning::no comment: the job has no token" in job.comment(GH_TOKEN="")
    assert job.summary == TEXT + "\n"


def test_comment_outside_of_ci_is_one_sentence(project: BakedProject) -> None:
    done = project.run("python3", "-m", "machinery.ci", "README.md", check=False)
    assert done.returncode == 2
    assert done.stdout.count("\n") == 1 and "GitHub Actions or GitLab CI" in done.stdout


class TestGitLab:
    """The same on a merge request."""

    @pytest.fixture
    def gitlab(self, job: Job) -> Job:
        """The job on GitLab."""
        inherited = {name: job.environment[name] for name in ("PATH", "HOME")}
        job.environment = job.host.gitlab_environment() | inherited | {"REPO_TOKEN": TOKEN}
        return job

    def test_comment_is_made_once_and_then_edited(self, gitlab: Job, way: str) -> None:
        gitlab.comment("First.\n")
        gitlab.comment("Second.\n")
        (body,) = gitlab.host.bodies()
        assert body.startswith("Second.\n")

    def test_cml_gets_these_words(self, gitlab: Job) -> None:
        record = gitlab.install_stand_in()
        gitlab.comment()
        words = json.loads(record.read_text(encoding="utf-8"))["words"]
        place = ["--driver", "gitlab", "--repo", f"{gitlab.host.url}/{REPOSITORY}"]
        assert words[5:-1] == ["--target", f"pr/{NUMBER}", *place]

    def test_note_that_is_not_among_the_newest_is_edited(self, gitlab: Job) -> None:
        record = gitlab.install_stand_in()
        gitlab.host.say(signed("Old.\n"), USER)
        for number in range(20):
            gitlab.host.say(f"Note {number}")
        gitlab.comment()
        assert not record.exists() and len(gitlab.host.bodies()) == 21
        assert gitlab.host.bodies()[0].startswith(TEXT)

    def test_without_a_token_the_artifact_has_the_text(self, gitlab: Job) -> None:
        printed = gitlab.comment(REPO_TOKEN="")
        assert "warning: no comment: the job has no token" in printed
        assert "the job's artifact has the text" in printed

    def test_failed_run_takes_the_place_of_an_earlier_report(self, gitlab: Job, way: str) -> None:
        gitlab.comment("**Better**: roc_auc\n")
        gitlab.report.unlink()
        gitlab.post(CI_JOB_STATUS="failed")
        (body,) = gitlab.host.bodies()
        assert body.startswith("**No report** for ") and "/-/jobs/42)" in body
        assert gitlab.report.exists()  # for the artifact

    def test_job_that_a_later_push_has_cancelled_says_nothing(self, gitlab: Job) -> None:
        gitlab.comment("**Better**: roc_auc\n")
        gitlab.report.unlink()
        assert "the job was cancelled" in gitlab.post(CI_JOB_STATUS="canceled")
        assert gitlab.host.bodies()[0].startswith("**Better**")

    def test_watermark_that_a_stranger_has_planted_is_left_alone(
        self, gitlab: Job, way: str
    ) -> None:
        planted = gitlab.host.say(signed("**Better**: trust me\n"))["body"]
        for text in ("First.\n", "Second.\n"):
            gitlab.comment(text)
            gitlab.host.say(planted)
        before, own, *after = gitlab.host.bodies()
        assert {before, *after} == {planted}
        assert own.startswith("Second.\n")

    def test_job_of_a_fork_comments_where_the_merge_request_is(self, gitlab: Job) -> None:
        gitlab.comment(CI_PROJECT_PATH="stranger/flights")
        assert len(gitlab.host.bodies()) == 1


def _writes(request: code_host.Request) -> bool:
    """Whether a request changes something; gh asks with POST, too."""
    return request.method != "GET" and "mutation" in (request.body or {}).get("query", "mutation")
