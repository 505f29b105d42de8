"""A real S3 server on 127.0.0.1."""

import os
import secrets
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import ceph

START_TIMEOUT = 60  # seconds


@dataclass(frozen=True)
class Server:
    """The server's address, and a pair of keys that it accepts."""

    name: str
    url: str
    key: str
    secret: str

    def environment(self) -> dict[str, str]:
        """The keys as S3 clients read them, without the metadata service of a cloud machine."""
        return {
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def rclone(self, *words: str | Path, text: str = "") -> str:
        """Call the server with the rclone client; `:s3:bucket/name` is an object."""
        settings = {
            "RCLONE_CONFIG": os.devnull,
            "RCLONE_S3_PROVIDER": "Other",
            "RCLONE_S3_ENDPOINT": self.url,
            "RCLONE_S3_ENV_AUTH": "true",
        }
        return subprocess.run(
            ["rclone", *words],
            env=os.environ | self.environment() | settings,
            input=text,
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    def names(self, bucket: str) -> set[str]:
        """All objects of a bucket."""
        return set(self.rclone("lsf", "-R", "--files-only", f":s3:{bucket}").splitlines())


@contextmanager
def start(name: str, folder: Path) -> Iterator[Server]:
    """Run the fast server (rclone) or the complete one (Ceph) until the end of the block."""
    server = Server(name, f"http://127.0.0.1:{free_port()}", secrets.token_hex(10).upper(), "")
    server = Server(name, server.url, server.key, secrets.token_hex(20))
    runs = rclone(server, folder) if name == "rclone" else ceph.gateway(server, folder, free_port())
    with runs:
        wait_for(server.url)
        yield server


def programs(name: str) -> list[str]:
    """The programs that the server needs."""
    return ceph.PROGRAMS if name == "ceph" else ["rclone"]


@contextmanager
def rclone(server: Server, folder: Path) -> Iterator[None]:
    """Serve folders as buckets. The keys are not on the command line, where ps would show them."""
    (folder / "buckets").mkdir()
    keys = f'"{server.key},{server.secret}"'
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            ["rclone", "serve", "s3", folder / "buckets", "--addr", server.url.split("//")[1]],
            env=os.environ | {"RCLONE_CONFIG": os.devnull, "RCLONE_AUTH_KEY": keys},
            stdout=log,
            stderr=log,
        )
        try:
            yield
        finally:
            process.terminate()
            process.wait()


def free_port() -> int:
    """An unused port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(url: str) -> None:
    """Wait until a server listens there."""
    host, port = url.split("//")[1].split(":")
    limit = time.monotonic() + START_TIMEOUT
    while True:
        try:
            return socket.create_connection((host, int(port)), timeout=5).close()
        except OSError:
            if time.monotonic() > limit:
                raise
            time.sleep(0.1)
