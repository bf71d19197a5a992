"""Diarizer: finds who speaks when, with a pipeline of pyannote.audio.

Works with pyannote.audio 4 (DiarizeOutput, `token`) and 3 (Annotation, `use_auth_token`).
"""

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

import torch

from transcription.audio import Audio
from transcription.config import InferenceConfig, KnownSpeaker, ModelSettings
from transcription.context import RequestContext
from transcription.diarization.assign import exclusive_turns
from transcription.diarization.counts import count_warnings
from transcription.diarization.loading import load_pipeline, preserve_global_state
from transcription.diarization.naming import name_speakers
from transcription.diarization.references import check_embedding, decode_sample, embedding_identity, voice_of_sample
from transcription.diarization.result import Diarization
from transcription.diarization.stretches import chunks_in_stretches, cluster, parts_of
from transcription.errors import InvalidRequest, InvalidSettings
from transcription.transcript import SpeakerTurn, Voiceprint
from transcription.whisper.loading import choose_device

logger = logging.getLogger(__name__)

_STEPS = {"segmentation": (0.0, 0.3), "embeddings": (0.3, 0.65)}
"""Steps of pyannote: the share of the work done before the step, and the share of the step."""
MIN_SPEAKER_TALK = 0.5
"""Seconds. A speaker who talks for less than this and less than MIN_SPEAKER_SHARE is removed."""
MIN_SPEAKER_SHARE = 0.01
"""Share of all talk in the recording, 0 to 1."""
_CANCEL_CHECK_INTERVAL = 0.1  # seconds
_MIN_DURATION = 0.1  # seconds; the first layers of the embedding need more samples


class Diarizer:
    """A loaded pyannote pipeline. Safe to call from several threads; it processes one recording at a time."""

    def __init__(self, settings: ModelSettings) -> None:
        """Load DIARIZATION_MODEL, a Hub name or a directory.

        Raises InvalidSettings if it cannot be loaded.
        """
        self.device = choose_device(settings)
        self._lock = threading.Lock()
        with preserve_global_state():
            self.pipeline = load_pipeline(settings)
            try:
                self.pipeline.to(self.device)
            except (RuntimeError, AssertionError):
                raise InvalidSettings(
                    f"DIARIZATION_MODEL cannot be moved to DEVICE {self.device}:"
                    " check that the device exists and has enough memory"
                ) from None
            for name in ("segmentation_batch_size", "embedding_batch_size"):  # 1 by default
                setattr(self.pipeline, name, settings.diarization_batch_size)
        self._parts = parts_of(self.pipeline)
        if self._parts is None:
            logger.warning("DIARIZATION_MODEL is diarized in one call, whose memory grows with the recording")
        is_cuda = self.device.type == "cuda"
        self._stream = torch.cuda.Stream(self.device) if is_cuda else None  # type: ignore[no-untyped-call]

    @cached_property
    def embedding(self) -> str:
        """Identity of the embedding model."""
        return embedding_identity(self.pipeline)

    def diarize(self, audio: Audio, config: InferenceConfig, context: RequestContext | None = None) -> Diarization:
        """Return the speaker turns of `audio` (16 kHz), with the speaker counts of the request.

        Known speakers have their names (naming.py).
        Raises InvalidRequest if the sample of a known speaker cannot be used, Cancelled.
        """
        context = context or RequestContext()
        samples = [(known, decode_sample(known)) for known in config.known_speakers if isinstance(known.reference, str)]
        if config.needs_voices and self._parts is None:
            raise InvalidRequest(
                "known_speakers and voiceprints need another DIARIZATION_MODEL: this one has no voices"
            )
        if config.known_speakers:
            check_embedding(config.known_speakers, self.embedding)
        with self._acquire(context), preserve_global_state(), self._cuda_stream():
            voices = {known.name: self._voice(known, sample, context) for known, sample in samples}
            diarization = self._diarize(audio, config, context)
        known_voices = {
            known.name: voices[known.name] if isinstance(known.reference, str) else known.reference
            for known in config.known_speakers
        }
        return name_speakers(diarization, known_voices, config.known_speaker_threshold)

    def voice(self, known: KnownSpeaker, sample: Audio, context: RequestContext | None = None) -> Voiceprint:
        """Return the voice in the sample (16 kHz) of a known speaker.

        Raises InvalidRequest if the sample cannot be used, Cancelled.
        """
        context = context or RequestContext()
        with self._acquire(context), preserve_global_state(), self._cuda_stream():
            return self._voice(known, sample, context)

    def _voice(self, known: KnownSpeaker, sample: Audio, context: RequestContext) -> Voiceprint:
        """Return the voice in a sample. Raises InvalidRequest, Cancelled."""
        assert self._parts is not None

        def hook(*_: object, **__: object) -> None:
            context.check_cancelled()

        vector = voice_of_sample(self._parts, known, sample, hook)
        return Voiceprint.of(self.embedding, vector.tolist())

    def _diarize(self, audio: Audio, config: InferenceConfig, context: RequestContext) -> Diarization:
        if audio.duration < _MIN_DURATION:
            return Diarization()
        counts = {
            name: value
            for name in ("num_speakers", "min_speakers", "max_speakers")
            if (value := getattr(config, name)) is not None
        }
        if "num_speakers" in counts:  # pyannote would also check it against the limits
            counts = {"num_speakers": counts["num_speakers"]}
        if self._parts is None:
            return self._diarize_whole(audio, counts, context)

        def hook(start: int, end: int) -> Callable[..., None]:
            return _progress_hook(context, start / audio.sample_rate, end / audio.sample_rate, audio.duration)

        batch_size = getattr(self.pipeline, "segmentation_batch_size", 32)
        chunks = chunks_in_stretches(self._parts, audio.samples, audio.sample_rate, hook, batch_size)
        found = cluster(self._parts, chunks, counts)
        context.report_progress("diarize", audio.duration, audio.duration)
        return to_diarization(found.regular, found.exclusive, counts, self._voiceprints(found.centroids, config))

    def _voiceprints(self, centroids: Mapping[str, Any], config: InferenceConfig) -> dict[str, Voiceprint]:
        if not config.needs_voices:
            return {}
        return {label: Voiceprint.of(self.embedding, vector.tolist()) for label, vector in centroids.items()}

    def _diarize_whole(self, audio: Audio, counts: Mapping[str, int], context: RequestContext) -> Diarization:
        """Return what the pipeline finds in one call: its parts are not known."""
        file = {"waveform": torch.from_numpy(audio.samples)[None], "sample_rate": audio.sample_rate, "uri": "audio"}
        output = self.pipeline(file, hook=_progress_hook(context, 0.0, audio.duration, audio.duration), **counts)
        return read_output(output, counts)

    @contextlib.contextmanager
    def _acquire(self, context: RequestContext) -> Iterator[None]:
        """Wait until no other recording is processed.

        Raises Cancelled if the request is cancelled while it waits.
        """
        while not self._lock.acquire(timeout=_CANCEL_CHECK_INTERVAL):
            context.check_cancelled()
        try:
            yield
        finally:
            self._lock.release()

    def _cuda_stream(self) -> contextlib.AbstractContextManager[Any]:
        """Return a CUDA stream of its own, so that the pipeline and the engine run at the same time."""
        return contextlib.nullcontext() if self._stream is None else torch.cuda.stream(self._stream)


def _progress_hook(context: RequestContext, start: float, end: float, duration: float) -> Callable[..., None]:
    """Return a hook for pyannote that reports the progress in the audio from start to end, in seconds."""

    def hook(step: str, *_: object, total: int | None = None, completed: int | None = None, **__: object) -> None:
        if step == "discrete_diarization":
            context.report_progress("diarize", end, duration)
        elif step in _STEPS and total and completed is not None:
            done, share = _STEPS[step]
            part = done + share * min(completed / total, 1.0)
            context.report_progress("diarize", start + (end - start) * part, duration)
        context.check_cancelled()

    return hook


def read_output(output: Any, counts: Mapping[str, int]) -> Diarization:
    """Return the diarization in a pipeline's output: a DiarizeOutput of pyannote 4 or an Annotation of 3.

    counts: the speaker counts of the request (num_speakers, min_speakers, max_speakers).
    """
    regular = _read_annotation(getattr(output, "speaker_diarization", output))
    annotation = getattr(output, "exclusive_speaker_diarization", None)
    return to_diarization(regular, None if annotation is None else _read_annotation(annotation), counts)


def to_diarization(
    regular: Sequence[SpeakerTurn], exclusive: Sequence[SpeakerTurn] | None, counts: Mapping[str, int],
    voiceprints: Mapping[str, Voiceprint] = MappingProxyType({}),
) -> Diarization:  # fmt: skip
    """Return the diarization of turns with any labels. exclusive: None if it is to be made of the regular one."""
    regular = _remove_brief_speakers(_in_order(regular), counts)
    labels = dict.fromkeys(turn.speaker for turn in regular)
    names = {label: f"SPEAKER_{number:02}" for number, label in enumerate(labels)}
    turns = [replace(turn, speaker=names[turn.speaker]) for turn in regular]
    if exclusive is None:
        alone = exclusive_turns(turns)
    else:
        alone = [replace(turn, speaker=names[turn.speaker]) for turn in _in_order(exclusive) if turn.speaker in names]
    return Diarization(
        tuple(turns),
        tuple(alone),
        tuple(count_warnings(len(names), counts)),
        {name: voiceprints[label] for label, name in names.items() if label in voiceprints},
    )


def _remove_brief_speakers(turns: list[SpeakerTurn], counts: Mapping[str, int]) -> list[SpeakerTurn]:
    """Remove speakers below MIN_SPEAKER_TALK and MIN_SPEAKER_SHARE: they are errors of the clustering.

    If the request asks for a number of speakers, keep all.
    """
    if "num_speakers" in counts or "min_speakers" in counts:
        return turns
    talk: dict[str, float] = {}
    for turn in turns:
        talk[turn.speaker] = talk.get(turn.speaker, 0.0) + turn.end - turn.start
    min_talk = min(MIN_SPEAKER_TALK, MIN_SPEAKER_SHARE * sum(talk.values()))
    return [turn for turn in turns if talk[turn.speaker] >= min_talk]


def _read_annotation(annotation: Any) -> list[SpeakerTurn]:
    """Return the tracks of a pyannote.core Annotation as turns."""
    return [
        SpeakerTurn(str(label), float(segment.start), float(segment.end))
        for segment, _, label in annotation.itertracks(yield_label=True)
    ]


def _in_order(turns: Sequence[SpeakerTurn]) -> list[SpeakerTurn]:
    return sorted(turns, key=lambda turn: (turn.start, turn.end, turn.speaker))
