"""Diarizer with the demo pipeline: known recordings, and pipelines that cannot be loaded."""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from huggingface_hub import constants
from pyannote.core import Annotation, Segment

from benchmarks.scores import der
from benchmarks.truth import read_truth
from tests.conftest import DEMO, DIARIZATION, ROOT, SAMPLES
from transcription.audio import Audio
from transcription.config import InferenceConfig, ModelSettings
from transcription.context import RequestContext
from transcription.diarization.assign import exclusive_turns
from transcription.diarization.loading import load_pipeline, preserve_global_state
from transcription.diarization.pyannote import Diarizer, read_output
from transcription.diarization.result import Diarization
from transcription.errors import InvalidSettings
from transcription.transcriber import Transcriber


def settings(model: Path | str, **changes: Any) -> ModelSettings:
    return ModelSettings.from_environment(asr_model=str(DEMO), diarization_model=str(model), **changes)


@pytest.fixture(scope="module")
def diarizer(diarizing_transcriber: Transcriber) -> Diarizer:
    assert isinstance(diarizing_transcriber.diarizer, Diarizer)
    return diarizing_transcriber.diarizer


def diarize(diarizer: Diarizer, name: str, **parameters: Any) -> Diarization:
    return diarizer.diarize(SAMPLES[name].audio, InferenceConfig.from_request(parameters))


def test_pyannote_loads_the_directory_without_telemetry() -> None:
    pipeline = load_pipeline(settings(DIARIZATION))
    assert type(pipeline).__name__ == "SpeakerDiarization"
    assert os.environ["PYANNOTE_METRICS_ENABLED"] == "0"


def test_the_batch_size_is_that_of_the_settings(diarizer: Diarizer) -> None:
    pipeline = diarizer.pipeline
    assert (pipeline.segmentation_batch_size, pipeline.embedding_batch_size) == (32, 32)
    small = Diarizer(settings(DIARIZATION, diarization_batch_size=4))
    assert (small.pipeline.segmentation_batch_size, small.pipeline.embedding_batch_size) == (4, 4)
    assert diarize(small, "short") == diarize(diarizer, "short")


def test_finds_the_speakers_of_a_conversation(diarizer: Diarizer) -> None:
    diarization = diarize(diarizer, "conversation", num_speakers=3)
    assert {turn.speaker for turn in diarization.turns} == {"SPEAKER_00", "SPEAKER_01", "SPEAKER_02"}
    assert diarization.turns[0].speaker == "SPEAKER_00"
    assert der(read_truth(SAMPLES["conversation"].path), diarization.turns) <= 0.15
    assert diarization.warnings == ()


def test_only_the_regular_diarization_overlaps(diarizer: Diarizer) -> None:
    diarization = diarize(diarizer, "conversation", num_speakers=3)
    pairs = zip(diarization.exclusive, diarization.exclusive[1:], strict=False)
    assert all(turn.end <= following.start + 1e-6 for turn, following in pairs)
    talk = sum(turn.end - turn.start for turn in diarization.turns)
    assert talk > sum(turn.end - turn.start for turn in diarization.exclusive) + 1.0


def test_a_turn_continues_after_an_interruption(diarizer: Diarizer) -> None:
    """ "No." at 16.2 s interrupts a sentence that continues for half a second."""
    truth = read_truth(SAMPLES["conversation"].path).turns
    (_, start, end), (_, inner_start, inner_end) = next(
        (outer, inner) for outer in truth for inner in truth
        if outer[0] != inner[0] and outer[1] < inner[1] and inner[2] < outer[2] - 0.4
    )  # fmt: skip
    turns = diarize(diarizer, "conversation", num_speakers=3).turns

    def speakers_at(seconds: float) -> set[str]:
        return {turn.speaker for turn in turns if turn.start <= seconds <= turn.end}

    [speaker] = speakers_at((start + inner_start) / 2)
    assert speaker in speakers_at((inner_end + end) / 2)
    assert speakers_at((inner_start + inner_end) / 2) > {speaker}


@pytest.mark.parametrize("name", ["short", "noisy"])
def test_finds_one_speaker(diarizer: Diarizer, name: str) -> None:
    assert {turn.speaker for turn in diarize(diarizer, name).turns} == {"SPEAKER_00"}


def test_silence_has_no_speaker(diarizer: Diarizer) -> None:
    assert diarize(diarizer, "silence") == Diarization()
    assert diarizer.diarize(Audio(np.zeros(100, np.float32)), InferenceConfig()) == Diarization()


@pytest.mark.parametrize("seconds", [0.1, 0.5, 3.0])
def test_diarizes_audio_shorter_than_a_chunk(diarizer: Diarizer, seconds: float) -> None:
    part = Audio(SAMPLES["short"].audio.samples[: int(seconds * 16_000)])
    assert len({turn.speaker for turn in diarizer.diarize(part, InferenceConfig()).turns}) <= 1


def test_warns_if_the_number_of_speakers_is_not_the_requested_one(diarizer: Diarizer) -> None:
    diarization = diarize(diarizer, "silence", num_speakers=2)
    assert diarization.warnings == ("0 speakers were found, but num_speakers is 2",)
    assert diarize(diarizer, "silence", min_speakers=3).warnings == ("0 speakers were found, but min_speakers is 3",)


def test_the_number_of_speakers_can_be_limited(diarizer: Diarizer) -> None:
    assert {turn.speaker for turn in diarize(diarizer, "conversation", max_speakers=1).turns} == {"SPEAKER_00"}
    assert len({turn.speaker for turn in diarize(diarizer, "conversation", min_speakers=2).turns}) >= 2


@pytest.mark.parametrize(
    ("talk", "counts", "expected"),
    [
        ({"A": 60.0, "B": 0.3}, {}, 1),  # an error of the clustering
        ({"A": 60.0, "B": 0.3}, {"num_speakers": 2}, 2),
        ({"A": 60.0, "B": 0.7}, {}, 2),  # at least MIN_SPEAKER_TALK
        ({"A": 4.0, "B": 0.3}, {}, 2),  # at least MIN_SPEAKER_SHARE
        ({"A": 0.2}, {}, 1),
        ({}, {}, 0),
    ],
)
def test_removes_speakers_who_talk_for_an_instant(
    talk: dict[str, float], counts: dict[str, int], expected: int
) -> None:
    annotation = Annotation()
    for number, (speaker, seconds) in enumerate(talk.items()):
        annotation[Segment(100.0 * number, 100.0 * number + seconds)] = speaker
    diarization = read_output(annotation, counts)
    assert (
        len({turn.speaker for turn in diarization.turns})
        == len({turn.speaker for turn in diarization.exclusive})
        == expected
    )


def test_does_not_change_the_audio(diarizer: Diarizer) -> None:
    audio = SAMPLES["short"].audio
    before = audio.samples.copy()
    diarizer.diarize(audio, InferenceConfig())
    np.testing.assert_array_equal(audio.samples, before)


def test_does_not_change_tf32(diarizer: Diarizer) -> None:
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    try:
        diarize(diarizer, "short")
        with preserve_global_state():
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        assert (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32) == (True, True)
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def test_progress_grows_to_the_length_of_the_audio(diarizer: Diarizer) -> None:
    reports: list[tuple[float, float]] = []
    audio = SAMPLES["conversation"].audio
    diarizer.diarize(audio, InferenceConfig(), RequestContext(lambda _, done, total: reports.append((done, total))))
    assert len(reports) > 5
    assert reports == sorted(reports)
    assert reports[-1] == (audio.duration, audio.duration)


def test_concurrent_requests_get_their_own_results(diarizer: Diarizer) -> None:
    names = ["short", "meeting", "noisy"]
    with ThreadPoolExecutor(3) as pool:
        concurrent = list(pool.map(lambda name: diarize(diarizer, name), names))
    assert concurrent == [diarize(diarizer, name) for name in names]


def test_reads_the_annotation_of_pyannote_3(diarizer: Diarizer, tmp_path: Path) -> None:
    shutil.copytree(DIARIZATION, tmp_path / "old")
    config = yaml.safe_load((tmp_path / "old" / "config.yaml").read_text())
    config["pipeline"]["params"]["legacy"] = True
    (tmp_path / "old" / "config.yaml").write_text(yaml.safe_dump(config))
    old, new = Diarizer(settings(tmp_path / "old")), diarize(diarizer, "meeting")
    assert diarize(old, "meeting") == new
    file = {"waveform": torch.from_numpy(SAMPLES["meeting"].audio.samples)[None], "sample_rate": 16_000}
    whole = read_output(old.pipeline(file), {})
    assert whole.turns == new.turns
    assert whole.exclusive == tuple(exclusive_turns(new.turns))


HUB = {  # repository: HTTP status and X-Error-Code
    "gated": (403, "GatedRepo"),
    "missing": (404, "RepoNotFound"),
    "private": (401, "RepoNotFound"),
    "wrong-token": (401, ""),
    "forbidden": (403, ""),
    "revision": (404, "RevisionNotFound"),
    "empty": (404, "EntryNotFound"),
}
MESSAGES = {
    "gated": "DIARIZATION_MODEL me/gated is gated: accept the conditions on https://hf.co/me/gated"
    " with the account of HF_TOKEN",
    "missing": "DIARIZATION_MODEL me/missing does not exist, or HF_TOKEN may not read it",
    "private": "DIARIZATION_MODEL me/private does not exist, or HF_TOKEN may not read it",
    "wrong-token": "DIARIZATION_MODEL me/wrong-token cannot be downloaded: HF_TOKEN is not valid",
    "forbidden": "DIARIZATION_MODEL me/forbidden cannot be downloaded: HF_TOKEN may not read it",
    "revision": "DIARIZATION_MODEL me/revision has no such DIARIZATION_REVISION",
    "empty": "DIARIZATION_MODEL me/empty is not a pyannote pipeline: it has no config.yaml",
}


class _Hub(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        status, code = HUB.get(self.path.split("/")[2], (404, ""))
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Start a server that returns the errors of the Hub."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")
    yield
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("name", HUB)
def test_the_error_explains_what_the_hub_refuses(hub: None, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InvalidSettings) as caught:
        load_pipeline(settings(f"me/{name}", hf_token="hf_secret"))
    assert str(caught.value) == MESSAGES[name]
    assert "secret" not in "".join(capsys.readouterr())


@pytest.mark.parametrize("token", [None, "not-a-hub-token"])
def test_the_error_of_a_gated_pipeline_asks_for_a_token(hub: None, token: str | None) -> None:
    with pytest.raises(InvalidSettings, match=r"accept the conditions on https://hf.co/me/gated and set HF_TOKEN"):
        load_pipeline(settings("me/gated", hf_token=token))


def test_the_error_names_a_wrong_directory_without_its_path(tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    with pytest.raises(InvalidSettings, match=r"^DIARIZATION_MODEL nothing is not a pyannote pipeline: it has no conf"):
        load_pipeline(settings(tmp_path / "nothing"))
    (tmp_path / "broken").mkdir()
    for text in ("", "pipeline: {name: os.getcwd}", "pipeline: {name: pyannote.audio.pipelines.Nothing}", "[: :"):
        (tmp_path / "broken" / "config.yaml").write_text(text)
        with pytest.raises(InvalidSettings, match=r"^DIARIZATION_MODEL broken is not a pyannote pipeline: see the log"):
            Diarizer(settings(tmp_path / "broken"))


def test_a_truncated_checkpoint_is_an_error(tmp_path: Path) -> None:
    shutil.copytree(DIARIZATION, tmp_path / "truncated")
    weights = tmp_path / "truncated" / "segmentation" / "pytorch_model.bin"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(InvalidSettings, match=r"^DIARIZATION_MODEL truncated is not a pyannote pipeline: see the log$"):
        load_pipeline(settings(tmp_path / "truncated"))


def test_the_error_says_how_to_install_pyannote(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyannote.audio", None)
    with pytest.raises(InvalidSettings, match=r"^DIARIZATION_MODEL needs pyannote.audio: pip install pyannote.audio"):
        load_pipeline(settings(DIARIZATION))


def test_the_error_explains_versions_that_do_not_match(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def __getattr__(self, name: str) -> None:
            raise OSError("libtorchaudio.so: undefined symbol")

    monkeypatch.setitem(sys.modules, "pyannote.audio", Broken())
    with pytest.raises(InvalidSettings, match=r"^pyannote.audio cannot be imported: the versions of torch"):
        load_pipeline(settings(DIARIZATION))


def test_a_pipeline_finds_its_modules_wherever_the_command_is_started(tmp_path: Path) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); from transcription.diarization.pyannote import Diarizer; "
        f"from transcription.config import ModelSettings; sys.path.remove({str(ROOT)!r}); "
        f"Diarizer(ModelSettings(asr_model='x', diarization_model={str(DIARIZATION)!r})); "
        f"print({str(ROOT)!r} in sys.path)"
    )
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "False\n"), done.stderr
