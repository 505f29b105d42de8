"""_load: requests to a server as fast as so many clients can send them; figures out.

By `wrk` (Debian's package of this name) where it is installed, on the last core. Else by a client
of our own, a process on that core, too: it reads no more of an answer than its length, but may be
the bottleneck above some 5,000 requests a second.
"""

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

WRK = shutil.which("wrk")
SCRIPT = """
wrk.method = "POST"
wrk.path = %s
wrk.body = %s
%s
done = function(summary, latency)
  local e = summary.errors
  io.stderr:write(string.format('{"requests": %%d, "seconds": %%f, "failed": %%d, "p50": %%f, ' ..
    '"p99": %%f}', summary.requests, summary.duration / 1e6, e.status + e.connect + e.read +
    e.write + e.timeout, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
"""


class Load(NamedTuple):
    """Requests answered, how many a second, and milliseconds of an answer."""

    requests: int
    rate: float
    p50: float
    p99: float


def cores() -> list[int]:
    """Those of the machine; clients run on the last."""
    return sorted(os.sched_getaffinity(0))


def load(
    port: int, path: str, body: bytes, headers: Mapping[str, str], clients: int, seconds: float
) -> Load:
    """Send the same request again and again."""
    measure = _by_wrk if WRK else _by_own
    found = json.loads(measure(port, path, body, headers, clients, seconds))
    if found["failed"] or not found["requests"]:
        sys.exit(f"port {port}, {clients} clients: {found}")
    rate = found["requests"] / found["seconds"]
    return Load(found["requests"], rate, found["p50"], found["p99"])


def _by_wrk(
    port: int, path: str, body: bytes, headers: Mapping[str, str], clients: int, seconds: float
) -> str:
    lines = [f"wrk.headers[{json.dumps(name)}] = {json.dumps(headers[name])}" for name in headers]
    text = json.dumps(body.decode("ascii")).replace("\\/", "/")
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "request.lua"
        script.write_text(SCRIPT % (json.dumps(path), text, "\n".join(lines)))
        words = ["-t1", f"-c{clients}", f"-d{seconds:.0f}s", "--timeout", "30s", "-s", str(script)]
        return _run([str(WRK), *words, f"http://127.0.0.1:{port}"]).stderr


def _by_own(
    port: int, path: str, body: bytes, headers: Mapping[str, str], clients: int, seconds: float
) -> str:
    given = {"port": port, "path": path, "headers": {**headers}, "body": body.decode()}
    words = [sys.executable, __file__, "--clients", str(clients), "--seconds", str(seconds)]
    return _run(words, json.dumps(given)).stdout


def _run(command: list[str], text: str = "") -> subprocess.CompletedProcess[str]:
    ours = cores()[-1]
    return subprocess.run(
        command,
        input=text,
        check=True,
        capture_output=True,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {ours}),
    )


async def _client(port: int, request: bytes, until: float, taken: list[float]) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    failed = 0
    while (start := time.perf_counter()) < until:
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        await reader.readexactly(int(head.split(b"content-length:", 1)[1].split(b"\r\n")[0]))
        taken.append(time.perf_counter() - start)
        failed += not head.startswith(b"http/1.1 200")
    writer.close()
    return failed


async def _all(given: dict[str, Any], clients: int, seconds: float) -> dict[str, float]:
    body = given["body"].encode()
    headers = given["headers"] | {"Host": "127.0.0.1", "Content-Length": len(body)}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    request = f"POST {given['path']} HTTP/1.1\r\n{lines}\r\n".encode() + body
    taken: list[float] = []
    start = time.perf_counter()
    every = [_client(given["port"], request, start + seconds, taken) for _ in range(clients)]
    failed = sum(await asyncio.gather(*every))
    spent = time.perf_counter() - start
    taken.sort()
    p50, p99 = (1000 * taken[int(len(taken) * share)] for share in (0.5, 0.99))
    return {"requests": len(taken), "seconds": spent, "failed": failed, "p50": p50, "p99": p99}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--clients", type=int)
    parser.add_argument("--seconds", type=float)
    options = parser.parse_args()
    print(json.dumps(asyncio.run(_all(json.load(sys.stdin), options.clients, options.seconds))))
