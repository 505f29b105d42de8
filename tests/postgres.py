"""A real PostgreSQL on 127.0.0.1 that asks for a password."""

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from s3 import free_port, wait_for

PROGRAMS = ["initdb", "postgres"]


@contextmanager
def start() -> Iterator[str]:
    """Run an empty database until the end of the block, not as root; yields its URL."""
    folder = Path(tempfile.mkdtemp())
    user = "nobody" if os.getuid() == 0 else None
    password, port = secrets.token_hex(10), free_port()
    (folder / "password").write_text(password, encoding="utf-8")
    if user:
        folder.chmod(0o755)
        shutil.chown(folder, user)
        shutil.chown(folder / "password", user)
    data = str(folder / "data")
    subprocess.run(
        ["initdb", "--pgdata", data, "--username=seller", "--auth=scram-sha-256", "--encoding=UTF8"]
        + ["--locale=C", f"--pwfile={folder / 'password'}", "--no-sync"],
        user=user,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            ["postgres", "-D", data, "-p", str(port), "-k", "", "-c", "listen_addresses=127.0.0.1"],
            user=user,
            stdout=log,
            stderr=log,
        )
    try:
        wait_for(f"http://127.0.0.1:{port}")
        yield f"postgresql://seller:{password}@127.0.0.1:{port}/postgres"
    finally:
        server.send_signal(signal.SIGINT)  # which ends connections, too
        server.wait()
        shutil.rmtree(folder)
