"""Replicas and the autoscaling policy, without Ray."""

import asyncio
import time
from concurrent.futures import Future
from pathlib import Path

import pytest
from ray.serve._private.common import DeploymentID, ReplicaID
from ray.serve.config import AutoscalingContext

from tests.conftest import ASSISTANT, DEMO, DIARIZATION, SAMPLES
from transcription.audio import Audio
from transcription.cluster.diarizer_replica import DiarizerReplica
from transcription.cluster.engine_replica import EngineReplica
from transcription.cluster.messages import WindowRequest, WindowResponse
from transcription.cluster.scaling import AudioSecondsPolicy
from transcription.config import InferenceConfig, ModelSettings
from transcription.engines.batching.window import DecodingRequest, Phrase, WindowOptions, WindowResult
from transcription.errors import EngineFailure, InvalidSettings
from transcription.transcriber import Transcriber
from transcription.vad.activity import SpeechActivity
from transcription.whisper.word_timing import place_words

SHORT = SAMPLES["short"].audio
WORDS = InferenceConfig(timestamps="word")


@pytest.fixture(scope="module")
def engine_replica() -> EngineReplica:
    return EngineReplica(ModelSettings.from_environment(asr_model=str(DEMO), assistant_model=str(ASSISTANT)))


def window(audio: Audio = SHORT, config: InferenceConfig = WORDS, language: str | None = None) -> WindowRequest:
    return WindowRequest(
        "request", audio.samples, config, language, True, audio.duration + 60.0,
        options=WindowOptions(has_timestamps=False),
    )  # fmt: skip


def pending_audio(engine_replica: EngineReplica) -> float:
    return engine_replica.record_autoscaling_stats()["audio_seconds"]


def test_a_window_has_the_same_text_as_in_one_process(engine_replica: EngineReplica, transcriber: Transcriber) -> None:
    response = asyncio.run(engine_replica.decode_window(window()))
    assert isinstance(response, WindowResponse)
    transcript = transcriber.transcribe(SHORT, WORDS)
    placed = place_words(response.result.segments, SpeechActivity.of(SHORT.samples), end=SHORT.duration)
    words = [word for segment in placed for word in segment.words]
    assert [(word.word, word.start, word.end) for word in words] == [
        (word.word, word.start, word.end) for word in transcript.words
    ]
    assert response.result.is_finished
    assert response.language == transcript.language
    assert response.language_probability == pytest.approx(transcript.language_probability)


def test_a_given_text_has_the_same_times_as_in_one_process(engine_replica: EngineReplica) -> None:
    given = (Phrase((" Sarah", " wants"), 0.3, 1.0),)
    config = WORDS.model_copy(update={"language": "en"})
    options = WindowOptions(phrases=given)
    message = WindowRequest("given", SHORT.samples, config, "en", True, SHORT.duration, options=options)
    response = asyncio.run(engine_replica.decode_window(message))
    assert isinstance(response, WindowResponse)
    assert [word.word for word in response.result.segments[0].words] == [" Sarah", " wants"]
    alone = engine_replica.engine.submit(DecodingRequest(config, "en"), SHORT.samples, options).result()
    assert response.result == alone


def test_silence_decides_no_language(engine_replica: EngineReplica) -> None:
    response = asyncio.run(engine_replica.decode_window(window(SAMPLES["silence"].audio)))
    assert isinstance(response, WindowResponse)
    assert (response.result.segments, response.language) == ((), None)
    assert response.language_guess is not None


def test_pending_audio_is_reported_while_it_is_pending(engine_replica: EngineReplica) -> None:
    async def scenario() -> list[float]:
        seconds = [pending_audio(engine_replica)]
        tasks = [asyncio.create_task(engine_replica.decode_window(window())) for _ in range(2)]
        await asyncio.sleep(0)
        seconds.append(pending_audio(engine_replica))
        await asyncio.gather(*tasks)
        return [*seconds, pending_audio(engine_replica)]

    assert asyncio.run(scenario()) == [0, pytest.approx(2 * (SHORT.duration + 60)), 0]


def test_a_cancelled_call_frees_its_slot(engine_replica: EngineReplica) -> None:
    async def scenario() -> None:
        slowly = InferenceConfig(temperature=(0.0,) * 16, logprob_threshold=0)
        task = asyncio.create_task(engine_replica.decode_window(window(config=slowly)))
        while engine_replica.engine.loop.is_idle:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scenario())
    end = time.monotonic() + 30
    while not engine_replica.engine.loop.is_idle:
        assert time.monotonic() < end
        time.sleep(0.01)
    assert pending_audio(engine_replica) == 0


def test_a_failure_is_returned_as_a_value(engine_replica: EngineReplica, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("/secret/path")

    monkeypatch.setattr(engine_replica.engine, "submit", fail)
    failure = asyncio.run(engine_replica.decode_window(window()))
    assert isinstance(failure, EngineFailure)
    assert str(failure) == "transcription failed inside the model: see the log"


def test_a_replica_is_unhealthy_after_five_failures_in_a_row(
    engine_replica: EngineReplica, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> Future[WindowResult]:
        future: Future[WindowResult] = Future()
        future.set_exception(EngineFailure("out of order"))
        return future

    async def together(count: int) -> None:
        await asyncio.gather(*(engine_replica.decode_window(window()) for _ in range(count)))

    asyncio.run(together(1))
    with monkeypatch.context() as patch:
        patch.setattr(engine_replica.engine, "submit", fail)
        asyncio.run(together(9))  # of one decoding step, for instance
        for _ in range(4):
            engine_replica.check_health()
            asyncio.run(together(1))
        with pytest.raises(RuntimeError, match="5 windows have failed in a row"):
            engine_replica.check_health()
    asyncio.run(together(1))
    engine_replica.check_health()


def test_a_diarizer_replica_returns_the_turns_of_the_pipeline(diarizing_transcriber: Transcriber) -> None:
    replica = DiarizerReplica(ModelSettings.from_environment(asr_model=str(DEMO), diarization_model=str(DIARIZATION)))
    assert replica.refusal() is None
    meeting, config = SAMPLES["meeting"].audio, InferenceConfig()
    assert diarizing_transcriber.diarizer is not None
    expected = diarizing_transcriber.diarizer.diarize(meeting, config)
    assert asyncio.run(replica.diarize(meeting, config)) == expected


def test_a_diarizer_that_cannot_be_loaded_returns_the_reason(tmp_path: Path) -> None:
    replica = DiarizerReplica(ModelSettings.from_environment(asr_model=str(DEMO), diarization_model=str(tmp_path)))
    reason = f"DIARIZATION_MODEL {tmp_path.name} is not a pyannote pipeline: it has no config.yaml"
    assert replica.refusal() == reason
    error = asyncio.run(replica.diarize(SHORT, InferenceConfig()))
    assert isinstance(error, InvalidSettings)
    assert str(error) == reason


def context(running: int, **reported: float) -> AutoscalingContext:
    """Return what Ray gives to a policy. reported: pending seconds of audio by replica."""
    deployment = DeploymentID("EngineReplica", "transcription")
    pending = {ReplicaID(name, deployment): seconds for name, seconds in reported.items()}
    return AutoscalingContext(
        deployment_id=deployment, deployment_name="EngineReplica", app_name="transcription",
        current_num_replicas=running,
        target_num_replicas=running, running_replicas=list(pending), total_num_requests=9, total_queued_requests=0,
        aggregated_metrics={"audio_seconds": pending} if pending else {}, raw_metrics={},
        capacity_adjusted_min_replicas=1, capacity_adjusted_max_replicas=8, policy_state={}, last_scale_up_time=None,
        last_scale_down_time=None, current_time=None, config=None,
    )  # fmt: skip


def test_the_number_of_engines_follows_the_pending_audio() -> None:
    policy = AudioSecondsPolicy(600)
    assert policy(context(2, one=900, two=300)) == (2, {})
    assert policy(context(1, one=36_000)) == (60, {})
    assert policy(context(2, one=0, two=0)) == (0, {})
    assert policy(context(1)) == (0, {})
