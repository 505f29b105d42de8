"""Tables from databases, S3 and the web, on real servers; no password gets into a message."""

import base64
import sqlite3
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import sqlalchemy

import postgres
import s3
from conftest import need
from machinery.adopt.read import read
from machinery.pipeline.files import UserError

CSV = b"id;n\n007;1,5\n008;2\n"
TABLE = {"id": ["007", "008"], "n": ["1,5", "2"]}


@pytest.fixture
def sqlite(tmp_path: Path) -> str:
    """The URL of a database with a table, one column of which has several types."""
    path = tmp_path / "sales.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE sales (id TEXT, n INTEGER, price REAL, mixed)")
        rows = [("007", 2**53 + 1, 1.5, 1), ("008", None, None, "a")]
        connection.executemany("INSERT INTO sales VALUES (?, ?, ?, ?)", rows)
    connection.close()
    return f"sqlite:///{path}"


def test_a_query_to_sqlite_is_read(sqlite: str) -> None:
    table, notes = read("", sql="SELECT * FROM sales WHERE id LIKE '00%'", database=sqlite)
    assert table.to_pydict() == {
        "id": ["007", "008"],
        "n": [2**53 + 1, None],
        "price": [1.5, None],
        "mixed": ["1", "a"],
    }
    assert notes[0].startswith("The rows are from sqlite:///")


@pytest.mark.parametrize(
    ("sql", "fault"),
    [
        ("SELECT * FROM absent", "no such table: absent; check --database and --sql"),
        ("SELECT * FROM sales WHERE 1 = 2", "the query has no rows; change --sql"),
        ("DELETE FROM sales", "--sql gives no rows; write a SELECT"),
        ("", "--sql and --database go together"),
    ],
)
def test_a_query_that_gives_no_table_is_refused(sqlite: str, sql: str, fault: str) -> None:
    with pytest.raises(UserError, match=fault):
        read("", sql=sql, database=sqlite)
    assert read("", sql="SELECT * FROM sales", database=sqlite).table.num_rows == 2


def test_a_database_that_is_not_there_is_refused_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no.db is missing; check the path in --database"):
        read("", sql="SELECT 1", database=f"sqlite:///{tmp_path}/no.db")
    assert not [*tmp_path.iterdir()]
    with pytest.raises(UserError, match="--database is not a URL"):
        read("", sql="SELECT 1", database="sales")
    with pytest.raises(UserError, match="^mysql://server/sales: No module named") as refused:
        read("", sql="SELECT 1", database="mysql://me:secret@server/sales")
    assert "secret" not in str(refused.value)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The URL of a PostgreSQL with a table."""
    need(*postgres.PROGRAMS)
    with postgres.start() as url:
        engine = sqlalchemy.create_engine(url.replace("postgresql", "postgresql+psycopg"))
        with engine.begin() as connection:
            connection.exec_driver_sql(
                "CREATE TABLE sales AS SELECT '007' AS id, 9007199254740993 AS n, 1.50 AS price,"
                " timestamptz '2024-01-31 10:00+02' AS at, date '2024-01-31' AS day, true AS paid,"
                " ARRAY[1, 2] AS parts, '{\"a\": 1}'::jsonb AS extra FROM generate_series(1, 60000)"
            )
        engine.dispose()
        yield url


def test_a_query_to_postgresql_is_read(server: str) -> None:
    table, _ = read("", sql="SELECT * FROM sales WHERE id LIKE '%7'", database=server)
    assert table.num_rows == 60_000
    assert table.to_pylist()[-1] == {
        "id": "007",
        "n": 2**53 + 1,
        "price": Decimal("1.50"),
        "at": datetime(2024, 1, 31, 8, tzinfo=UTC),
        "day": datetime(2024, 1, 31).date(),
        "paid": True,
        "parts": [1, 2],
        "extra": {"a": 1},
    }


def test_a_password_is_in_no_message_about_a_database(server: str) -> None:
    password = server.split(":")[2].split("@")[0]
    for url in (server.replace(password, "wr0ng"), server.replace("/postgres", "/none")):
        with pytest.raises(UserError, match="^postgresql://127.0.0.1/") as refused:
            read("", sql="SELECT 1", database=url)
        assert "wr0ng" not in str(refused.value)
        assert password not in str(refused.value)
    with pytest.raises(UserError, match='"nothing" does not exist'):
        read("", sql="SELECT * FROM nothing", database=server)


class Handler(BaseHTTPRequestHandler):
    """Serves one table; by its path, to those who have a password, or not at all."""

    def do_GET(self) -> None:
        secret = base64.b64encode(b"me:s:cret").decode()
        if "private" in self.path and self.headers.get("Authorization") != f"Basic {secret}":
            return self.send_error(401)
        if "gone" in self.path:
            return self.send_error(404)
        self.send_response(200)
        self.send_header("Content-Length", str(len(CSV) + 9 * ("cut" in self.path)))
        self.end_headers()
        self.wfile.write(CSV)
        return None

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    """Host and port of a web server."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever).start()
        yield f"127.0.0.1:{running.server_port}"
        running.shutdown()


def test_a_table_is_read_from_the_web(web: str) -> None:
    assert read(f"http://{web}/sales.csv?token=t0p").table.to_pydict() == TABLE
    assert read(f"http://{web}").table.to_pydict() == TABLE
    assert read(f"http://me:s%3Acret@{web}/private").table.to_pydict() == TABLE


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("private/sales.csv?token=t0p", r"private/sales.csv cannot be fetched \(401\)"),
        ("gone.csv?token=t0p", r"gone.csv cannot be fetched \(FileNotFoundError\)"),
        ("cut.csv?token=t0p", r"cut.csv cannot be fetched \(ClientPayloadError\)"),
    ],
)
def test_what_the_web_does_not_give_is_refused_without_secrets(
    web: str, path: str, fault: str
) -> None:
    with pytest.raises(UserError, match=f"^http://{web}/{fault}; check") as refused:
        read(f"http://me:wr0ng@{web}/{path}")
    assert "wr0ng" not in str(refused.value)
    assert "t0p" not in str(refused.value)


def test_an_address_of_another_kind_is_refused() -> None:
    with pytest.raises(UserError, match="^ftp://server/x is neither s3:// nor https://"):
        read("ftp://me:wr0ng@server/x")


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[s3.Server]:
    """An S3 server with a bucket that has a file and a folder of two."""
    need(*s3.programs("rclone"))
    folder = tmp_path_factory.mktemp("rclone")
    with s3.start("rclone", folder) as running:
        for name in ("sales.csv", "parts/1.csv", "parts/2.csv"):
            path = folder / "buckets/shop" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(CSV)
        yield running


def test_a_file_or_a_folder_is_read_from_s3(
    bucket: s3.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**bucket.environment(), "AWS_ENDPOINT_URL": bucket.url}.items():
        monkeypatch.setenv(name, value)
    assert read("s3://shop/sales.csv").table.to_pydict() == TABLE
    assert read("s3://shop/parts").table.num_rows == 4
    with pytest.raises(
        UserError, match=r"^s3://shop/no.csv cannot be fetched \(FileNotFoundError\)"
    ):
        read("s3://shop/no.csv")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wr0ng")
    with pytest.raises(UserError, match=r"^s3://shop/sales.csv cannot be fetched") as refused:
        read("s3://shop/sales.csv")
    assert "wr0ng" not in str(refused.value)
