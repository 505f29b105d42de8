"""What the generation of a project writes and refuses, and that answers are never executed."""

import ast
import filecmp
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from cookiecutter.exceptions import FailedHookException

from conftest import GIT_SETTINGS, TEMPLATE, BakedProject, bake, copy_template

SOURCE = TEMPLATE / "{{cookiecutter.project_slug}}"
COPIED = ("src/", ".github/", "data/source/", "deploy/grafana/", "deploy/prometheus/")
QUESTIONS = ("project_name", "project_slug", "description", "author", "remote_url")
HOSTILE = {
    "quotes": """ "double" 'single' `back` """.strip(),
    "ends of strings": "''' \"\"\" \\",
    "code after quotes": "''');__import__('os').system('touch pwned')#",
    "code after double quotes": '""");__import__("os").system("touch pwned")#',
    "jinja": "{{ cycler.__init__.__globals__.os.system('touch pwned') }}",
    "jinja statement": "{% for x in 1 %} {# {{",
    "shell": "$(touch pwned) `touch pwned`; touch pwned",
    "yaml and toml": "a: [b, #c] = {d} & *e | > % @",
    "unicode": "Zürich 延误 𠮷 🚀",
    "backslashes": r"C:\new\table \u0041 \\",
}


def type_answers(
    folder: Path, *answers: str, **environment: str
) -> "subprocess.CompletedProcess[str]":
    """Answer cookiecutter's questions at its prompts, in order, as a person would."""
    return subprocess.run(
        [sys.executable, "-m", "cookiecutter", "--default-config", str(TEMPLATE)],
        cwd=folder,
        env=dict(os.environ) | {"PYTHONIOENCODING": "utf-8"} | environment,
        input="".join(f"{answer}\n" for answer in answers),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


def option(folder: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    """Run cookiecutter with options or answers on its command line, and defaults for the others."""
    command = [sys.executable, "-m", "cookiecutter", "--default-config", "--no-input"]
    return subprocess.run(
        [*command, *options], cwd=folder, capture_output=True, text=True, check=False
    )


def assert_refused(
    done: "subprocess.CompletedProcess[str]", question: str, *, prompted: bool
) -> None:
    """Its only output is one sentence, after its questions if it asked them."""
    sentence = rf"{question} \"[^\n]*: choose another\.\n"
    assert done.returncode == 1
    assert done.stderr == ""
    assert re.search(rf"{sentence}\Z" if prompted else rf"\A{sentence}\Z", done.stdout), done.stdout
    assert "Traceback" not in done.stdout


def typed(**answers: str) -> list[str]:
    """One answer for each question; an empty one takes the default."""
    return [answers.get(question, "") for question in QUESTIONS]


def template_files() -> list[Path]:
    """Every file of the template that a user's clone has, relative to the project's folder."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=SOURCE,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    return [Path(name) for name in listed.stdout.split("\0") if name]


def text_files(baked: BakedProject) -> dict[str, str]:
    """The content of the committed text files of a project."""
    names = baked.run("git", "ls-files", "-z").stdout.split("\0")
    return {
        name: (baked.path / name).read_text(encoding="utf-8")
        for name in names
        if name and not name.endswith((".parquet", ".onnx", ".png"))
    }


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> BakedProject:
    return bake(tmp_path_factory.mktemp("fresh"))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> BakedProject:
    return bake(tmp_path_factory.mktemp("other"), project_name="Churn 2", author="Ada")


@pytest.fixture(scope="module")
def hook() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hook", TEMPLATE / "hooks/pre_gen_project.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# What is written


def test_the_first_commit_is_on_main_and_holds_everything(fresh: BakedProject) -> None:
    assert fresh.run("git", "status", "--porcelain").stdout == ""
    assert fresh.run("git", "log", "--format=%s %D").stdout == "First commit HEAD -> main\n"


def test_the_sample_is_there_and_left_to_dvc(fresh: BakedProject) -> None:
    assert fresh.has_file("data/source/2013-01.parquet")
    assert "data/source/" not in fresh.run("git", "ls-files").stdout


def test_sources_are_copied_byte_for_byte(fresh: BakedProject) -> None:
    copied = [name for name in template_files() if str(name).startswith(COPIED)]
    assert copied
    for name in copied:
        if name.name == "VERSION":  # the hook adds what the files of the machinery hash to
            continue
        baked = str(name).replace("{{cookiecutter.project_slug}}", "flight_delays")
        assert filecmp.cmp(SOURCE / name, fresh.path / baked, shallow=False), baked


def test_templates_hold_values_and_no_logic() -> None:
    value = re.compile(r"\{\{ ?cookiecutter\.[a-z_]+(\.upper\(\))?( \| tojson)? ?\}\}")
    for name in template_files():
        if str(name).startswith(COPIED) or name.suffix == ".parquet":
            continue
        remainder = value.sub("", (SOURCE / name).read_text(encoding="utf-8"))
        assert not re.search(r"\{\{|\{%|\{#", remainder), name


def test_nothing_of_the_template_is_left_in_a_project(fresh: BakedProject) -> None:
    for name, text in text_files(fresh).items():
        assert "{{" not in name
        assert not re.search(r"cookiecutter[.:]", text), name


def test_another_name_leaves_no_trace_of_the_default_one(other: BakedProject) -> None:
    assert other.path.name == "churn_2"
    for name, text in text_files(other).items():
        assert not re.search("flight[_-]delays|Flight delays", text), name
        assert "flight_delays" not in name


@pytest.mark.parametrize("slug", ["z", "monthly_customer_churn_forecast"])
def test_code_is_formatted_whatever_the_length_of_the_name(tmp_path: Path, slug: str) -> None:
    baked = bake(tmp_path, project_slug=slug)
    baked.run("ruff", "check", ".")
    baked.run("ruff", "format", "--check", ".")


def test_every_configuration_file_parses(fresh: BakedProject) -> None:
    for name, text in text_files(fresh).items():
        if name.endswith((".yaml", ".yml", ".dvc")):
            yaml.safe_load(text)
        elif name.endswith(".toml"):
            tomllib.loads(text)
        elif name.endswith(".json"):
            json.loads(text)
        elif name.endswith(".py"):
            ast.parse(text)


def test_ignore_rules_are_anchored(fresh: BakedProject) -> None:
    for line in (fresh.path / ".gitignore").read_text(encoding="utf-8").splitlines():
        assert line.startswith(("/", "#", "!")) or line in ("", "__pycache__/"), line


def test_locks_hold_one_hashed_version_of_each_package_and_no_address() -> None:
    for lock in (*TEMPLATE.glob("requirements*.lock"), *SOURCE.glob("requirements*.lock")):
        text = lock.read_text(encoding="utf-8")
        names = re.findall(r"^([a-z0-9._-]+)==", text, re.MULTILINE)
        assert len(names) == len(set(names)) > 20
        assert len(re.findall(r"^[a-z0-9._-]+==.*\\\n    --hash=sha256:", text, re.M)) == len(names)
        assert not re.search(r"://|index|find-links|file:", text)


def test_the_unrelated_cml_of_the_package_index_is_nowhere() -> None:
    for folder in (TEMPLATE, SOURCE):
        for path in (folder / "pyproject.toml", *folder.glob("requirements*.lock")):
            assert not re.search(r"[\"'\n]cml\b", path.read_text(encoding="utf-8"), re.I), path
    jobs = (SOURCE / ".github/workflows").glob("*.yml")
    for path in (*jobs, SOURCE / ".gitlab-ci.yml", SOURCE / "Makefile", SOURCE / "Dockerfile"):
        assert not re.search(r"(pip|pipx|uv|uvx)\b.*\bcml\b", path.read_text(encoding="utf-8")), (
            path
        )


def test_the_command_has_dashes_where_the_package_has_underscores(fresh: BakedProject) -> None:
    project = tomllib.loads((fresh.path / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["scripts"] == {"flight-delays": "flight_delays.__main__:command"}


# Where it is written


def test_an_existing_folder_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "flight_delays").mkdir()
    (tmp_path / "flight_delays" / "mine").write_text("mine", encoding="utf-8")
    done = type_answers(tmp_path, *typed())
    assert done.returncode == 1
    assert "already exists" in done.stdout + done.stderr
    assert [path.name for path in (tmp_path / "flight_delays").iterdir()] == ["mine"]


def test_a_project_inside_a_repository_gets_its_own_and_says_so(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    done = type_answers(tmp_path, *typed())
    assert f"{tmp_path} is in a git repository: ignore flight_delays/ there." in done.stdout
    assert (tmp_path / "flight_delays" / ".git").is_dir()


def test_a_repository_that_ignores_the_project_gets_no_message(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    (tmp_path / ".gitignore").write_text("/flight_delays/\n", encoding="utf-8")
    assert "is in a git repository" not in type_answers(tmp_path, *typed()).stdout


def test_without_git_the_project_is_complete_and_says_what_to_type(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = type_answers(tmp_path, *typed(), PATH=str(tmp_path / "empty"))
    assert done.returncode == 0, done.stdout
    assert "git is not installed" in done.stdout
    assert 'git init -b main && git add . && git commit -m "First commit"' in done.stdout
    assert (tmp_path / "flight_delays" / "dvc.yaml").is_file()
    assert not (tmp_path / "flight_delays" / ".git").exists()


def test_without_a_git_identity_the_project_is_staged_and_says_what_to_type(
    tmp_path: Path,
) -> None:
    settings = tmp_path / "gitconfig"
    settings.write_text("[user]\n    useConfigOnly = true\n", encoding="utf-8")
    done = type_answers(tmp_path, *typed(), GIT_CONFIG_GLOBAL=str(settings))
    assert done.returncode == 0, done.stdout
    commands = re.findall(r"^    (git .*)$", done.stdout, re.MULTILINE)
    assert len(commands) == 3
    for command in commands:  # what it says to type is enough
        subprocess.run(
            command,
            shell=True,
            cwd=tmp_path / "flight_delays",
            env=dict(os.environ) | {"GIT_CONFIG_GLOBAL": str(settings)},
            check=True,
            capture_output=True,
        )
    status = ["git", "-C", str(tmp_path / "flight_delays"), "status", "--porcelain"]
    assert subprocess.run(status, capture_output=True, check=True).stdout == b""


def test_generating_needs_no_network_and_no_dvc(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import socket, sys\n"
        "def refuse(*_): sys.exit('a connection was tried')\n"
        "socket.getaddrinfo = socket.create_connection = refuse\n"
        "sys.modules['dvc'] = None\n",
        encoding="utf-8",
    )
    done = type_answers(tmp_path, *typed(), PYTHONPATH=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "flight_delays" / ".git").is_dir()


def test_a_global_ignore_file_keeps_nothing_out_of_git(tmp_path: Path) -> None:
    (tmp_path / "ignore").write_text("*.lock\ndata/\nreports\n*.json\ndocs/\n", encoding="utf-8")
    settings = tmp_path / "gitconfig"
    excludes = f"\n[core]\n    excludesFile = {tmp_path / 'ignore'}\n"
    settings.write_text(GIT_SETTINGS + excludes, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GIT_CONFIG_GLOBAL", str(settings))
        baked = bake(tmp_path)
        tracked = set(baked.run("git", "ls-files").stdout.split())
        assert {"requirements.lock", "requirements-serve.lock", "data/source.dvc"} <= tracked
        assert "docs/canvas.md" in tracked
        for name in (
            "dvc.lock",
            "models/model.json",
            "reports/gate.json",
            "reports/plots/roc.json",
        ):
            path = baked.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("{}", encoding="utf-8")
        added = baked.run("git", "add", "--dry-run", ".").stdout
        for name in (
            "dvc.lock",
            "models/model.json",
            "reports/gate.json",
            "reports/plots/roc.json",
        ):
            assert name in added, added


def test_baking_over_a_repository_commits_nothing(tmp_path: Path) -> None:
    baked = bake(tmp_path)
    (baked.path / "mine.txt").write_text("mine\n", encoding="utf-8")
    done = option(tmp_path, "--overwrite-if-exists", str(TEMPLATE))
    assert "git repository already" in done.stdout
    assert baked.run("git", "status", "--porcelain").stdout == "?? mine.txt\n"


# Answers are data


@pytest.mark.parametrize("slug", ["flight_delays", "a", "churn2", "x_1", "matches"])
def test_a_lower_case_identifier_is_a_slug(hook: ModuleType, slug: str) -> None:
    assert hook.wrong_slug(slug) == ""


@pytest.mark.parametrize(
    "slug",
    ["", "2013", "a-b", "a b", "a/b", "../a", "Ab", "a_", "_a", "é", "a\n", "class", "json"]
    + ["abc", "pandas", "dvc", "sklearn", "yaml", "tests", "pre_commit"],
)
def test_anything_else_is_not_a_slug(hook: ModuleType, slug: str) -> None:
    assert hook.wrong_slug(slug)


def test_no_slug_shadows_what_the_project_imports_or_installs(
    hook: ModuleType, fresh: BakedProject
) -> None:
    settings = tomllib.loads((fresh.path / "pyproject.toml").read_text(encoding="utf-8"))
    groups = [settings["project"]["dependencies"], settings["dependency-groups"]["dev"]]
    groups += settings["project"]["optional-dependencies"].values()
    names = {re.split("[<>=~!;]", name)[0].lower() for group in groups for name in group}
    names = {re.sub("[-.]", "_", name) for name in names}
    for module in (fresh.path / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.split(".")[0])
    assert [name for name in sorted(names) if not hook.wrong_slug(name)] == []


@pytest.mark.parametrize("slug", ["pandas", "json", "Flight", "2013", "class", "a\\b"])
@pytest.mark.parametrize("parents", ["", "a/b/", "../", "./", "{folder}/deep/"])
def test_a_bad_slug_is_refused_in_one_sentence_with_nothing_written(
    tmp_path: Path, parents: str, slug: str
) -> None:
    (tmp_path / "here").mkdir()
    slug = parents.format(folder=tmp_path) + slug
    done = option(tmp_path / "here", str(TEMPLATE), f"project_slug={slug}")
    assert_refused(done, "project_slug", prompted=False)
    assert json.dumps(slug) in done.stdout
    assert list(tmp_path.rglob("*")) == [tmp_path / "here"]


@pytest.mark.parametrize("place", ["{template}", "{template}.zip", "git+file://{template}"])
def test_it_is_refused_wherever_the_template_comes_from(tmp_path: Path, place: str) -> None:
    template = copy_template(tmp_path / "template")
    shutil.make_archive(str(template), "zip", tmp_path, template.name)
    git = ["git", "-C", str(template)]
    for words in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "One"]):
        subprocess.run([*git, *words], check=True)
    (tmp_path / "here").mkdir()
    done = option(tmp_path / "here", place.format(template=template), "project_slug=a/b")
    assert_refused(done, "project_slug", prompted=False)
    assert list((tmp_path / "here").iterdir()) == []


def test_a_program_that_calls_cookiecutter_gets_its_exception(tmp_path: Path) -> None:
    with pytest.raises(FailedHookException, match='^project_slug "a/b" is .*: choose another.$'):
        bake(tmp_path, project_slug="a/b")
    assert list(tmp_path.iterdir()) == []


def test_answers_from_a_record_are_checked_too(tmp_path: Path) -> None:
    cookiecutter: list[str | Path] = [sys.executable, "-m", "cookiecutter", "--default-config"]
    subprocess.run([*cookiecutter, "--no-input", TEMPLATE], cwd=tmp_path, check=True)
    record = Path.home() / f".cookiecutter_replay/{TEMPLATE.name}.json"
    context = json.loads(record.read_text(encoding="utf-8"))
    for name in ("__fault", "_extensions"):  # an older template wrote neither
        del context["cookiecutter"][name]
    for slug, status in (("flow", 0), ("pandas", 1)):
        context["cookiecutter"] |= {"project_slug": slug, "__command": slug}
        replay = tmp_path / "mine.json"
        replay.write_text(json.dumps(context), encoding="utf-8")
        command = [*cookiecutter, "--replay-file", replay, TEMPLATE]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True)
        assert done.returncode == status, done.stdout
        assert (tmp_path / slug).exists() == (status == 0)


@pytest.mark.parametrize(
    "name",
    ["__command", "__project_name_escaped", "__author_escaped", "__remote_url_in_dvc_folder"],
)
def test_private_variables_of_a_record_are_refused(tmp_path: Path, name: str) -> None:
    command: list[str | Path] = [sys.executable, "-m", "cookiecutter", "--default-config"]
    subprocess.run([*command, "--no-input", TEMPLATE], cwd=tmp_path, check=True)
    record = Path.home() / f".cookiecutter_replay/{TEMPLATE.name}.json"
    context = json.loads(record.read_text(encoding="utf-8"))
    context["cookiecutter"] |= {name: HOSTILE["code after double quotes"], "project_slug": "flow"}
    if name != "__command":
        context["cookiecutter"]["__command"] = "flow"
    replay = tmp_path / "mine.json"
    replay.write_text(json.dumps(context), encoding="utf-8")
    done = subprocess.run(
        [*command, "--replay-file", replay, TEMPLATE], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert f"{name} must be " in done.stdout + done.stderr
    assert not (tmp_path / "flow").exists()
    assert list(tmp_path.rglob("pwned")) == []


@pytest.mark.parametrize("answer", [None, 3, ["a"], {"a": 1}, True])
@pytest.mark.parametrize("question", QUESTIONS)
def test_an_answer_that_is_not_text_is_refused(
    hook: ModuleType, question: str, answer: object
) -> None:
    answers = dict.fromkeys(QUESTIONS, "good") | {"remote_url": "../good", question: answer}
    assert hook.first_fault(answers).startswith(f"{question} is {json.dumps(answer)}, not text")


def test_a_very_long_slug_is_refused(hook: ModuleType) -> None:
    assert hook.wrong_slug("a" * 300) == "is longer than 50 characters"
    assert hook.wrong_slug("a" * 50) == ""


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_text_stays_text(tmp_path: Path, text: str) -> None:
    answers = typed(project_name=text, project_slug="flow", description=text, author=text)
    done = type_answers(tmp_path, *answers)
    assert done.returncode == 0, done.stdout + done.stderr
    baked = BakedProject(tmp_path / "flow", dict(os.environ))
    project = tomllib.loads((baked.path / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["description"] == text
    assert project["authors"] == [{"name": text}]
    test_every_configuration_file_parses(baked)
    assert list(tmp_path.rglob("pwned")) == []


@pytest.mark.parametrize("question", ["project_slug", "remote_url"])
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_names_are_refused_in_one_sentence(
    tmp_path: Path, question: str, text: str
) -> None:
    done = type_answers(tmp_path, *typed(**{question: text}))
    if question == "remote_url" and text == HOSTILE["backslashes"]:
        assert done.returncode == 0  # a folder on Windows
        return
    assert_refused(done, question, prompted=True)
    assert list(tmp_path.rglob("*")) == []


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("text", ["two\nlines", "nul\0", "bell\a", "\u2028", "\u202e"])
def test_text_that_does_not_fit_on_one_line_is_refused(
    hook: ModuleType, question: str, text: str
) -> None:
    answers = dict.fromkeys(QUESTIONS, "good") | {"remote_url": "../good", question: text}
    fault = hook.first_fault(answers)
    assert fault.startswith(question)
    assert "\n" not in fault


def test_a_newline_given_as_an_option_is_refused_before_anything_is_written(
    tmp_path: Path,
) -> None:
    done = option(tmp_path, str(TEMPLATE), "author=two\nlines")
    assert_refused(done, "author", prompted=False)
    assert "U+000A" in done.stdout
    assert list(tmp_path.iterdir()) == []


# Where DVC keeps the data


@pytest.mark.parametrize(
    "url", ["", "storage", "./storage", "..", "../", "s3:/x", '../a"b', "../%(x)s"]
)
def test_a_remote_that_dvc_could_not_use_is_refused(hook: ModuleType, url: str) -> None:
    assert hook.wrong_remote(url)


@pytest.mark.parametrize(
    ("answer", "resolved"),
    [
        ("../flight_delays-dvc-remote", "{beside}/flight_delays-dvc-remote"),
        ("../my data, #1", "{beside}/my data, #1"),
        ("/srv/dvc", "/srv/dvc"),
        ("s3://bucket/prefix", "s3://bucket/prefix"),
    ],
)
def test_dvc_finds_the_remote_where_the_answer_says(
    project: BakedProject, tmp_path: Path, answer: str, resolved: str
) -> None:
    baked = bake(tmp_path, remote_url=answer)
    listed = project.copy(tmp_path / "copy")
    (listed.path / ".dvc/config").write_bytes((baked.path / ".dvc/config").read_bytes())
    ask = "from dvc.repo import Repo; print(Repo().config['remote']['storage']['url'])"
    assert listed.run("python", "-c", ask).stdout.strip() == resolved.format(beside=tmp_path)


def test_the_tests_have_their_own_git_settings(fresh: BakedProject) -> None:
    assert fresh.run("git", "log", "--format=%ae").stdout == "tester@example.com\n"
    assert "tester@example.com" in GIT_SETTINGS
