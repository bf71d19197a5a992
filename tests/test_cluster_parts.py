"""What replicas do, without Ray around them."""

import asyncio
import time
from pathlib import Path

import pytest
from ray.serve._private.common import DeploymentID, ReplicaID
from ray.serve.config import AutoscalingContext

from tests.conftest import ASSISTANT, DEMO, DIARIZATION, SAMPLES
from transcription.audio import Audio
from transcription.cluster.diarizer_replica import DiarizerReplica
from transcription.cluster.engine_replica import EngineReplica
from transcription.cluster.messages import WindowRequest, WindowResponse
from transcription.cluster.scaling import ByAudio
from transcription.config import InferenceConfig, ModelSettings
from transcription.errors import EngineFailure, InvalidSettings
from transcription.transcriber import Transcriber

SHORT = SAMPLES["short"].audio
WORDS = InferenceConfig(timestamps="word")


@pytest.fixture(scope="module")
def recogniser() -> EngineReplica:
    return EngineReplica(ModelSettings.from_environment(asr_model=str(DEMO), assistant_model=str(ASSISTANT)))


def part(samples: Audio = SHORT, config: InferenceConfig = WORDS, language: str | None = None) -> WindowRequest:
    return WindowRequest("request", 3, samples.samples, config, language, brief=True, owed=samples.duration + 60.0)


def owed(recogniser: EngineReplica) -> float:
    return recogniser.record_autoscaling_stats()["audio_seconds"]


def test_a_window_says_what_it_says_in_one_process(recogniser: EngineReplica, transcriber: Transcriber) -> None:
    said = asyncio.run(recogniser.hear(part()))
    assert isinstance(said, WindowResponse)
    whole = transcriber.transcribe(SHORT, WORDS)
    words = [word for segment in said.heard.segments for word in segment.words]
    assert [(word.word, word.start, word.end) for word in words] == [
        (word.word, word.start, word.end) for word in whole.words
    ]
    assert (said.heard.number, said.heard.resume) == (3, None)
    assert said.language == whole.language
    assert said.language_probability == pytest.approx(whole.language_probability)


def test_nothing_said_decides_no_language(recogniser: EngineReplica) -> None:
    said = asyncio.run(recogniser.hear(part(SAMPLES["silence"].audio)))
    assert isinstance(said, WindowResponse)
    assert (said.heard.segments, said.language) == ((), None)
    assert said.guess is not None


def test_what_waits_is_told_while_it_waits(recogniser: EngineReplica) -> None:
    async def scene() -> list[float]:
        seen = [owed(recogniser)]
        tasks = [asyncio.create_task(recogniser.hear(part())) for _ in range(2)]
        await asyncio.sleep(0)
        seen.append(owed(recogniser))
        await asyncio.gather(*tasks)
        return [*seen, owed(recogniser)]

    assert asyncio.run(scene()) == [0, pytest.approx(2 * (SHORT.duration + 60)), 0]


def test_who_stops_waiting_frees_the_slot(recogniser: EngineReplica) -> None:
    async def scene() -> None:
        slowly = InferenceConfig(temperature=(0.0,) * 16, compression_ratio_threshold=0.01)
        task = asyncio.create_task(recogniser.hear(part(config=slowly)))
        while not recogniser._engine.loop.rows:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scene())
    end = time.monotonic() + 30
    while recogniser._engine.loop.rows or recogniser._engine.loop.jobs:
        assert time.monotonic() < end
        time.sleep(0.01)
    assert owed(recogniser) == 0


def test_a_failure_comes_back_as_a_value(recogniser: EngineReplica, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("/secret/path")

    monkeypatch.setattr(recogniser._engine, "hear", fail)
    failure = asyncio.run(recogniser.hear(part()))
    assert isinstance(failure, EngineFailure)
    assert str(failure) == "transcription failed inside the model: the log says why"


def test_one_that_fails_again_and_again_is_started_anew(
    recogniser: EngineReplica, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise EngineFailure("out of order")

    async def together(count: int) -> None:
        await asyncio.gather(*(recogniser.hear(part()) for _ in range(count)))

    asyncio.run(together(1))
    with monkeypatch.context() as patch:
        patch.setattr(recogniser._engine, "hear", fail)
        asyncio.run(together(9))  # of one step, say, that had all of them
        for _ in range(4):
            recogniser.check_health()
            asyncio.run(together(1))
        with pytest.raises(RuntimeError, match="5 windows have failed, one after the other"):
            recogniser.check_health()
    asyncio.run(together(1))
    recogniser.check_health()


def test_a_diarizer_tells_speakers_apart(listener: Transcriber) -> None:
    replica = DiarizerReplica(ModelSettings.from_environment(asr_model=str(DEMO), diarization_model=str(DIARIZATION)))
    assert replica.refusal() is None
    meeting, config = SAMPLES["meeting"].audio, InferenceConfig()
    assert listener.diarizer is not None
    assert asyncio.run(replica.diarize(meeting, config)) == listener.diarizer.diarize(meeting, config)


def test_a_diarizer_that_cannot_be_loaded_says_why(tmp_path: Path) -> None:
    replica = DiarizerReplica(ModelSettings.from_environment(asr_model=str(DEMO), diarization_model=str(tmp_path)))
    reason = f"DIARIZATION_MODEL {tmp_path.name} is no pyannote pipeline: it holds no config.yaml"
    assert replica.refusal() == reason
    refused = asyncio.run(replica.diarize(SHORT, InferenceConfig()))
    assert isinstance(refused, InvalidSettings)
    assert str(refused) == reason


def context(running: int, **reported: float) -> AutoscalingContext:
    """What Ray tells a policy: so many replicas run, and report what waits."""
    deployment = DeploymentID("EngineReplica", "transcription")
    waiting = {ReplicaID(name, deployment): seconds for name, seconds in reported.items()}
    return AutoscalingContext(
        deployment_id=deployment, deployment_name="EngineReplica", app_name="transcription",
        current_num_replicas=running,
        target_num_replicas=running, running_replicas=list(waiting), total_num_requests=9, total_queued_requests=0,
        aggregated_metrics={"audio_seconds": waiting} if waiting else {}, raw_metrics={},
        capacity_adjusted_min_replicas=1, capacity_adjusted_max_replicas=8, policy_state={}, last_scale_up_time=None,
        last_scale_down_time=None, current_time=None, config=None,
    )  # fmt: skip


def test_recognisers_are_as_many_as_the_audio_needs() -> None:
    policy = ByAudio(600)
    assert policy(context(2, one=900, two=300)) == (2, {})
    assert policy(context(1, one=36_000)) == (60, {})
    assert policy(context(2, one=0, two=0)) == (0, {})
    assert policy(context(1)) == (0, {})
