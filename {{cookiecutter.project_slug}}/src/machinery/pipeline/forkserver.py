"""forkserver: a stage's command in, its exit code out, by a process that has the libraries loaded.

A short stage spends most of its time importing scikit-learn and pandas. The first stage of a `dvc
repro` leaves a server behind, which imports them on another core and forks for every later stage:
a process of its own still, with the project's code as it lies there when it starts. The server
ends when nobody has asked for a while. Without one a stage imports for itself, to the same bytes.
"""

import contextlib
import importlib
import json
import os
import signal
import socket
import struct
import sys
import threading
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

IDLE_SECONDS = 3.0
# None of them may start a thread that holds a lock: a fork has the locks, and not the threads.
LIBRARIES = """
    hamilton.driver pandas pandera.pandas pyarrow.parquet rich.progress skl2onnx sklearn.compose
    sklearn.ensemble sklearn.impute sklearn.linear_model sklearn.model_selection sklearn.pipeline
    sklearn.preprocessing sklearn.tree
"""
INTERRUPTED = 128 + signal.SIGINT

Run = Callable[[list[str]], int]


def ask(words: list[str]) -> int | None:
    """The exit code of a stage that a fork of the server ran; None where no server answers."""
    request = {"words": words, "group": os.getpgrp(), "environment": dict(os.environ)}
    heed = signal.signal(signal.SIGINT, signal.SIG_IGN)  # the stage is in this group and gets it
    with socket.socket(socket.AF_UNIX) as line, contextlib.suppress(OSError):
        line.connect(_address())
        if peer(line)[1] == os.getuid():
            socket.send_fds(line, [b"\n"], [0, 1, 2])
            line.sendall(json.dumps(request).encode() + b"\n")
            if code := line.recv(1):
                return code[0]
    signal.signal(signal.SIGINT, heed)
    return None


def leave_behind(run: Run) -> None:
    """Start the server for the stages to come, unless there is one."""
    if os.fork() == 0:
        try:
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(_address())
                _serve(listener, run)
        finally:
            os._exit(0)


def peer(line: socket.socket) -> tuple[int, int, int]:
    """Process, user and group of the other end."""
    form = struct.Struct("3i")
    process, user, group = form.unpack(
        line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, form.size)
    )
    return process, user, group


def _address() -> bytes:
    """No file, but a name that the kernel forgets with its server (Linux's abstract sockets).

    One for each session, since processes join groups within their session only.
    """
    of = f"{sys.executable} {Path.cwd()} {os.getuid()} {os.getsid(0)}"
    return b"\0stages-" + sha256(of.encode()).hexdigest().encode()


def _serve(listener: socket.socket, run: Run) -> None:
    os.setpgid(0, 0)  # a Ctrl-C at the terminal is for stages
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nowhere, stream)  # who reads the output of a run must not wait for this process
    for library in LIBRARIES.split():
        importlib.import_module(library)
    listener.listen()
    listener.settimeout(IDLE_SECONDS)
    while True:
        line, _ = listener.accept()
        with line, contextlib.suppress(OSError, ValueError):  # who asked was killed
            if peer(line)[1] == os.getuid():
                line.setblocking(True)
                _answer(line, listener, run)


def _answer(line: socket.socket, listener: socket.socket, run: Run) -> None:
    _, streams, _, _ = socket.recv_fds(line, 1, 3)
    request = json.loads(line.makefile().readline())
    child = os.fork()
    if child == 0:
        listener.close()
        _become(line, streams, request, run)
    for stream in streams:
        os.close(stream)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    line.send(bytes([code if code >= 0 else 128 - code]))


def _become(line: socket.socket, streams: list[int], request: dict[str, Any], run: Run) -> None:
    """Be the stage of who asked: in that group and environment, with those streams."""
    code = 1
    try:
        os.setpgid(0, request["group"])
        os.environ.clear()
        os.environ.update(request["environment"])
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        threading.Thread(target=_end_with, args=[line], daemon=True).start()
        importlib.invalidate_caches()
        code = run(request["words"])
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
        os._exit(code)


def _end_with(line: socket.socket) -> None:
    """Interrupt the stage when who asked is gone."""
    line.recv(1)
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
