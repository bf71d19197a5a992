"""The root's config.py: a default that a deployer changes there changes the endpoint."""

import ast
import json
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

import config
import transcription.config
from tests.conftest import DEMO, ROOT, SAMPLES

CONFIG = (ROOT / "config.py").read_text()
REQUESTS: tuple[dict[str, Any], ...] = ({}, {"timestamps": "segment", "language": "en"})


def example() -> list[str]:
    """Return the class definitions in the docstring of config.py."""
    docstring = ast.get_docstring(ast.parse(CONFIG)) or ""
    return [textwrap.dedent(block) for block in docstring.split("\n\n") if block.startswith("    ")]


def with_fields(text: str, class_definition: str) -> str:
    """Return the text of config.py, with the fields of a class definition added to the same class."""
    header, fields = class_definition.split("\n", 1)
    changed, count = re.subn(
        rf'^{re.escape(header)}\n    """.*"""\n', lambda match: f"{match[0]}\n{fields}\n", text, flags=re.MULTILINE
    )
    assert count == 1
    return changed


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the endpoint's files with the example of config.py applied."""
    folder, text = tmp_path_factory.mktemp("repository"), CONFIG
    for class_definition in example():
        text = with_fields(text, class_definition)
    (folder / "config.py").write_text(text)
    shutil.copy(ROOT / "handler.py", folder)
    (folder / "transcription").symlink_to(ROOT / "transcription")
    return folder


@pytest.fixture(scope="module")
def responses(repository: Path) -> list[dict[str, Any]]:
    """Load handler.py in a new process, as the Inference Endpoints toolkit does, and return its responses.

    The last one is of a second handler, for which LANGUAGE_FORCE is set.
    """
    code = f"""
import importlib.util, json, os, sys
sys.path.insert(0, {str(repository)!r})
spec = importlib.util.spec_from_file_location("handler", {str(repository / "handler.py")!r})
module = importlib.util.module_from_spec(spec)
sys.modules["handler"] = module
spec.loader.exec_module(module)
handler = module.EndpointHandler({str(DEMO)!r})
audio = open({str(SAMPLES["short"].path)!r}, "rb").read()
for parameters in {REQUESTS!r}:
    print(json.dumps(handler({{"inputs": audio, "parameters": parameters}})))
os.environ["LANGUAGE_FORCE"] = "en"
print(json.dumps(module.EndpointHandler({str(DEMO)!r})({{"inputs": audio, "parameters": {{}}}})))
"""
    process = subprocess.run([sys.executable, "-c", code], cwd="/", capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    return [json.loads(line) for line in process.stdout.splitlines()]


def words_per_chunk(response: dict[str, Any]) -> set[int]:
    return {len(chunk["text"].split()) for chunk in response["chunks"]}


def test_the_repository_has_the_defaults_of_the_package() -> None:
    assert config.InferenceConfig().model_dump() == transcription.config.InferenceConfig().model_dump()
    settings, package = (
        module.ModelSettings.from_environment(asr_model="x") for module in (config, transcription.config)
    )
    assert settings.model_dump() == package.model_dump()


def test_the_example_changes_the_response_and_a_request_overrides_it(responses: list[dict[str, Any]]) -> None:
    default, overridden, _ = responses
    assert words_per_chunk(default) == {1}, "timestamps is word"
    assert default["language"] == "de"
    assert words_per_chunk(overridden) != {1}, "the request asks for segments"
    assert overridden["language"] == "de", "language_force replaces the language of the request"


def test_an_environment_variable_overrides_the_example(responses: list[dict[str, Any]]) -> None:
    response = responses[-1]
    assert response["language"] == "en"
    assert words_per_chunk(response) == {1}
