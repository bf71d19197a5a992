"""The real demo pipeline on recordings whose speakers are known, and everything that can go wrong with one."""

import os
import shutil
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

from tests.conftest import DEMO, DIARIZATION, SAMPLES
from tools.samples import read_truth
from tools.scores import der
from transcription.audio import Audio
from transcription.config import InferenceConfig, ModelSettings
from transcription.context import RequestContext
from transcription.diarization import pyannote as diarization_utils
from transcription.diarization.assign import exclusive_turns
from transcription.diarization.pyannote import Diarization, Diarizer, load_pipeline
from transcription.errors import InvalidSettings
from transcription.transcriber import Transcriber


def settings(model: Path | str, **more: Any) -> ModelSettings:
    return ModelSettings.from_environment(asr_model=str(DEMO), diarization_model=str(model), **more)


@pytest.fixture(scope="module")
def diarizer(listener: Transcriber) -> Diarizer:
    assert isinstance(listener.diarizer, Diarizer)
    return listener.diarizer


def diarized(diarizer: Diarizer, name: str, **parameters: Any) -> Diarization:
    return diarizer.diarize(SAMPLES[name].audio, InferenceConfig.from_request(parameters))


def test_pyannotes_own_loader_takes_the_directory() -> None:
    pipeline = load_pipeline(settings(DIARIZATION))
    assert type(pipeline).__name__ == "SpeakerDiarization"
    assert os.environ["PYANNOTE_METRICS_ENABLED"] == "0"


def test_batches_are_set(diarizer: Diarizer) -> None:
    pipeline = diarizer._pipeline
    assert (pipeline.segmentation_batch_size, pipeline.embedding_batch_size) == (32, 32)
    small = Diarizer(settings(DIARIZATION, diarization_batch_size=4))
    assert (small._pipeline.segmentation_batch_size, small._pipeline.embedding_batch_size) == (4, 4)
    assert diarized(small, "short") == diarized(diarizer, "short")


def test_a_conversation_is_told_apart(diarizer: Diarizer) -> None:
    found = diarized(diarizer, "conversation", num_speakers=3)
    assert {turn.speaker for turn in found.turns} == {"SPEAKER_00", "SPEAKER_01", "SPEAKER_02"}
    assert found.turns[0].speaker == "SPEAKER_00"
    assert der(read_truth(SAMPLES["conversation"].path), found.turns) <= 0.15
    assert found.warnings == ()


def test_one_at_a_time_is_exclusive_and_the_rest_overlaps(diarizer: Diarizer) -> None:
    found = diarized(diarizer, "conversation", num_speakers=3)
    pairs = zip(found.exclusive, found.exclusive[1:], strict=False)
    assert all(one.end <= other.start + 1e-6 for one, other in pairs)
    talk = sum(turn.end - turn.start for turn in found.turns)
    assert talk > sum(turn.end - turn.start for turn in found.exclusive) + 1.0


def test_a_turn_goes_on_after_an_aside_within_it(diarizer: Diarizer) -> None:
    """ "No." at 16.2 s is said into a sentence that goes on for half a second."""
    truth = read_truth(SAMPLES["conversation"].path).turns
    (_, start, end), (_, aside, done) = next(
        (one, other) for one in truth for other in truth
        if one[0] != other[0] and one[1] < other[1] and other[2] < one[2] - 0.4
    )  # fmt: skip
    found = diarized(diarizer, "conversation", num_speakers=3).turns

    def heard(at: float) -> set[str]:
        return {turn.speaker for turn in found if turn.start <= at <= turn.end}

    [outer] = heard((start + aside) / 2)
    assert outer in heard((done + end) / 2)
    assert heard((aside + done) / 2) > {outer}


@pytest.mark.parametrize("name", ["short", "noisy"])
def test_one_speaker_is_one(diarizer: Diarizer, name: str) -> None:
    assert {turn.speaker for turn in diarized(diarizer, name).turns} == {"SPEAKER_00"}


def test_silence_has_no_speaker(diarizer: Diarizer) -> None:
    assert diarized(diarizer, "silence") == Diarization()
    assert diarizer.diarize(Audio(np.zeros(100, np.float32)), InferenceConfig()) == Diarization()


@pytest.mark.parametrize("seconds", [0.1, 0.5, 3.0])
def test_audio_shorter_than_a_chunk_works(diarizer: Diarizer, seconds: float) -> None:
    part = Audio(SAMPLES["short"].audio.samples[: int(seconds * 16_000)])
    assert len({turn.speaker for turn in diarizer.diarize(part, InferenceConfig()).turns}) <= 1


def test_a_hint_that_cannot_be_kept_is_said(diarizer: Diarizer) -> None:
    found = diarized(diarizer, "silence", num_speakers=2)
    assert found.warnings == ("0 speakers could be told apart, not the 2 of num_speakers",)
    assert diarized(diarizer, "silence", min_speakers=3).warnings == (
        "0 speakers could be told apart, fewer than the 3 of min_speakers",
    )


def test_the_count_may_be_limited(diarizer: Diarizer) -> None:
    assert {turn.speaker for turn in diarized(diarizer, "conversation", max_speakers=1).turns} == {"SPEAKER_00"}
    assert len({turn.speaker for turn in diarized(diarizer, "conversation", min_speakers=2).turns}) >= 2


@pytest.mark.parametrize(
    ("talk", "asked", "heard"),
    [
        ({"A": 60.0, "B": 0.3}, {}, 1),  # a leftover of the clustering
        ({"A": 60.0, "B": 0.3}, {"num_speakers": 2}, 2),
        ({"A": 60.0, "B": 0.7}, {}, 2),  # half a second is somebody
        ({"A": 4.0, "B": 0.3}, {}, 2),  # so is much of a short recording
        ({"A": 0.2}, {}, 1),
        ({}, {}, 0),
    ],
)
def test_who_speaks_for_an_instant_in_all_is_nobody(talk: dict[str, float], asked: dict[str, int], heard: int) -> None:
    annotation = Annotation()
    for number, (who, seconds) in enumerate(talk.items()):
        annotation[Segment(100.0 * number, 100.0 * number + seconds)] = who
    found = diarization_utils._read(annotation, asked)
    assert len({turn.speaker for turn in found.turns}) == len({turn.speaker for turn in found.exclusive}) == heard


def test_the_audio_is_left_as_it_was(diarizer: Diarizer) -> None:
    audio = SAMPLES["short"].audio
    before = audio.samples.copy()
    diarizer.diarize(audio, InferenceConfig())
    np.testing.assert_array_equal(audio.samples, before)


def test_tf32_is_left_as_it_was(diarizer: Diarizer) -> None:
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    try:
        diarized(diarizer, "short")
        with diarization_utils._as_it_was():
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        assert (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32) == (True, True)
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def test_progress_grows_to_the_end(diarizer: Diarizer) -> None:
    told: list[tuple[float, float]] = []
    audio = SAMPLES["conversation"].audio
    diarizer.diarize(audio, InferenceConfig(), RequestContext(lambda _, done, total: told.append((done, total))))
    assert len(told) > 5
    assert told == sorted(told)
    assert told[-1] == (audio.duration, audio.duration)


def test_requests_at_the_same_time_get_their_own_answers(diarizer: Diarizer) -> None:
    names = ["short", "meeting", "noisy"]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(lambda name: diarized(diarizer, name), names))
    assert together == [diarized(diarizer, name) for name in names]


def test_an_annotation_as_pyannote_3_gives_it_goes_the_same_way(diarizer: Diarizer, tmp_path: Path) -> None:
    shutil.copytree(DIARIZATION, tmp_path / "old")
    config = yaml.safe_load((tmp_path / "old" / "config.yaml").read_text())
    config["pipeline"]["params"]["legacy"] = True
    (tmp_path / "old" / "config.yaml").write_text(yaml.safe_dump(config))
    old, new = diarized(Diarizer(settings(tmp_path / "old")), "meeting"), diarized(diarizer, "meeting")
    assert old.turns == new.turns
    assert old.exclusive == tuple(exclusive_turns(old.turns))


HUB = {  # what the Hub answers: status, and the code that huggingface_hub reads
    "gated": (403, "GatedRepo"),
    "missing": (404, "RepoNotFound"),
    "private": (401, "RepoNotFound"),
    "wrong-token": (401, ""),
    "forbidden": (403, ""),
    "revision": (404, "RevisionNotFound"),
    "empty": (404, "EntryNotFound"),
}
SAID = {
    "gated": "DIARIZATION_MODEL me/gated is gated: accept the conditions on https://hf.co/me/gated"
    " with the account of HF_TOKEN",
    "missing": "DIARIZATION_MODEL me/missing is not there, or HF_TOKEN may not read it",
    "private": "DIARIZATION_MODEL me/private is not there, or HF_TOKEN may not read it",
    "wrong-token": "DIARIZATION_MODEL me/wrong-token cannot be downloaded: HF_TOKEN is not valid",
    "forbidden": "DIARIZATION_MODEL me/forbidden cannot be downloaded: HF_TOKEN may not read it",
    "revision": "DIARIZATION_MODEL me/revision has no such DIARIZATION_REVISION",
    "empty": "DIARIZATION_MODEL me/empty is no pyannote pipeline: it holds no config.yaml",
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
    """A server that refuses as the Hub does."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")
    yield
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("name", HUB)
def test_what_the_hub_refuses_is_said(hub: None, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InvalidSettings) as caught:
        load_pipeline(settings(f"me/{name}", hf_token="hf_secret"))
    assert str(caught.value) == SAID[name]
    assert "secret" not in "".join(capsys.readouterr())


@pytest.mark.parametrize("token", [None, "not-a-hub-token"])
def test_without_a_token_a_gated_pipeline_asks_for_one(hub: None, token: str | None) -> None:
    with pytest.raises(InvalidSettings, match=r"accept the conditions on https://hf.co/me/gated and set HF_TOKEN"):
        load_pipeline(settings("me/gated", hf_token=token))


def test_a_directory_that_is_no_pipeline_is_said_without_its_path(tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    with pytest.raises(InvalidSettings, match=r"^DIARIZATION_MODEL nothing is no pyannote pipeline: it holds no conf"):
        load_pipeline(settings(tmp_path / "nothing"))
    (tmp_path / "broken").mkdir()
    for text in ("", "pipeline: {name: os.getcwd}", "pipeline: {name: pyannote.audio.pipelines.Nothing}", "[: :"):
        (tmp_path / "broken" / "config.yaml").write_text(text)
        with pytest.raises(InvalidSettings, match=r"^DIARIZATION_MODEL broken is no pyannote pipeline: the log says"):
            Diarizer(settings(tmp_path / "broken"))


def test_a_truncated_checkpoint_is_said(tmp_path: Path) -> None:
    shutil.copytree(DIARIZATION, tmp_path / "cut")
    weights = tmp_path / "cut" / "segmentation" / "pytorch_model.bin"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(InvalidSettings, match=r"^DIARIZATION_MODEL cut is no pyannote pipeline: the log says why$"):
        load_pipeline(settings(tmp_path / "cut"))


def test_without_pyannote_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyannote.audio", None)
    with pytest.raises(InvalidSettings, match=r"^DIARIZATION_MODEL needs pyannote.audio: pip install pyannote.audio"):
        load_pipeline(settings(DIARIZATION))


def test_a_broken_audio_stack_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def __getattr__(self, name: str) -> None:
            raise OSError("libtorchaudio.so: undefined symbol")

    monkeypatch.setitem(__import__("sys").modules, "pyannote.audio", Broken())
    with pytest.raises(InvalidSettings, match=r"^pyannote.audio cannot be imported: torch, torchaudio and torchcodec"):
        load_pipeline(settings(DIARIZATION))
