"""ENGINE=onnx on the exported demo checkpoint: equal to the batching engine, and without torch."""

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.comparing import differences
from tests.conftest import DEMO, ROOT, SAMPLES
from transcription.audio import Audio
from transcription.cli import export as command
from transcription.config import InferenceConfig, ModelSettings
from transcription.context import RequestContext
from transcription.engines.edge.graph import quantize_blocks, quantize_columns
from transcription.errors import Cancelled, InvalidRequest, InvalidSettings
from transcription.transcriber import Transcriber
from transcription.transcript import Transcript

WITHOUT_TORCH = """
import sys
for name in ("torch", "torchaudio", "transformers", "onnx", "librosa", "scipy", "opencc"):
    sys.modules[name] = None
from transcription.cli.entry_points import transcribe
transcribe()
"""


def edge(folder: Path, **settings: Any) -> Transcriber:
    return Transcriber(ModelSettings.from_environment(asr_model=str(folder), engine="onnx", **settings))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the exported demo checkpoint in float32."""
    folder = tmp_path_factory.mktemp("exported") / "demo"
    assert command.main([str(DEMO), str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def onnx(exported: Path) -> Transcriber:
    return edge(exported)


@pytest.fixture(scope="module")
def batching() -> Transcriber:
    return Transcriber(ModelSettings.from_environment(asr_model=str(DEMO)))


CASES: list[tuple[str, dict[str, Any]]] = [
    ("short", {"timestamps": "word"}),
    ("german", {"timestamps": "word", "logprobs": True}),
    ("noisy", {"timestamps": "word", "chunk_length_s": 6, "keywords": ["Sarah"]}),
    ("short", {"timestamps": "none", "task": "translate", "language": "en"}),
    ("noisy", {"language": "multi"}),
    ("short", {"temperature": [0, 0.4, 0.9], "logprob_threshold": -0.01, "seed": 3}),
    ("german", {"sequential": True}),
    ("short", {"prompt": "The question and the budget later please. " * 4, "timestamps": "word"}),
    ("silence", {}),
]


@pytest.mark.parametrize(("name", "parameters"), CASES)
def test_a_transcript_is_that_of_the_batching_engine(
    onnx: Transcriber, batching: Transcriber, name: str, parameters: dict[str, Any]
) -> None:
    config = InferenceConfig(beam_size=1, **parameters)
    ours, theirs = (each.transcribe(SAMPLES[name].audio, config) for each in (onnx, batching))
    assert list(differences(asdict(ours), asdict(theirs))) == []


def test_without_beam_size_it_decodes_greedily(onnx: Transcriber) -> None:
    samples = SAMPLES["short"].audio
    assert onnx.transcribe(samples, InferenceConfig()) == onnx.transcribe(samples, InferenceConfig(beam_size=1))


def test_empty_audio_gives_an_empty_transcript(onnx: Transcriber) -> None:
    assert onnx.transcribe(Audio(np.zeros(0, np.float32)), InferenceConfig()) == Transcript()


def test_the_command_runs_where_torch_cannot_be_imported(exported: Path) -> None:
    arguments = ["-", "--timestamps", "word", "--format", "verbose_json", "--quiet"]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, *arguments], cwd=ROOT, input=SAMPLES["german"].path.read_bytes(),
        capture_output=True, check=False, env={"ENGINE": "onnx", "ASR_MODEL": str(exported), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    answer = json.loads(done.stdout)
    assert (answer["language"], answer["words"][0]["word"].strip()) == ("de", "Zuerst")


def test_int8_weights_take_less_than_half_of_the_space_and_give_the_words(exported: Path, tmp_path: Path) -> None:
    assert command.main([str(DEMO), str(tmp_path), "--int8"]) == 0
    sizes = [sum(path.stat().st_size for path in folder.glob("*.data")) for folder in (tmp_path, exported)]
    assert sizes[0] < sizes[1] / 2
    text = edge(tmp_path).transcribe(SAMPLES["short"].audio, InferenceConfig()).text
    assert text == edge(exported).transcribe(SAMPLES["short"].audio, InferenceConfig()).text


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"beam_size": 2}, "beam_size above 1 needs another engine: set ENGINE to batching"),
        ({"assisted": True}, "assisted needs an assistant: set ASSISTANT_MODEL, or leave assisted out"),
    ],
)
def test_a_request_for_more_is_refused(onnx: Transcriber, parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        onnx.transcribe(SAMPLES["short"].audio, InferenceConfig(**parameters))
    assert str(refusal.value) == message


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"assistant_model": "any"}, "ASSISTANT_MODEL"), ({"quantization": "int8"}, "QUANTIZATION"),
        ({"dtype": "bfloat16"}, "DTYPE"), ({"device": "cuda"}, "DEVICE"), ({"asr_revision": "main"}, "ASR_REVISION"),
    ],
)  # fmt: skip
def test_a_setting_of_other_engines_is_refused_by_name(exported: Path, settings: dict[str, Any], name: str) -> None:
    with pytest.raises(InvalidSettings, match=f"^{name} needs another engine"):
        edge(exported, **settings)


@pytest.mark.parametrize("name", ["export.json", "tokenizer.json", "decoder.onnx", "token_embedding.npy"])
def test_a_folder_without_a_file_is_refused_without_its_path(exported: Path, tmp_path: Path, name: str) -> None:
    for path in exported.iterdir():
        if path.name != name:
            (tmp_path / path.name).symlink_to(path)
    with pytest.raises(InvalidSettings, match="export") as refusal:
        edge(tmp_path)
    assert str(tmp_path) not in str(refusal.value)


def test_a_checkpoint_that_is_not_exported_is_refused() -> None:
    with pytest.raises(InvalidSettings, match=r"^ENGINE=onnx needs a directory with an exported checkpoint: write it"):
        edge(DEMO)


def test_the_export_names_a_model_that_cannot_be_loaded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([str(tmp_path / "nothing"), str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.startswith("error: ASR_MODEL nothing cannot be loaded")


def test_a_cancelled_request_ends(onnx: Transcriber) -> None:
    context = RequestContext()
    context.cancel()
    with pytest.raises(Cancelled):
        onnx.transcribe(SAMPLES["short"].audio, InferenceConfig(), context)


def test_quantized_weights_are_near_the_weights() -> None:
    weight = np.random.default_rng(0).normal(size=(5, 200)).astype(np.float32)
    columns, scales = quantize_columns(weight)
    np.testing.assert_allclose(columns.T * scales[:, None], weight, atol=0.03)
    blocks, block_scales = quantize_blocks(weight)
    restored = (blocks.astype(np.float32) - 128) * block_scales.reshape(5, 2, 1)
    np.testing.assert_allclose(restored.reshape(5, 256)[:, :200], weight, atol=0.03)
