"""No command makes network calls: each runs under strace in its own network namespace.

The namespace has only a loopback device, so a call fails, and strace records it.
"""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from conftest import BakedProject
from dockerfile import Image
from service import KEY

pytestmark = [pytest.mark.slow, pytest.mark.needs("strace", "unshare", "ip")]
ALONE = ("unshare", "--map-root-user", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")
TRACE = ("strace", "-ff", "--seccomp-bpf", "-qq", "-y", "-s", "200", "--signal=none", "-e")
CALLS = "trace=connect,sendto,sendmsg,sendmmsg,open,openat,creat,mkdir,mkdirat"
CREATES = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|creat\(")
OPENED = re.compile(r"= \d+<(/[^>]*)>$")
MADE = re.compile(r'mkdir(?:at)?\((?:AT_FDCWD<(?P<at>[^>]*)>, )?"(?P<path>[^"]*)".*= 0$')
INTERNET = re.compile(r"sa_family=AF_INET6?, .*")
LOOPBACK = re.compile(r'inet_addr\("127\.0\.0\.1"\)|"::1"')
LOOK_UP = re.compile(r"htons\((?:53|5353|853)\)")
# Files of the kernel, and Python's temporary lock files.
SYSTEM = ("/dev/", "/proc/", "/sys/")
SERVICE = """
import json, signal, subprocess, sys, time, urllib.request
rows, key, *command = sys.argv[1:]
with subprocess.Popen(command) as process:
    for _ in range(1200):
        time.sleep(0.1)
        try:
            urllib.request.urlopen("http://127.0.0.1:8000/ready").close()
            break
        except OSError:
            assert process.poll() is None
    children = open(f"/proc/{process.pid}/task/{process.pid}/children").read().split()
    headers = {"Authorization": "Bearer " + key, "Content-Type": "application/json"}
    request = urllib.request.Request("http://127.0.0.1:8000/predict", rows.encode(), headers)
    try:
        print(urllib.request.urlopen(request).read().decode())
        time.sleep(5)
    finally:
        subprocess.run(["kill", "-TERM", *children], check=True)
"""


@dataclass(frozen=True)
class Trace:
    """The side effects of a command."""

    calls: list[str]  # to other machines, including name look-ups
    files: list[str]  # written outside of the project
    output: str


@pytest.fixture
def watched(small: BakedProject, tmp_path: Path) -> BakedProject:
    """A project whose user has an empty home, and has not disabled any telemetry."""
    for command in ([*ALONE, "true"], ["strace", "-o", "/dev/null", "true"]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"the kernel forbids '{command[0]}' here: {done.stderr.strip()}")
    remote = f"{small.path.name}-dvc-remote"
    shutil.copytree(small.path.parent / remote, tmp_path / remote)
    project = small.copy(tmp_path / small.path.name)
    # In CI, ONNX Runtime is silent by itself.
    off = {"CI", "ORT_DISABLE_TELEMETRY", "DVC_NO_ANALYTICS", "ITERATIVE_DO_NOT_TRACK"}
    off |= {"XDG_CACHE_HOME"}
    environment = {name: value for name, value in project.environment.items() if name not in off}
    for name in ("home", "tmp", "site"):
        (tmp_path / name).mkdir()
    places = {"HOME": "home", "TMPDIR": "tmp", "DVC_SITE_CACHE_DIR": "site"}
    environment |= {name: str(tmp_path / folder) for name, folder in places.items()}
    return BakedProject(project.path, environment)


def watch(project: BakedProject, *command: str, driver: tuple[str, ...] = ()) -> Trace:
    """Run a command under strace, with a driver if there is one."""
    trace = project.path.parent / "trace"
    traced = (*TRACE, CALLS, "-o", str(trace), *command)
    done = project.run(*ALONE, *driver, *traced, check=False, FLIGHT_DELAYS_API_KEYS=KEY)
    lines: list[str] = []
    for thread in trace.parent.glob("trace.*"):  # each in a file: no line is cut by another's
        lines += thread.read_text(encoding="utf-8", errors="replace").splitlines()
        thread.unlink()
    assert lines, done.stdout
    return Trace(_calls(lines), _files(project, lines), done.stdout)


def _calls(lines: list[str]) -> list[str]:
    out = [line for line in lines if INTERNET.search(line)]
    return [line for line in out if LOOK_UP.search(line) or not LOOPBACK.search(line)]


def _files(project: BakedProject, lines: list[str]) -> list[str]:
    """Files written outside of the project: its folder, its remote, .venv and temporary folders."""
    folder = project.path.parent
    own = (project.path, f"{project.path}-dvc-remote", folder / "tmp", folder / "site")
    venv = (project.path / ".venv").resolve()
    inside = tuple(f"{place}/" for place in (*own, venv))
    written = [
        match[1] for line in lines if CREATES.search(line) and (match := OPENED.search(line))
    ]
    created = [
        str(Path(match["at"] or project.path, match["path"]))
        for line in lines
        if (match := MADE.search(line))
    ]
    return [path for path in (*written, *created) if not f"{path}/".startswith((*SYSTEM, *inside))]


def quiet(trace: Trace) -> None:
    assert trace.calls == [], "it makes network calls"
    assert trace.files == [], "it writes outside of the project"


@pytest.mark.parametrize("stage", ["ingest", "split", "train schedule linear", "evaluate", "card"])
def test_a_stage_makes_no_network_calls(watched: BakedProject, stage: str) -> None:
    trace = watch(watched, "python", "-m", "flight_delays", *stage.split())
    assert "Traceback" not in trace.output
    quiet(trace)


def test_dvc_repro_makes_no_network_calls(watched: BakedProject) -> None:
    trace = watch(watched, "dvc", "repro", "--force", "--single-item", "evaluate")
    assert "Running stage 'evaluate'" in trace.output
    quiet(trace)


@pytest.mark.parametrize(
    "command",
    ["predict data/raw.parquet out.parquet", "report --against HEAD", "doctor", "show"],
)
def test_a_command_makes_no_network_calls(watched: BakedProject, command: str) -> None:
    trace = watch(watched, "flight-delays", *command.split())
    assert "Traceback" not in trace.output
    quiet(trace)


@pytest.mark.parametrize(
    "command",
    [
        ("flight-delays", "serve", "--port", "8000"),
        ("flight-delays", "serve", "--port", "8000", "--workers", "2"),
        ("uvicorn", "--factory", "flight_delays.__main__:service"),
    ],
    ids=lambda command: " ".join(command),
)
def test_the_service_makes_no_network_calls(
    watched: BakedProject, command: tuple[str, ...]
) -> None:
    examples = json.loads((watched.path / "models/examples.json").read_text(encoding="utf-8"))
    rows = json.dumps(examples["rows"][0])
    trace = watch(watched, *command, driver=(sys.executable, "-c", SERVICE, rows, KEY))
    assert '"predictions"' in trace.output, trace.output
    quiet(trace)


def test_the_containers_command_makes_no_network_calls(
    watched: BakedProject, tmp_path: Path
) -> None:
    rows = json.loads((watched.path / "models/examples.json").read_text(encoding="utf-8"))["rows"]
    image = Image(watched.path, tmp_path / "image")
    variables = image.variables(TMPDIR=image.place("/tmp"))
    inside = BakedProject(image.root / "app", variables)
    name, *words = image.command("service")
    command = str(shutil.which(name, path=variables["PATH"]))
    assert command.startswith(str(image.root))
    driver = (sys.executable, "-c", SERVICE, json.dumps(rows[0]), KEY)
    trace = watch(inside, command, *words, driver=driver)
    assert '"predictions"' in trace.output, trace.output
    quiet(trace)


def test_tests_and_notebooks_make_no_network_calls(watched: BakedProject) -> None:
    trace = watch(watched, "pytest", "-q", "tests/test_model.py")
    assert " passed" in trace.output  # what a model of two candidates gets right is no matter here
    quiet(trace)


def test_a_network_call_and_a_file_in_the_home_are_detected(watched: BakedProject) -> None:
    look_up = "import socket; socket.getaddrinfo('example.org', 443)"
    assert watch(watched, "python", "-c", look_up).calls
    connect = "import socket; socket.create_connection(('192.0.2.1', 443), 1)"
    assert watch(watched, "python", "-c", connect).calls
    trace = watch(watched, "python", "-c", "import onnxruntime")  # with its telemetry enabled
    assert [path for path in trace.files if path.startswith(watched.environment["HOME"])]
