"""Send requests to a server as fast as a number of clients can, and measure rate and latency.

The load generator is `wrk` (the Debian package) if it is installed, on the last core. Otherwise it
is a Python client in a process on that core, which parses only the length of an answer, but may be
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
    """Requests answered, requests per second, and percentiles of latency in milliseconds."""

    requests: int
    rate: float
    p50: float
    p99: float


def cores() -> list[int]:
    """The cores of the machine; clients run on the last."""
    return sorted(os.sched_getaffinity(0))


def load(
    port: int, path: str, body: bytes, headers: Mapping[str, str], clients: int, seconds: float
) -> Load:
    """Send the same request repeatedly."""
    measure = _by_wrk if WRK else _by_python
    summary = json.loads(measure(port, path, body, headers, clients, seconds))
    if summary["failed"] or not summary["requests"]:
        sys.exit(f"port {port}, {clients} clients: {summary}")
    rate = summary["requests"] / summary["seconds"]
    return Load(summary["requests"], rate, summary["p50"], summary["p99"])


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


def _by_python(
    port: int, path: str, body: bytes, headers: Mapping[str, str], clients: int, seconds: float
) -> str:
    request = {"port": port, "path": path, "headers": {**headers}, "body": body.decode()}
    words = [sys.executable, __file__, "--clients", str(clients), "--seconds", str(seconds)]
    return _run(words, json.dumps(request)).stdout


def _run(command: list[str], text: str = "") -> subprocess.CompletedProcess[str]:
    core = cores()[-1]
    return subprocess.run(
        command,
        input=text,
        check=True,
        capture_output=True,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )


async def _client(port: int, request: bytes, until: float, latencies: list[float]) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    failed = 0
    while (start := time.perf_counter()) < until:
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        await reader.readexactly(int(head.split(b"content-length:", 1)[1].split(b"\r\n")[0]))
        latencies.append(time.perf_counter() - start)
        failed += not head.startswith(b"http/1.1 200")
    writer.close()
    return failed


async def _all(target: dict[str, Any], clients: int, seconds: float) -> dict[str, float]:
    body = target["body"].encode()
    headers = target["headers"] | {"Host": "127.0.0.1", "Content-Length": len(body)}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    request = f"POST {target['path']} HTTP/1.1\r\n{lines}\r\n".encode() + body
    latencies: list[float] = []
    start = time.perf_counter()
    senders = [_client(target["port"], request, start + seconds, latencies) for _ in range(clients)]
    failed = sum(await asyncio.gather(*senders))
    spent = time.perf_counter() - start
    latencies.sort()
    p50, p99 = (1000 * latencies[int(len(latencies) * share)] for share in (0.5, 0.99))
    return {"requests": len(latencies), "seconds": spent, "failed": failed, "p50": p50, "p99": p99}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--clients", type=int)
    parser.add_argument("--seconds", type=float)
    options = parser.parse_args()
    print(json.dumps(asyncio.run(_all(json.load(sys.stdin), options.clients, options.seconds))))
