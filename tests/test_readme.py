"""The README's tables are what the code says: `python -m tests.test_readme` writes them anew."""

import re
import shlex
import shutil
import subprocess

import pytest

from tests.conftest import ROOT
from tests.serving import Running
from transcription.cluster.arguments import ClusterArguments as Cluster
from transcription.config import InferenceConfig, ModelSettings
from transcription.server.settings import ServerSettings

README = ROOT / "README.md"


def table(head: str, name: type[InferenceConfig | ModelSettings | ServerSettings | Cluster]) -> str:
    rows = [f"| {head} | default | what it does |", "|---|---|---|"]
    for key, field in name.model_fields.items():
        given = f"`{field.default}`" if field.default not in (None, ()) else "none"
        shown = "required" if field.is_required() else given
        label = f"`{key if name in (InferenceConfig, Cluster) else key.upper()}`"
        label += " or `MODEL_ID`" if key == "asr_model" else ""
        rows.append(f"| {label} | {shown} | {field.description} |")
    return "\n".join(rows)


def with_tables(text: str) -> str:
    """The README's text with its tables as the code has them now."""
    for mark, head, kind in (
        ("parameters", "parameter", InferenceConfig),
        ("variables", "variable", ModelSettings),
        ("server", "variable", ServerSettings),
        ("cluster", "argument", Cluster),
    ):
        rows = table(head, kind)
        text = re.sub(
            rf"<!-- {mark} -->.*?<!-- end -->", f"<!-- {mark} -->\n{rows}\n<!-- end -->", text, flags=re.DOTALL
        )
    return text


def test_the_tables_are_the_codes() -> None:
    assert with_tables(README.read_text()) == README.read_text()


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_the_curl_lines_answer(server: Running) -> None:
    block = README.read_text().split("<!-- curl -->")[1].split("<!-- end -->")[0]
    lines = [line for line in block.replace("\\\n", "").splitlines() if line.startswith("curl ")]
    here = server.url.removeprefix("http://")
    answers = [
        subprocess.run(
            [*shlex.split(line.replace("localhost:8000", here)), "-sf"], cwd=ROOT, capture_output=True, check=True
        ).stdout
        for line in lines
    ]
    assert len(answers) == 8
    assert all(answers)


if __name__ == "__main__":
    README.write_text(with_tables(README.read_text()))
