"""The documents are true: tables, links, commands, code. `python -m tests.test_docs` writes the tables again."""

import ast
import importlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from tests.commands import commands, make_targets, problem
from tests.conftest import ROOT
from tests.serving import Running
from transcription.cluster.arguments import ClusterArguments
from transcription.config import IgnoredVariables, InferenceConfig, ModelSettings, variables
from transcription.formats import FORMATS
from transcription.server.settings import ServerSettings
from transcription.ui.app import PORT

README = ROOT / "README.md"
DOCS = sorted((ROOT / "docs").glob("*.md"))
MANUAL = [README, ROOT / "CONTRIBUTING.md", *DOCS]
LINKED = [*MANUAL, ROOT / "CHANGELOG.md", ROOT / "tools" / "README.md", *sorted((ROOT / "benchmarks").glob("*.md"))]
TABLES: dict[str, tuple[str, str, type[BaseModel]]] = {
    "variables": ("configuration.md", "variable", ModelSettings),
    "ignored": ("configuration.md", "variable", IgnoredVariables),
    "server": ("configuration.md", "variable", ServerSettings),
    "parameters": ("configuration.md", "parameter", InferenceConfig),
    "cluster": ("cluster.md", "argument", ClusterArguments),
}
"""What stands between `<!-- mark -->` and `<!-- end -->`: page, head of the first column, class."""


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def written(default: object) -> str:
    """Return a default as it would be sent."""
    if default is None or default == ():
        return "none"
    if isinstance(default, bool):
        return f"`{default}`".lower()
    return f"`{', '.join(map(str, default)) if isinstance(default, tuple) else default}`"


def table(head: str, kind: type[BaseModel]) -> str:
    """Return the fields of a class as a Markdown table."""
    rows = [f"| {head} | default | what it does |", "|---|---|---|"]
    for key, field in kind.model_fields.items():
        default = "required" if field.is_required() else written(field.default)
        label = " or ".join(f"`{one}`" for one in (variables(key, field) if head == "variable" else [key]))
        rows.append(f"| {label} | {default} | {str(field.description).replace('|', '/')} |")
    return "\n".join(rows)


def with_tables(page: str) -> str:
    """Return a page with its tables as the code has them now."""
    for mark, (_, head, kind) in TABLES.items():
        before, begin, rest = page.partition(f"<!-- {mark} -->\n")
        if begin:
            _, end, after = rest.partition("<!-- end -->")
            page = f"{before}{begin}{table(head, kind)}\n{end}{after}"
    return page


@pytest.mark.parametrize("path", DOCS, ids=name)
def test_tables_equal_the_code(path: Path) -> None:
    assert with_tables(path.read_text()) == path.read_text()


@pytest.mark.parametrize("mark", TABLES)
def test_every_table_has_its_place(mark: str) -> None:
    page = ROOT / "docs" / TABLES[mark][0]
    if page.exists():
        assert f"<!-- {mark} -->" in page.read_text()


def links(path: Path) -> Iterator[tuple[Path, str]]:
    """Yield (file, anchor) for each relative link of a page."""
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"[a-z]+:", target):
            file, _, anchor = target.partition("#")
            yield Path(os.path.normpath(path.parent / file)) if file else path, anchor


def anchors(path: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
    headings = [re.sub(r"[`*]|\]\([^)]*\)|\[", "", found) for found in re.findall(r"^#+ (.+)$", text, re.MULTILINE)]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", LINKED, ids=name)
def test_links_lead_somewhere(path: Path) -> None:
    found = list(links(path))
    assert [name(file) for file, _ in found if not file.exists()] == []
    assert [f"{name(file)}#{anchor}" for file, anchor in found if anchor and anchor not in anchors(file)] == []


def test_every_page_is_reachable_from_the_readme() -> None:
    seen, open_pages = set[Path](), [README]
    while open_pages:
        page = open_pages.pop()
        if page not in seen:
            seen.add(page)
            open_pages += [file for file, _ in links(page) if file.suffix == ".md" and file.exists()]
    assert set(DOCS) - seen == set()


def test_the_readme_is_short() -> None:
    assert len(README.read_text().splitlines()) <= 180


def tree() -> list[Path]:
    """Return the paths of the tree in the README."""
    block = README.read_text().split("## Layout\n```\n")[1].split("```")[0]
    paths, folder = [], ROOT
    for line in block.splitlines():
        entry = line.split()[0]
        if line.startswith(" "):
            paths.append(folder / entry)
        else:
            folder = ROOT / entry
            paths.append(folder)
    return paths


def test_the_tree_in_the_readme_has_only_what_exists() -> None:
    assert [name(path) for path in tree() if not path.exists()] == []
    assert len(tree()) <= 26


def test_the_tree_in_the_readme_has_every_folder() -> None:
    inside = [path.parent for path in (ROOT / "transcription").glob("*/__init__.py")]
    shown = [path for path in ROOT.iterdir() if path.is_dir() and re.fullmatch("[a-z]+", path.name)]
    assert {*inside, *shown, *ROOT.glob("*.py")} - set(tree()) == set()


@pytest.mark.parametrize("path", MANUAL, ids=name)
def test_commands_can_be_called_as_shown(path: Path) -> None:
    wrong = [f"{' '.join(words)}: {found}" for words in commands(path.read_text()) if (found := problem(words))]
    assert wrong == []


def test_commands_are_found_in_blocks_and_sentences() -> None:
    page = "Run `make\ntest`.\n```\nA=b cat x | .venv/bin/transcribe - \\\n    --format srt  # subtitles\n```\n"
    assert list(commands(page)) == [["cat", "x"], ["transcribe", "-", "--format", "srt"], ["make", "test"]]


@pytest.mark.parametrize(
    ("words", "is_wrong"),
    [
        (["transcribe", "talk.mp3", "--format", "srt"], False),
        (["transcribe", "talk.mp3", "--form", "docx"], True),
        (["transcribe-archive", "calls", "--output", "out"], False),
        (["transcribe-archive", "calls"], True),
        (["python", "deploy/endpoint.py", "pause", "mine"], False),
        (["python", "deploy/endpoint.py", "stop", "mine"], True),
        (["make", "demo"], False),
        (["make", "coffee"], True),
        (["pip", "install", ".[server]", "-c", "constraints-cpu.txt"], False),
        (["pip", "install", ".[servers]"], True),
        (["pip", "install", ".", "-c", "constraints.txt"], True),
        (["python", "-m", "tests.nothing"], True),
    ],
)
def test_wrong_commands_are_found(words: list[str], is_wrong: bool) -> None:
    assert (problem(words) is not None) == is_wrong


@pytest.mark.parametrize("path", MANUAL, ids=name)
def test_python_examples_compile_and_import_what_exists(path: Path) -> None:
    for block in re.findall(r"^```python\n(.*?)^```", path.read_text(), re.DOTALL | re.MULTILINE):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("transcription"):
                module = importlib.import_module(str(node.module))
                assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []


def test_every_route_is_described(server: Running) -> None:
    page = (ROOT / "docs" / "server.md").read_text()
    paths = [path.partition("/{")[0] for path in server.app.openapi()["paths"] if not path.startswith("/ui")]
    assert [path for path in paths if f"{path}`" not in page] == []


def test_every_format_is_described() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text()
    assert [form for form in FORMATS if f"`{form}`" not in page] == []


def test_every_make_target_is_described() -> None:
    page = (ROOT / "docs" / "development.md").read_text()
    assert [target for target in make_targets() if f"`make {target}`" not in page] == []


def test_the_head_of_a_space_names_the_port_of_the_page() -> None:
    page = (ROOT / "docs" / "deployment.md").read_text()
    head = yaml.safe_load(page.split("```yaml\n---\n")[1].split("---")[0])
    assert (head["sdk"], head["app_port"]) == ("docker", PORT)


def curl_lines() -> list[str]:
    """Return the lines of the README and the server's page that call curl, each once."""
    pages = README.read_text() + (ROOT / "docs" / "server.md").read_text()
    return list(dict.fromkeys(re.findall(r"^curl .*$", pages.replace("\\\n", ""), re.MULTILINE)))


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("line", curl_lines())
def test_curl_lines_get_an_answer(server: Running, line: str) -> None:
    command = line.replace("localhost:8000", server.url.removeprefix("http://"))
    done = subprocess.run(
        ["bash", "-c", f"{command} -sSf"],
        cwd=ROOT,
        env={**os.environ, "NO_PROXY": "*"},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout


if __name__ == "__main__":
    for page in DOCS:
        page.write_text(with_tables(page.read_text()))
