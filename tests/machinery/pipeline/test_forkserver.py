"""The server that forks stages: what a stage is to the shell, it is through the server as well."""

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
        print(json.dumps(about | dict(words=words, told=os.environ.get("TOLD"))), flush=True)
        print("to stderr", file=sys.stderr)
        time.sleep(float(words[0]))
    finally:
        open("tidied", "w").close()
    if words[1:] == ["fail"]:
        raise ValueError("a fault of the stage")
    if words[1:] == ["end"]:
        sys.exit("why it ends")
    return len(words)

if __name__ == "__main__":
    sys.exit(main())
"""
ASK = """
import os, sys
from machinery.pipeline import forkserver

if sys.argv[1:] == ["who"]:
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
    """As at a terminal: what a shell starts in the background, this test run too, ignores them."""
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

    def run(self, *words: str, **environment: str) -> tuple[int, dict[str, Any], str]:
        process = self.start(*words, **environment)
        out, err = process.communicate(timeout=60)
        return process.returncode, json.loads(out), err

    def server(self) -> int:
        """The server's process id; 0 without a server."""
        return int(self.start("who").communicate(timeout=60)[0])

    def kill_server(self) -> None:
        if server := self.server():  # 0 would be the process group of this test run
            os.kill(server, signal.SIGKILL)


def wait_for(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not what():
        assert time.monotonic() < deadline, "it did not happen within a minute"
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


def test_a_stage_is_forked_with_the_words_streams_and_environment_of_who_asked(
    shell: Shell,
) -> None:
    process = shell.start("0", "b", "c", TOLD="something")
    out, err = process.communicate(timeout=60)
    about = json.loads(out)
    assert about["loaded"], "it was not forked from the server"
    assert about["pid"] != process.pid
    assert about["group"] == process.pid
    assert (about["words"], about["told"]) == (["0", "b", "c"], "something")
    assert (process.returncode, err) == (3, "to stderr\n")


def test_a_fault_of_a_stage_is_its_traceback_and_exit_code(shell: Shell) -> None:
    code, about, err = shell.run("0", "fail")
    assert about["loaded"]
    assert code == 1
    assert err.rstrip().endswith("ValueError: a fault of the stage")


def test_a_stage_that_ends_with_a_sentence_says_it(shell: Shell) -> None:
    code, about, err = shell.run("0", "end")
    assert about["loaded"]
    assert (code, err) == (1, "to stderr\nwhy it ends\n")


def test_a_ctrl_c_reaches_the_stage_which_tidies_up(shell: Shell) -> None:
    process = shell.start("60")
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["loaded"]
    (shell.folder / "tidied").unlink()
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(60) == 128 + signal.SIGINT
    assert (shell.folder / "tidied").exists()
    process.communicate()


def test_a_stage_ends_when_who_asked_is_killed(shell: Shell) -> None:
    process = shell.start("300")
    assert process.stdout is not None
    stage = json.loads(process.stdout.readline())
    assert stage["loaded"]
    process.kill()
    process.wait(60)
    wait_for(lambda: not Path(f"/proc/{stage['pid']}").exists())  # it holds the pipes till then
    process.communicate()


def test_a_stage_killed_by_itself_tells_who_asked(shell: Shell) -> None:
    process = shell.start("60")
    assert process.stdout is not None
    os.kill(json.loads(process.stdout.readline())["pid"], signal.SIGKILL)
    assert process.wait(60) == 128 + signal.SIGKILL
    process.communicate()


def test_a_server_that_was_killed_is_replaced(shell: Shell) -> None:
    shell.kill_server()
    wait_for(lambda: not shell.run("0")[1]["loaded"])
    wait_for(lambda: shell.run("0")[1]["loaded"])


def test_a_stage_whose_server_is_killed_is_run_again(shell: Shell) -> None:
    process = shell.start("0.5")
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["loaded"]
    shell.kill_server()
    again, _ = process.communicate(timeout=60)
    assert not json.loads(again)["loaded"]
    assert process.returncode == 1
    wait_for(shell.server)


def test_the_server_ends_when_nobody_asks(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    shell.run("0", IDLE="2")
    wait_for(shell.server)
    wait_for(lambda: time.sleep(3) or not shell.server())  # to look for it is to ask
