"""Work on a Dask cluster gives the same bytes as local work, or fails with one sentence.

Every scheduler and every worker is a process of its own on this machine.
"""

import re
import sys
from hashlib import sha256
from pathlib import Path

import pytest

import s3
from scale.processes import Done, Project, make, scheduler, workers

PLAIN = sys.executable, "-m", "dask", "worker"
USE = """
import os, signal, sys, time
from pathlib import Path
from machinery.pipeline.compute import parallel_map
from machinery.pipeline.files import UserError
from shop.project import Shop

def run(function, items, **how):
    try:
        with parallel_map(Shop()) as spread:
            print(*spread(function, None, items, **how))
    except UserError as error:
        sys.exit(f"{type(error).__name__}: {error}")
"""
SQUARES = f"{USE}\nrun(lambda _, number: number**2, range(5))"
# Small, so that tables have several row groups and every bootstrap is worth sending.
RUN = """
from machinery.pipeline import files
from machinery.pipeline.statistics import intervals
from shop.project import Shop
from shop.whole_run import Run

files.ROW_GROUP, intervals.FAR, intervals.BATCH_BYTES = 60, 0, 50_000
Run()(Shop())
"""
PREDICT = """
from pathlib import Path
from machinery.bulk import source
from machinery.bulk.run import Options, predict
from machinery.pipeline.compute import parallel_map
from shop.model_folder import a_table, write_model
from shop import features
from shop.project import Shop

source.BATCH_ROWS = 50
write_model(Path("model"))
Path("KIND").mkdir()
for part in range(3):
    a_table(200).drop(columns=["late", "days"]).to_KIND(f"KIND/{part}.KIND")
with parallel_map(Shop()) as spread:
    predict(features, "KIND", "out/", Options(Path("model"), force=True, max_bad=1), spread)
"""
STREAM = """
from pathlib import Path
from machinery.pipeline.compute import parallel_map
from machinery.serving.log_files import stream
from shop.project import Shop

with parallel_map(Shop()) as spread:
    for table in stream(Path("log"), print, spread):
        print(table.to_pydict())
"""


def hashes(folder: Path) -> dict[str, str]:
    """The hash of every file that a run writes."""
    names = ("data", "models", "reports", "metrics.json", "out")
    files = [path for name in names for path in [folder / name, *(folder / name).rglob("*")]]
    return {
        str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest()
        for path in files
        if path.is_file()
    }


def sentence(done: Done) -> str:
    """The sentence that a refused run prints."""
    assert done.code
    *_, message = done.err.splitlines()
    assert "Traceback" not in done.err
    return message


def test_a_whole_run_is_the_same_byte_for_byte_on_three_workers(
    three: tuple[Project, str], tmp_path: Path
) -> None:
    far, address = three
    near = make(tmp_path / "near")
    there = far.python(RUN, address)
    assert (near.python(RUN).code, there.code) == (0, 0), there.err
    assert hashes(near.path) == hashes(far.path)
    assert len(hashes(far.path)) > 20
    assert re.search(rf"3 workers at {address}; dashboard: http://\S+/status", there.err)
    assert {"featurize_group", "fit", "score"} <= tasks(far, address)


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_predictions_are_the_same_byte_for_byte(
    three: tuple[Project, str], tmp_path: Path, kind: str
) -> None:
    far, address = three
    near, code = make(tmp_path / "near"), PREDICT.replace("KIND", kind)
    there = far.python(code, address)
    assert (near.python(code).code, there.code) == (0, 0), there.err
    assert hashes(near.path).items() <= hashes(far.path).items()
    assert "score" in tasks(far, address)


@pytest.mark.needs(*s3.programs("rclone"))
def test_predictions_of_files_in_s3_are_the_same_byte_for_byte(
    three: tuple[Project, str], tmp_path: Path
) -> None:
    far, address = three
    near, code = make(tmp_path / "near"), PREDICT.replace("KIND", "parquet")
    assert near.python(code).code == 0
    there = code.replace('"parquet", "out/"', '"s3://bucket/in", "s3://bucket/out/"')
    (tmp_path / "server").mkdir()
    with s3.start("rclone", tmp_path / "server") as server:
        server.rclone("copy", str(near.path / "parquet"), ":s3:bucket/in")
        keys = server.environment() | {"AWS_ENDPOINT_URL": server.url}
        done = far.python(there.replace(".mkdir()", ".mkdir(exist_ok=True)"), address, **keys)
        assert done.code == 0, done.err
        server.rclone("copy", ":s3:bucket/out", str(tmp_path / "out"))
    parts = {path.name: path.read_bytes() for path in (near.path / "out").glob("part-*")}
    assert parts and parts == {path.name: path.read_bytes() for path in tmp_path.glob("out/part-*")}


def test_a_log_is_read_the_same(three: tuple[Project, str], tmp_path: Path) -> None:
    from datetime import datetime

    from monitoring.world import contract_of, log, rows

    far, address = three
    log(rows(datetime(2026, 1, 1), 4, 20), contract_of(), tmp_path / "log")
    (written,) = (tmp_path / "log").glob("*.jsonl")
    (far.path / "log").mkdir()
    for day in range(1, 4):
        lines = written.read_bytes() + b"damaged\n" * day
        (far.path / f"log/2026-01-0{day}-1.jsonl").write_bytes(lines)
    here, there = far.python(STREAM), far.python(STREAM, address)
    assert (here.code, there.code) == (0, 0), there.err
    assert here.out == there.out
    assert len(here.out) > 1000
    assert "read_lines" in tasks(far, address)


def tasks(project: Project, address: str) -> set[str]:
    """The names of the tasks that a cluster has run."""
    code = f"""
from distributed import Client
with Client({address!r}) as client:
    print(*client.run_on_scheduler(lambda dask_scheduler: [*dask_scheduler.task_prefixes]))
"""
    return set(project.python(code).out.split())


def test_a_worker_that_is_killed_costs_time_only(three: tuple[Project, str]) -> None:
    project, address = three
    code = f"""{USE}
def deadly(_, number):
    marker = Path("killed")
    if number == 3 and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number**2

run(deadly, range(20))
"""
    done = project.python(code, address)
    assert done.out.split() == [str(number**2) for number in range(20)], done.err
    assert (project.path / "killed").exists()


def test_work_that_kills_every_worker_is_one_sentence(
    three: tuple[Project, str],
) -> None:
    project, address = three
    code = f"""{USE}
def deadly(_, number):
    os.kill(os.getpid(), signal.SIGKILL)

run(deadly, [1])
"""
    message = sentence(project.python(code, address))
    assert "every worker that ran deadly died" in message
    assert "--memory-limit" in message


def test_a_lost_scheduler_is_one_sentence(project: Project) -> None:
    with scheduler() as (address, process), workers(address, project.path):
        code = f"""{USE}
def slow(_, number):
    if number == 2:
        os.kill({process}, signal.SIGKILL)
    time.sleep(0.1)

run(slow, range(100))
"""
        message = sentence(project.python(code, address))
    assert f"lost the scheduler {address}" in message
    assert "run the same command" in message


def test_a_mistake_on_a_worker_is_the_sentence_that_it_is_here(
    three: tuple[Project, str],
) -> None:
    project, address = three
    code = f"""{USE}
def refuse(_, number):
    from machinery.pipeline.files import CheckError
    raise CheckError(f"{{number}} is too many")

run(refuse, [7])
"""
    assert sentence(project.python(code, address)) == "CheckError: 7 is too many"


def test_only_a_few_items_are_taken_ahead(three: tuple[Project, str]) -> None:
    project, address = three
    code = f"""{USE}
sent = []
with parallel_map(Shop()) as spread:
    items = (sent.append(number) or number for number in range(100))
    results = spread(lambda _, number: number, None, items)
    print(next(results), len(sent))
"""
    assert project.python(code, address).out == "0 6\n"  # three workers of a thread


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("tcp://127.0.0.1:1", "tcp://127.0.0.1:1, where no Dask scheduler answers"),
        ("tcp://nowhere.invalid:8786", "nowhere.invalid:8786, where no Dask scheduler answers"),
        ("127.0.0.1", "'127.0.0.1'; set it to the scheduler's address, tcp://HOST:8786"),
    ],
)
def test_a_wrong_address_is_one_sentence(project: Project, address: str, message: str) -> None:
    refused = sentence(project.python(SQUARES, address))
    assert refused.startswith("UserError: SHOP_COMPUTE_ADDRESS is ")
    assert message in refused


def test_a_setting_that_is_wrong_or_lacking_is_one_sentence(project: Project) -> None:
    message = sentence(project.python(SQUARES, SHOP_COMPUTE="spark"))
    assert message.startswith("UserError: SHOP_COMPUTE is 'spark'; set it to dask")
    message = sentence(project.python(SQUARES, SHOP_COMPUTE="dask"))
    assert message.startswith("UserError: SHOP_COMPUTE_ADDRESS is not set")


def test_without_the_room_the_setting_is_refused_and_all_else_runs(project: Project) -> None:
    machinery = project.path / "src/machinery"
    target = machinery.resolve()
    machinery.unlink()
    machinery.mkdir()
    for room in target.iterdir():
        if room.name != "scale":
            (machinery / room.name).symlink_to(room)
    assert project.python(SQUARES).out.split() == ["0", "1", "4", "9", "16"]
    message = sentence(project.python(SQUARES, "tcp://127.0.0.1:1"))
    missing = "SHOP_COMPUTE is dask, but machinery.scale is not installed; "
    assert message.startswith(f"UserError: {missing}")


def test_nothing_of_dask_is_imported_where_no_setting_names_it(project: Project) -> None:
    code = f"{SQUARES}\nprint([name for name in sys.modules if name in ('dask', 'distributed')])"
    assert project.python(code).out.split()[-1] == "[]"


def test_a_cluster_without_workers_is_one_sentence(project: Project) -> None:
    with scheduler() as (address, _):
        code = f"from machinery.scale import cluster\ncluster.SECONDS = 1\n{SQUARES}"
        message = sentence(project.python(code, address))
    assert f"{address} has no worker; run 'python -m machinery.scale {address}'" in message


def edited(project: Project) -> None:
    with (project.path / "src/shop/features.py").open("a") as file:
        file.write("# edited\n")


def another_version(project: Project) -> None:
    folder = project.path / "src/scipy-0.1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: scipy\nVersion: 0.1\n")


def without_data(project: Project) -> None:
    """There is none."""


def other_data(project: Project) -> None:
    (project.path / "table").write_text("another")


@pytest.mark.parametrize(
    ("difference", "message"),
    [
        (edited, "has another src/shop/features.py than this checkout"),
        (another_version, "has scipy: 0.1, not "),
        (without_data, "has table: No such file or directory, not 5 bytes that end in "),
        (other_data, r"has table: 7 bytes that end in \w+, not 5 bytes"),
    ],
)
def test_a_worker_that_differs_is_named_before_any_work(
    project: Project, tmp_path: Path, difference: object, message: str
) -> None:
    other = make(tmp_path / "other")
    assert callable(difference)
    difference(other)
    (project.path / "table").write_text("right")
    code = f"{USE}\nrun(lambda _, n: Path('{tmp_path}/run').touch(), [1], reads=[Path('table')])"
    with scheduler() as (address, _), workers(address, other.path):
        refused = sentence(project.python(code, address))
    assert re.search(rf"UserError: worker tcp://127\.0\.0\.1:\d+ {message}", refused), refused
    assert not (tmp_path / "run").exists()


def test_a_worker_in_another_environment_is_named(project: Project) -> None:
    with scheduler() as (address, _), workers(address, project.path, command=PLAIN):
        assert "has PYTHONHASHSEED: 6640, not 0" in sentence(project.python(SQUARES, address))


def test_a_worker_that_has_none_of_the_code_is_named(project: Project, tmp_path: Path) -> None:
    with scheduler() as (address, _), workers(address, tmp_path, command=PLAIN):
        message = sentence(project.python(SQUARES, address))
    assert re.search(
        r"worker tcp://\S+ cannot run this project's code \(.*No module named", message
    )


def test_workers_that_imported_code_which_has_changed_are_restarted(project: Project) -> None:
    code = f"""{USE}
from shop import features
run(lambda _, array: features.mass(array).tolist(), [[1.0]])
"""
    path = project.path / "src/shop/features.py"
    with scheduler() as (address, _), workers(address, project.path):
        before = project.python(code, address)
        path.write_text(path.read_text().replace("asarray(weight,", "asarray([7 * weight[0]],"))
        after = project.python(code, address)
    assert (before.out, after.out) == ("[1.0]\n", "[7.0]\n"), after.err
