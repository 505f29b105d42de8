"""The service under attack: a bad request gets a 4xx with the reason, the next one an answer."""

import json
import math
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from conftest import BakedProject
from service import KEY, PATIENCE, Server, for_serving, serving

pytestmark = pytest.mark.slow

ATTEMPTS = 150
MEGABYTE = 1_000_000
REPLY = re.compile(rb"HTTP/1\.1 (\d{3}) .*?content-length: (\d+)\r\n.*?\r\n\r\n", re.DOTALL)
PATHS = ("/predict", "/explain", "/feedback")
SOAK = Path(__file__).parents[1] / "benchmarks/soak.py"

Attacked = tuple[Server, dict[str, Any]]


@pytest.fixture(scope="module")
def folder(small: BakedProject, tmp_path_factory: pytest.TempPathFactory) -> BakedProject:
    """The files of the service, for all tests here: none changes them."""
    return for_serving(small, tmp_path_factory.mktemp("attacked"))


@pytest.fixture(scope="module")
def attacked(folder: BakedProject) -> Iterator[Attacked]:
    """A service for many attacks, and a good row with its prediction."""
    with serving(folder) as server:
        yield server, example(folder)
        output = server.output.read_text(encoding="utf-8")
        assert '"status":500' not in output
        assert "Traceback" not in output
        assert server.stop() == 0


def example(project: BakedProject) -> dict[str, Any]:
    """A stored row and its probabilities."""
    stored = json.loads((project.path / "models/examples.json").read_text(encoding="utf-8"))
    return {"row": stored["rows"][0], "wanted": stored["predictions"][0]}


def assert_right(server: Server, good: dict[str, Any]) -> None:
    """Check that the service answers a good request correctly."""
    status, document = server.ask("/predict", good["row"])
    assert status == 200, document
    values = document["predictions"][0]["probability"].values()
    assert all(
        math.isclose(one, other, abs_tol=1e-5)
        for one, other in zip(values, good["wanted"], strict=True)
    )


def post(body: bytes, path: str = "/predict", more: str = "", key: str | None = KEY) -> bytes:
    """The bytes of a request."""
    lines = [f"POST {path} HTTP/1.1", "Host: here", "Content-Type: application/json"]
    lines += [f"Authorization: Bearer {key}"] * (key is not None)
    lines += [f"Content-Length: {len(body)}"] * ("ength" not in more and "chunked" not in more)
    return "\r\n".join([*lines, more]).rstrip().encode("latin-1") + b"\r\n\r\n" + body


def connect(server: Server) -> socket.socket:
    """Connect to the service."""
    return socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)


def heard(connection: socket.socket, count: int | None = None) -> list[tuple[int, Any]]:
    """Read `count` replies, or all until the connection is closed; statuses and documents."""
    data = b""
    while count is None or len(REPLY.findall(data)) < count or not _whole(data):
        try:
            more = connection.recv(1 << 20)
        except ConnectionResetError:
            break
        if not more:
            break
        data += more
    return [(int(reply[1]), json.loads(_body(data, reply))) for reply in REPLY.finditer(data)]


def _whole(data: bytes) -> bool:
    *_, last = REPLY.finditer(data)
    return len(data) >= last.end() + int(last[2])


def _body(data: bytes, head: "re.Match[bytes]") -> bytes:
    return data[head.end() : head.end() + int(head[2])]


def say(server: Server, data: bytes, count: int | None = None) -> list[tuple[int, Any]]:
    """Send these bytes on a new connection, and read the replies."""
    with connect(server) as connection:
        connection.sendall(data)
        return heard(connection, count)


def test_schemathesis_finds_no_violation(attacked: Attacked, tmp_path: Path) -> None:
    server, good = attacked
    command = [str(Path(sys.executable).parent / "schemathesis"), "run", "--checks", "all"]
    choices = ["--max-examples", "15", "--seed", "1", "--no-color"]
    header = ["--header", f"Authorization: Bearer {KEY}"]
    done = subprocess.run(
        [*command, *choices, *header, f"http://127.0.0.1:{server.port}/openapi.json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "7 selected" in done.stdout
    assert_right(server, good)


def values() -> some.SearchStrategy[Any]:
    """Anything that a client may send for a number, a string or a time."""
    plain = some.one_of(
        some.none(),
        some.booleans(),
        some.integers(),
        some.sampled_from([2**63, -(2**63) - 1, 10**400, 1e308, -0.0, 5e-324, 3.0]),
        some.floats(),
        some.text(some.characters(codec=None), max_size=20),  # lone surrogates, too
        some.sampled_from(["", "\x00", "é" * 2000, "x" * 100_000, "2013-02-30T00:00:00"]),
        some.datetimes().map(str),
    )
    return some.recursive(plain, lambda inner: some.lists(inner) | some.dictionaries(NAMES, inner))


NAMES = some.text(some.characters(codec=None), max_size=12) | some.sampled_from(
    [
        "x` - at `$[7].distance`",
        "x` - at `$[" + "9" * 5000 + "]`",
        "arrival_delay",
        "late",
        "a" * 5000,
    ]
)
DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda body: body,
    "a list": lambda body: b"[" + body + b"]",
    "a list in white space": lambda body: b"\r\n\t " * 50 + b"[" + body + b"]",
    "cut off": lambda body: body[: len(body) // 2],
    "invalid UTF-8": lambda body: body[:20] + b"\xff\xc0\x80" + body[20:],
    "UTF-16": lambda body: body.decode().encode("utf-16"),
    "more after it": lambda body: body + b"{}",
    "deep": lambda body: body[:-1] + b', "deep": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    "deep objects": lambda body: b'{"a":' * 50_000 + body + b"}" * 50_000,
    "NaN": lambda body: body[:-1] + b', "wind_gust": NaN}',
    "Infinity": lambda body: body[:-1] + b', "\\ud800": -Infinity}',
    "too large": lambda body: body + b" " * 2 * MEGABYTE,
    "too many": lambda body: b"[" + b",".join([body] * 1001) + b"]",
    "empty": lambda body: b"",
}


@settings(
    max_examples=ATTEMPTS,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
@given(
    changes=some.dictionaries(NAMES | some.none(), values(), max_size=3),
    at=some.integers(0, 30),
    gone=some.booleans(),
    damage=some.sampled_from(sorted(DAMAGES)),
    path=some.sampled_from(PATHS),
)
def test_no_row_brings_the_service_down(
    attacked: Attacked,
    changes: dict[str | None, Any],
    at: int,
    gone: bool,
    damage: str,
    path: str,
) -> None:
    server, good = attacked
    row = {**good["row"]}
    name = sorted(row)[at % len(row)]
    if gone:
        del row[name]
    row |= {name if key is None else key: value for key, value in changes.items()}
    body = DAMAGES[damage](json.dumps(row).encode())
    status, document = server.ask(path, body)
    assert status in (200, 400, 413, 422), document
    if status != 200:
        assert 10 < len(document["error"]) < 2500
        assert document["error"][-1] != "."
        assert len(document["field"] or "") <= 1000
    if path == "/predict":
        assert_right(server, good)


@pytest.mark.parametrize(
    "damage", sorted(DAMAGES.keys() - {"nothing", "a list", "a list in white space"})
)
def test_each_damage_is_named(attacked: Attacked, damage: str) -> None:
    server, good = attacked
    status, document = server.ask("/predict", DAMAGES[damage](json.dumps(good["row"]).encode()))
    words = {
        "too large": (413, "The body is larger than 2000000 bytes"),
        "too many": (413, "The list has 1001 rows; send at most 1000"),
    }
    expected = words.get(damage, (400, "The body is not valid JSON"))
    assert (status, document["error"][: len(expected[1])]) == expected
    assert_right(server, good)


NO_HTTP = [
    b"\x00\x01 garbage\r\n\r\n",
    b"\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03" + b"a" * 200,  # TLS
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET /health HTTP/9.9\r\n\r\n",
    b"GET /he alth HTTP/1.1\r\n\r\n",
    b"GET /\xc3\xa9 HTTP/1.1\r\n\r\n",
    b"BREW /health HTTP/1.1\r\n\r\n",
    b"CONNECT example.com:443 HTTP/1.1\r\n\r\n",
    b"CONNECT / HTTP/1.1\r\n\r\n",
    b"GET /health HTTP/1.1\nHost: here\n\n",
    b"GET /health HTTP/1.1\r\n: x\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost : here\r\n\r\n",
    b"GET /health HTTP/1.1\r\nX: a\x00b\r\n\r\n",
    post(b"{}", more="Content-Length: -1"),
    post(b"{}", more="Content-Length: two"),
    post(b"{}", more="Content-Length: " + "9" * 30),
    post(b"{}", more="Content-Length: 2\r\nContent-Length: 3"),
    post(b"0\r\n\r\n", more="Content-Length: 5\r\nTransfer-Encoding: chunked"),
    post(b"zz\r\n{}\r\n0\r\n\r\n", more="Transfer-Encoding: chunked"),
    post(b"F" * 20 + b"\r\n{}", more="Transfer-Encoding: chunked"),
]


@pytest.mark.parametrize("data", NO_HTTP)
def test_malformed_http_is_refused(attacked: Attacked, data: bytes) -> None:
    server, good = attacked
    with connect(server) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        answer = connection.recv(1 << 20)
    assert answer == b"" or answer.split()[1][:1] == b"4"
    assert_right(server, good)


@pytest.mark.parametrize("key", [None, "", "k", "k" * 60_000, "ÿþ", KEY[:-1], KEY + "x"])
def test_a_wrong_key_is_refused_whatever_it_is(attacked: Attacked, key: str | None) -> None:
    server, good = attacked
    body = json.dumps(good["row"]).encode()
    for path in PATHS:
        ((status, document),) = say(server, post(body, path, key=key), 1)
        assert (status, document["error"][:34]) == (401, "The API key is missing or wrong; s")
    assert_right(server, good)


@pytest.mark.parametrize("kind", ["text/csv", "application/x-www-form-urlencoded", "", "json"])
def test_only_json_is_read(attacked: Attacked, kind: str) -> None:
    server, good = attacked
    data = post(b"{}").replace(b"application/json", kind.encode())
    ((status, document),) = say(server, data, 1)
    assert (status, document["error"][:34]) == (415, "The body must be uncompressed JSON")
    assert_right(server, good)


def test_pipelined_requests_are_answered_in_their_order(attacked: Attacked) -> None:
    server, good = attacked
    body = json.dumps(good["row"]).encode()
    assert [status for status, _ in say(server, post(body) * 200, 200)] == [200] * 200
    mixed = post(body) + post(b"[]") + post(body, key="k") + post(body)
    assert [status for status, _ in say(server, mixed, 4)] == [200, 422, 401, 200]
    assert_right(server, good)


def memory(server: Server) -> float:
    """Memory of the service in megabytes."""
    lines = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


@pytest.mark.parametrize("chunked", [False, True])
def test_a_hundred_megabytes_are_refused_and_not_kept(attacked: Attacked, chunked: bool) -> None:
    server, good = attacked
    before = memory(server)
    connection = HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    length = {} if chunked else {"Content-Length": str(100 * MEGABYTE)}
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"} | length
    parts = (b" " * MEGABYTE for _ in range(100))
    connection.request("POST", "/predict", parts, headers, encode_chunked=chunked)
    answer = connection.getresponse()
    assert (answer.status, b"larger than 2000000 bytes" in answer.read()) == (413, True)
    assert memory(server) < before + 30
    connection.close()
    assert_right(server, good)


@pytest.fixture
def other(small: BakedProject, tmp_path: Path) -> BakedProject:
    """The small project with another model."""
    copy = small.copy(tmp_path / "other" / small.path.name)
    params = copy.path / "params.yaml"
    text = params.read_text(encoding="utf-8")
    params.write_text(text.replace("      C: 1.0", "      C: 0.5"), encoding="utf-8")
    copy.run("dvc", "repro")
    return copy


def test_a_short_soak_loses_nothing(
    small: BakedProject, other: BakedProject, tmp_path: Path
) -> None:
    done = small.run(
        sys.executable,
        SOAK,
        *("--seconds", "20", "--clients", "3", "--folder", str(tmp_path / "soak")),
        *("--project", str(small.path), "--other", str(other.path)),
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-1] == "ok"
    shutil.rmtree(tmp_path / "soak")
