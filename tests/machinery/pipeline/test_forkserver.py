"""A stage forked by the server behaves for the shell like a process of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

SOURCE = Path(__file__).parents[3] / "{{cookiecutter.project_slug}}" / "src"
STAGE = """
import json, os, sys, time

def main():
    words = sys.argv[1:]
    about = dict(pid=os.getpid(), group=os.getpgrp(), loaded="colorsys" in sys.modules)
    try:
        print(json.dumps(about | dict(words=words, value=os.environ.get("VALUE"))), flush=True)
        print("to stderr", file=sys.stderr)
        time.sleep(float(words[0]))
    finally:
        open("tidied", "w").close()
    if words[1:] == ["fail"]:
        raise ValueError("a fault of the stage")
    if words[1:] == ["end"]:
        sys.exit("the reason")
    return len(words)

if __name__ == "__main__":
    sys.exit(main())
"""
ASK = """
import os, sys
from machinery.pipeline import forkserver

if sys.argv[1:] == ["server"]:
    import socket
    with socket.socket(socket.AF_UNIX) as line:
        refused = line.connect_ex(forkserver._address())
        print(0 if refused else forkserver.peer(line)[0])
    sys.exit(0)
code = forkserver.ask("stage", sys.argv[1:])
if code is None:
    forkserver.start(["colorsys"], float(os.environ.get("IDLE", "30")))
    import stage
    code = stage.main()
sys.exit(code)
"""


def heed_interrupts() -> None:
    """Ctrl-C works as at a terminal; processes started in the background ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Shell:
    """Starts stages in one folder, each in a process group of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.script = folder / "ask.py"
        self.script.write_text(ASK)
        (folder / "stage.py").write_text(STAGE)

    def start(self, *words: str, **environment: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, self.script, *words],
            cwd=self.folder,
            env=dict(os.environ) | {"PYTHONPATH": f"{SOURCE}:{self.folder}"} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
            preexec_fn=heed_interrupts,
        )

    def start_forked(self, *words: str) -> tuple["subprocess.Popen[str]", int]:
        """A stage that the server has forked: the client's process, and the stage's id."""
        process = self.start(*words)
        assert process.stdout is not None
        about = json.loads(process.stdout.readline())
        assert about["loaded"], "it was not forked from the server"
        return process, about["pid"]

    def run(self, *words: str, **environment: str) -> tuple[int, dict[str, Any], str]:
        process = self.start(*words, **environment)
        out, err = process.communicate(timeout=60)
        return process.returncode, json.loads(out), err

    def server(self) -> int:
        """The server's process id; 0 without a server."""
        return int(self.start("server").communicate(timeout=60)[0])

    def kill_server(self) -> None:
        if server := self.server():  # 0 would be the process group of this test run
            os.kill(server, signal.SIGKILL)


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "not within a minute"
        time.sleep(0.01)


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """A folder whose server is up."""
    shell = Shell(tmp_path)
    code, about, _ = shell.run("0")
    assert (code, about["loaded"]) == (1, False)
    wait_for(shell.server)
    yield shell
    shell.kill_server()


def test_a_stage_is_forked_with_the_arguments_streams_and_environment_of_the_client(
    shell: Shell,
) -> None:
    process = shell.start("0", "b", "c", VALUE="something")
    out, err = process.communicate(timeout=60)
    about = json.loads(out)
    assert about["loaded"], "it was not forked from the server"
    assert about["pid"] != process.pid
    assert about["group"] == process.pid
    assert (about["words"], about["value"]) == (["0", "b", "c"], "something")
    assert (process.returncode, err) == (3, "to stderr\n")


@pytest.mark.parametrize(
    ("how", "last_line"), [("fail", "ValueError: a fault of the stage"), ("end", "the reason")]
)
def test_a_stage_that_fails_prints_its_traceback_or_message(
    shell: Shell, how: str, last_line: str
) -> None:
    code, about, err = shell.run("0", how)
    assert about["loaded"]
    assert code == 1
    assert err.splitlines()[-1] == last_line


def test_a_ctrl_c_reaches_the_stage_which_cleans_up(shell: Shell) -> None:
    process, _ = shell.start_forked("60")
    (shell.folder / "tidied").unlink()
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(60) == 128 + signal.SIGINT
    assert (shell.folder / "tidied").exists()
    process.communicate()


def test_a_stage_ends_when_the_client_is_killed(shell: Shell) -> None:
    process, stage = shell.start_forked("300")
    process.kill()
    process.wait(60)
    wait_for(lambda: not Path(f"/proc/{stage}").exists())  # it holds the pipes until then
    process.communicate()


def test_the_client_reports_the_signal_that_killed_the_stage(shell: Shell) -> None:
    process, stage = shell.start_forked("60")
    os.kill(stage, signal.SIGKILL)
    assert process.wait(60) == 128 + signal.SIGKILL
    process.communicate()


def test_a_server_that_was_killed_is_replaced(shell: Shell) -> None:
    shell.kill_server()
    wait_for(lambda: not shell.run("0")[1]["loaded"])
    wait_for(lambda: shell.run("0")[1]["loaded"])


def test_a_stage_whose_server_is_killed_is_run_again(shell: Shell) -> None:
    process, _ = shell.start_forked("0.5")
    shell.kill_server()
    again, _ = process.communicate(timeout=60)
    assert not json.loads(again)["loaded"]
    assert process.returncode == 1
    wait_for(shell.server)


def test_an_idle_server_exits(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    shell.run("0", IDLE="2")
    wait_for(shell.server)
    wait_for(lambda: time.sleep(3) or not shell.server())  # a look-up is a request
