"""s3: a folder in, a real S3 server on 127.0.0.1 out; ended by its process id, not by its name."""

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

READY_WITHIN = 60  # seconds


@dataclass(frozen=True)
class Server:
    """Where the server listens, and one pair of keys that it accepts."""

    name: str
    url: str
    key: str
    secret: str

    def environment(self) -> dict[str, str]:
        """The keys as every S3 client reads them; nobody asks a cloud machine who it is."""
        return {
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def rclone(self, *words: str | Path, text: str = "") -> str:
        """Talk to the server as a plain client: `:s3:bucket/name` is a place in it."""
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
    """Run the quick server, rclone, or the full one, Ceph's, until the end of the block."""
    server = Server(name, f"http://127.0.0.1:{free_port()}", secrets.token_hex(10).upper(), "")
    server = Server(name, server.url, server.key, secrets.token_hex(20))
    runs = rclone(server, folder) if name == "rclone" else ceph.gateway(server, folder, free_port())
    with runs:
        wait_for(server.url)
        yield server


def programs(name: str) -> list[str]:
    """What the machine needs to run the server."""
    return ceph.PROGRAMS if name == "ceph" else ["rclone"]


@contextmanager
def rclone(server: Server, folder: Path) -> Iterator[None]:
    """Serve folders as buckets. The keys, a pair in a CSV field, show in no list of processes."""
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
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(url: str) -> None:
    """Return once somebody listens there."""
    host, port = url.split("//")[1].split(":")
    limit = time.monotonic() + READY_WITHIN
    while True:
        try:
            return socket.create_connection((host, int(port)), timeout=5).close()
        except OSError:
            if time.monotonic() > limit:
                raise
            time.sleep(0.1)
