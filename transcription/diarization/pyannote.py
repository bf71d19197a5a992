"""Diarizer: a pyannote pipeline that says who speaks when; and the merge of that with the words.

Both generations of pyannote.audio work: 4 (DiarizeOutput, `token`) and 3 (Annotation, `use_auth_token`).
"""

import contextlib
import inspect
import logging
import os
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from transcription.audio import Audio
from transcription.config import InferenceConfig, ModelSettings
from transcription.context import RequestContext
from transcription.diarization.assign import assign_speakers, exclusive_turns
from transcription.errors import InvalidSettings
from transcription.transcript import SpeakerTurn
from transcription.whisper.loading import choose_device, display_name

__all__ = ["Diarization", "Diarizer", "assign_speakers", "exclusive_turns"]

logger = logging.getLogger(__name__)

# The share of the whole that is done when a step of pyannote begins, and what the step adds.
_STEPS = {"segmentation": (0.0, 0.3), "embeddings": (0.3, 0.65)}
_NO_PIPELINE = "is no pyannote pipeline: it holds no config.yaml"
MIN_SPEAKER_TALK = (0.5, 0.01)
"""Seconds, and the share of all talk: who speaks for less than both is nobody."""
_LOOK_UP = 0.1  # seconds between looks at whether a waiting request is still wanted
_SHORTEST = 0.1  # seconds; less is no speech, and too little for the embedding's first layers


@dataclass(frozen=True)
class Diarization:
    """Who speaks when. turns may overlap; exclusive has one speaker at a time.

    Labels are SPEAKER_00, SPEAKER_01, … in order of appearance.
    """

    turns: tuple[SpeakerTurn, ...] = ()
    exclusive: tuple[SpeakerTurn, ...] = ()
    warnings: tuple[str, ...] = ()


class Diarizer:
    """A pyannote pipeline, loaded once. Safe to call from several threads: it takes one recording at a time."""

    def __init__(self, settings: ModelSettings) -> None:
        """Loads DIARIZATION_MODEL: a Hub name or a directory. Raises InvalidSettings."""
        self.device = choose_device(settings)
        self._lock = threading.Lock()
        with _as_it_was():
            self._pipeline = load_pipeline(settings)
            try:
                self._pipeline.to(self.device)
            except (RuntimeError, AssertionError):
                raise InvalidSettings(
                    f"DEVICE {self.device} cannot hold DIARIZATION_MODEL: is it there, and large enough?"
                ) from None
            for name in ("segmentation_batch_size", "embedding_batch_size"):  # 1 by default
                setattr(self._pipeline, name, settings.diarization_batch_size)
        on_gpu = self.device.type == "cuda"
        self._stream = torch.cuda.Stream(self.device) if on_gpu else None  # type: ignore[no-untyped-call]

    def diarize(self, audio: Audio, config: InferenceConfig, context: RequestContext | None = None) -> Diarization:
        """Who speaks when in `audio` (16 kHz), within the counts of the request. Raises Cancelled."""
        context = context or RequestContext()
        if audio.duration < _SHORTEST:
            return Diarization()
        wanted = {
            name: value
            for name in ("num_speakers", "min_speakers", "max_speakers")
            if (value := getattr(config, name)) is not None
        }
        if "num_speakers" in wanted:  # it implies the others, and pyannote would weigh them against it
            wanted = {"num_speakers": wanted["num_speakers"]}
        file = {"waveform": torch.from_numpy(audio.samples)[None], "sample_rate": audio.sample_rate, "uri": "audio"}
        with self._turn(context), _as_it_was(), self._own_stream():
            found = self._pipeline(file, hook=_hook(context, audio.duration), **wanted)
        return _read(found, wanted)

    @contextlib.contextmanager
    def _turn(self, context: RequestContext) -> Iterator[None]:
        """When the recordings before this one are done. Raises Cancelled while it waits."""
        while not self._lock.acquire(timeout=_LOOK_UP):
            context.check_cancelled()
        try:
            yield
        finally:
            self._lock.release()

    def _own_stream(self) -> contextlib.AbstractContextManager[Any]:
        """A stream of work beside the engine's, on a GPU."""
        return contextlib.nullcontext() if self._stream is None else torch.cuda.stream(self._stream)


def load_pipeline(settings: ModelSettings) -> Any:
    """pyannote's pipeline of the settings. Raises InvalidSettings."""
    kind, name, revision = _pipeline_class(), str(settings.diarization_model), settings.diarization_revision
    token = settings.hf_token.get_secret_value() if settings.hf_token else None
    if Path(name).is_dir() and not Path(name, "config.yaml").is_file():
        raise InvalidSettings(f"DIARIZATION_MODEL {display_name(name)} {_NO_PIPELINE}")
    known = inspect.signature(kind.from_pretrained).parameters
    options: dict[str, Any] = {"token" if "token" in known else "use_auth_token": token}
    if revision and "revision" in known:
        options["revision"] = revision
    checkpoint = f"{name}@{revision}" if revision and "revision" not in known else name  # as pyannote 3 takes it
    try:
        with contextlib.redirect_stdout(None):  # it prints what the error says
            pipeline = kind.from_pretrained(checkpoint, **options)
    except Exception as error:
        raise InvalidSettings(f"DIARIZATION_MODEL {display_name(name)} {_refusal(error, name, token)}") from None
    if pipeline is None:  # pyannote 3's answer to a gated repository
        raise InvalidSettings(f"DIARIZATION_MODEL {name} {_gated(name, token)}")
    return pipeline


def _pipeline_class() -> Any:
    os.environ["PYANNOTE_METRICS_ENABLED"] = "0"  # telemetry is on by default
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of decoders for files, which it never gets from us
            from pyannote.audio import Pipeline
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != "pyannote":
            raise InvalidSettings(f"DIARIZATION_MODEL needs pyannote.audio, which lacks {error.name}") from None
        raise InvalidSettings("DIARIZATION_MODEL needs pyannote.audio: pip install pyannote.audio") from None
    except (ImportError, OSError, RuntimeError):
        logger.exception("pyannote.audio cannot be imported")
        raise InvalidSettings(
            "pyannote.audio cannot be imported: torch, torchaudio and torchcodec do not fit together; the log says why"
        ) from None
    return Pipeline


def _refusal(error: Exception, name: str, token: str | None) -> str:
    """What an error of huggingface_hub, or of a broken checkpoint, means for the owner."""
    if isinstance(error, GatedRepoError):  # a pipeline may need a second repository: the address names it
        return _gated("/".join(str(error.response.url).split("/")[3:5]), token)
    if isinstance(error, RevisionNotFoundError):
        return "has no such DIARIZATION_REVISION"
    if isinstance(error, (RepositoryNotFoundError, HFValidationError)):
        return "is not there, or HF_TOKEN may not read it"
    if isinstance(error, EntryNotFoundError) and not isinstance(error, LocalEntryNotFoundError):
        return _NO_PIPELINE
    if isinstance(error, (HfHubHTTPError, LocalEntryNotFoundError)):
        # huggingface_hub hides some refusals behind "not in the cache"
        response = getattr(error if isinstance(error, HfHubHTTPError) else error.__cause__, "response", None)
        return f"cannot be downloaded: {_status(getattr(response, 'status_code', None), token)}"
    logger.error("DIARIZATION_MODEL cannot be loaded", exc_info=error)
    return "is no pyannote pipeline: the log says why"


def _status(code: int | None, token: str | None) -> str:
    if code == 401:
        return "HF_TOKEN is not valid" if token else "set HF_TOKEN"
    return "HF_TOKEN may not read it" if code == 403 else "the Hub was not reached"


def _gated(name: str, token: str | None) -> str:
    page = f"is gated: accept the conditions on https://hf.co/{name}"
    if token is None or not token.startswith("hf_"):  # pyannote leaves other tokens out
        return f"{page} and set HF_TOKEN (hf_…)"
    return f"{page} with the account of HF_TOKEN"


@contextlib.contextmanager
def _as_it_was() -> Iterator[None]:
    """pyannote turns TF32 off for the whole process, which would slow Whisper down, and warns a lot."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            matmul.allow_tf32, cudnn.allow_tf32 = before


def _hook(context: RequestContext, duration: float) -> Callable[..., None]:
    """pyannote's hook, told to `context` as seconds of audio done."""

    def told(step: str, *_: object, total: int | None = None, completed: int | None = None, **__: object) -> None:
        if step == "discrete_diarization":
            context.report_progress("diarize", duration, duration)
        elif step in _STEPS and total and completed is not None:
            begin, share = _STEPS[step]
            context.report_progress("diarize", duration * (begin + share * min(completed / total, 1.0)), duration)
        context.check_cancelled()

    return told


def _read(found: Any, wanted: Mapping[str, int]) -> Diarization:
    """Our turns of what pyannote found: a DiarizeOutput of 4, or an Annotation of 3."""
    regular = _without_brief_speakers(_turns(getattr(found, "speaker_diarization", found)), wanted)
    single = getattr(found, "exclusive_speaker_diarization", None)
    labels = dict.fromkeys(turn.speaker for turn in regular)
    names = {label: f"SPEAKER_{number:02}" for number, label in enumerate(labels)}
    turns = [replace(turn, speaker=names[turn.speaker]) for turn in regular]
    if single is None:
        alone = exclusive_turns(turns)
    else:
        alone = [replace(turn, speaker=names[turn.speaker]) for turn in _turns(single) if turn.speaker in names]
    return Diarization(tuple(turns), tuple(alone), tuple(_unkept(len(names), wanted)))


def _without_brief_speakers(turns: list[SpeakerTurn], wanted: Mapping[str, int]) -> list[SpeakerTurn]:
    """Without those who speak for less than MIN_SPEAKER_TALK in all: clustering's leftovers, not people.

    Where so many speakers were asked for, all are kept.
    """
    if "num_speakers" in wanted or "min_speakers" in wanted:
        return turns
    talk: dict[str, float] = {}
    for turn in turns:
        talk[turn.speaker] = talk.get(turn.speaker, 0.0) + turn.end - turn.start
    seconds, share = MIN_SPEAKER_TALK
    least = min(seconds, share * sum(talk.values()))
    return [turn for turn in turns if talk[turn.speaker] >= least]


def _turns(annotation: Any) -> list[SpeakerTurn]:
    """A pyannote.core Annotation's tracks by start."""
    turns = [
        SpeakerTurn(str(label), float(span.start), float(span.end))
        for span, _, label in annotation.itertracks(yield_label=True)
    ]
    return sorted(turns, key=lambda turn: (turn.start, turn.end, turn.speaker))


def _unkept(found: int, wanted: Mapping[str, int]) -> Iterator[str]:
    """What to say where a hint could not be kept."""
    heard = f"{found} speaker{'' if found == 1 else 's'} could be told apart"
    if "num_speakers" in wanted and found != wanted["num_speakers"]:
        yield f"{heard}, not the {wanted['num_speakers']} of num_speakers"
    if found < wanted.get("min_speakers", 0):
        yield f"{heard}, fewer than the {wanted['min_speakers']} of min_speakers"
    if found > wanted.get("max_speakers", found):
        yield f"{heard}, more than the {wanted['max_speakers']} of max_speakers"
