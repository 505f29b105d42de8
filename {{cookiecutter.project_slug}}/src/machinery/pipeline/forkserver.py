"""Run stages as forks of a server process that has the libraries imported.

A short stage spends most of its time importing scikit-learn and pandas: without the server,
`dvc repro` of the sample takes three times as long. The first stage starts the server, which
imports the libraries on another core and forks for every later stage. It never imports a project's
module: each fork imports the project's current code. It exits when idle. Without a server a stage
imports the libraries itself and writes the same bytes.
"""

import contextlib
import importlib
import json
import os
import runpy
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

IDLE_SECONDS = 3.0
# None may start a thread that holds a lock: a fork inherits locks, but not the threads.
LIBRARIES = """
    pandas pyarrow.parquet rich.progress skl2onnx sklearn.compose sklearn.ensemble sklearn.impute
    sklearn.linear_model sklearn.model_selection sklearn.pipeline sklearn.preprocessing sklearn.tree
""".split()


def ask(package: str, words: list[str]) -> int | None:
    """Run `python -m PACKAGE WORDS` as a fork; return its exit code, or None without a server."""
    request = {
        "package": package,
        "words": words,
        "group": os.getpgrp(),
        "environment": dict(os.environ),
    }
    interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)  # the fork, in this group, gets it
    with socket.socket(socket.AF_UNIX) as line, contextlib.suppress(OSError):
        line.connect(_address())
        if peer(line)[1] == os.getuid():
            socket.send_fds(line, [b"\n"], [0, 1, 2])
            line.sendall(json.dumps(request).encode() + b"\n")
            if code := line.recv(1):
                return code[0]
    signal.signal(signal.SIGINT, interrupt)
    return None


def start(libraries: Sequence[str] = LIBRARIES, idle_seconds: float = IDLE_SECONDS) -> None:
    """Start a server for later stages; it exits at once if another one is listening."""
    subprocess.Popen(
        [sys.executable, "-m", __name__, str(idle_seconds), *libraries],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,  # a reader of the run's output must not wait for the server
        stderr=subprocess.DEVNULL,
        process_group=0,  # a Ctrl-C at the terminal is for the stages
    )


def peer(line: socket.socket) -> tuple[int, ...]:
    """Process, user and group of the other end (see `man 7 unix`, SO_PEERCRED)."""
    credentials = line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return struct.unpack("3i", credentials)


def _address() -> bytes:
    """An abstract socket, which leaves no file and vanishes with its server.

    One for each session, since a process can only join process groups of its own session.
    """
    key = f"{sys.executable} {Path.cwd()} {os.getuid()} {os.getsid(0)}"
    return b"\0stages-" + sha256(key.encode()).hexdigest().encode()


def _serve(idle_seconds: float, libraries: Sequence[str]) -> None:
    with socket.socket(socket.AF_UNIX) as listener, contextlib.suppress(OSError):
        listener.bind(_address())
        for library in libraries:
            importlib.import_module(library)
        listener.listen()
        listener.settimeout(idle_seconds)
        while True:
            line, _ = listener.accept()
            with line, contextlib.suppress(OSError, ValueError):  # the client was killed
                if peer(line)[1] == os.getuid():
                    line.setblocking(True)
                    _answer(line, listener)


def _answer(line: socket.socket, listener: socket.socket) -> None:
    _, streams, _, _ = socket.recv_fds(line, 1, 3)
    request = json.loads(line.makefile().readline())
    child = os.fork()
    if child == 0:
        listener.close()
        _run_stage(line, streams, request)
    for stream in streams:
        os.close(stream)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    line.send(bytes([code if code >= 0 else 128 - code]))


def _run_stage(line: socket.socket, streams: list[int], request: dict[str, Any]) -> None:
    """Run the stage in the client's process group and environment, with its streams."""
    code: Any = 1
    try:
        os.setpgid(0, request["group"])
        os.environ.clear()
        os.environ.update(request["environment"])
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        threading.Thread(target=_interrupt_after, args=[line], daemon=True).start()
        importlib.invalidate_caches()
        sys.argv = [request["package"], *request["words"]]
        runpy.run_module(request["package"], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code or 0
        if not isinstance(code, int):  # a message, which Python would print
            print(code, file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        code = 128 + signal.SIGINT
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
        os._exit(code if isinstance(code, int) else 1)


def _interrupt_after(line: socket.socket) -> None:
    """Interrupt the stage when the client is gone."""
    line.recv(1)
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


if __name__ == "__main__":
    _serve(float(sys.argv[1]), sys.argv[2:])
