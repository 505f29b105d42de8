"""A Ceph cluster in memory with an S3 gateway on 127.0.0.1.

One monitor, one OSD on a memory store, one gateway; a manager is not needed. Requires Debian's
packages ceph-mon, ceph-osd and radosgw.
"""

import os
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

PROGRAMS = "ceph ceph-authtool ceph-mon ceph-osd monmaptool radosgw radosgw-admin".split()
SETTINGS = """\
[global]
fsid = {cluster}
mon host = [{monitor}]
public addr = 127.0.0.1
ms bind ipv6 = false
keyring = {folder}/keyring
run dir = {folder}
admin socket =
log file = {folder}/$name.log
mon cluster log file = {folder}/cluster.log
mon data = {folder}/mon
osd data = {folder}/osd
osd objectstore = memstore
memstore device bytes = 4294967296
osd crush chooseleaf type = 0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
mon allow pool size one = true
mon data avail crit = 1
"""


class Keys(Protocol):
    """The address of the gateway and the keys of its only user."""

    @property
    def url(self) -> str:
        """The gateway's URL."""

    @property
    def key(self) -> str:
        """The access key id."""

    @property
    def secret(self) -> str:
        """The secret access key."""


@contextmanager
def gateway(keys: Keys, folder: Path, port: int) -> Iterator[None]:
    """Run the three processes until the end of the block."""
    cluster, disk = str(uuid.uuid4()), str(uuid.uuid4())
    monitor = f"v2:127.0.0.1:{port}"
    settings = SETTINGS.format(cluster=cluster, monitor=monitor, folder=folder)
    (folder / "ceph.conf").write_text(settings, encoding="utf-8")
    environment = os.environ | {"CEPH_CONF": str(folder / "ceph.conf")}

    def run(*words: Any) -> None:
        subprocess.run(words, env=environment, cwd=folder, capture_output=True, check=True)

    with ExitStack() as stack, (folder / "log").open("w") as log:

        def keep(*words: Any) -> None:
            process = subprocess.Popen(words, env=environment, stdout=log, stderr=log)
            stack.callback(process.wait)
            stack.callback(process.terminate)

        may = ["--cap", "mon", "allow *", "--cap", "osd", "allow *"]
        run("ceph-authtool", "--create-keyring", "keyring", "--gen-key", "-n", "mon.", *may)
        run("ceph-authtool", "keyring", "--gen-key", "-n", "client.admin", *may)
        run("ceph-authtool", "keyring", "--gen-key", "-n", "osd.0", *may)
        run("monmaptool", "--create", "--fsid", cluster, "--addv", "a", f"[{monitor}]", "monmap")
        for name in ("mon", "osd"):
            (folder / name).mkdir()
        run("ceph-mon", "--mkfs", "-i", "a", "--monmap", "monmap", "--keyring", "keyring")
        keep("ceph-mon", "-f", "-i", "a")
        run("ceph", "osd", "new", disk)
        run("ceph-osd", "--mkfs", "-i", "0", "--osd-uuid", disk)
        keep("ceph-osd", "-f", "-i", "0")
        user = ["--uid", "tester", "--display-name", "A Tester"]
        credentials = [*user, "--access-key", keys.key, "--secret-key", keys.secret]
        run("radosgw-admin", "user", "create", *credentials)
        listen = f"beast endpoint={keys.url.split('//')[1]}"
        keep("radosgw", "-f", "-n", "client.admin", "--rgw-frontends", listen)
        yield
