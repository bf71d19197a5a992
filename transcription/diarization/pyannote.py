"""Diarizer: finds who speaks when, with a pipeline of pyannote.audio.

Works with pyannote.audio 4 (DiarizeOutput, `token`) and 3 (Annotation, `use_auth_token`).
"""

import contextlib
import inspect
import logging
import os
import sys
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
from transcription.diarization.assign import exclusive_turns
from transcription.diarization.counts import count_warnings
from transcription.errors import InvalidSettings
from transcription.transcript import SpeakerTurn
from transcription.whisper.loading import choose_device, display_name

logger = logging.getLogger(__name__)

_STEPS = {"segmentation": (0.0, 0.3), "embeddings": (0.3, 0.65)}
"""Steps of pyannote: the share of the work done before the step, and the share of the step."""
_NOT_A_PIPELINE = "is not a pyannote pipeline: it has no config.yaml"
MIN_SPEAKER_TALK = 0.5
"""Seconds. A speaker who talks for less than this and less than MIN_SPEAKER_SHARE is removed."""
MIN_SPEAKER_SHARE = 0.01
"""Share of all talk in the recording, 0 to 1."""
_CANCEL_CHECK_INTERVAL = 0.1  # seconds
_MIN_DURATION = 0.1  # seconds; the first layers of the embedding need more samples


@dataclass(frozen=True)
class Diarization:
    """Who speaks when. Labels are SPEAKER_00, SPEAKER_01, … in order of appearance.

    turns: the regular diarization: turns may overlap.
    exclusive: the exclusive diarization: one speaker at a time.
    warnings: messages for the reader, one sentence each.
    """

    turns: tuple[SpeakerTurn, ...] = ()
    exclusive: tuple[SpeakerTurn, ...] = ()
    warnings: tuple[str, ...] = ()


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
        is_cuda = self.device.type == "cuda"
        self._stream = torch.cuda.Stream(self.device) if is_cuda else None  # type: ignore[no-untyped-call]

    def diarize(self, audio: Audio, config: InferenceConfig, context: RequestContext | None = None) -> Diarization:
        """Return the speaker turns of `audio` (16 kHz), with the speaker counts of the request.

        Raises Cancelled.
        """
        context = context or RequestContext()
        if audio.duration < _MIN_DURATION:
            return Diarization()
        counts = {
            name: value
            for name in ("num_speakers", "min_speakers", "max_speakers")
            if (value := getattr(config, name)) is not None
        }
        if "num_speakers" in counts:  # pyannote would also check it against the limits
            counts = {"num_speakers": counts["num_speakers"]}
        file = {"waveform": torch.from_numpy(audio.samples)[None], "sample_rate": audio.sample_rate, "uri": "audio"}
        with self._acquire(context), preserve_global_state(), self._cuda_stream():
            output = self.pipeline(file, hook=_progress_hook(context, audio.duration), **counts)
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


def load_pipeline(settings: ModelSettings) -> Any:
    """Load the pyannote pipeline DIARIZATION_MODEL.

    Raises InvalidSettings if it cannot be loaded.
    """
    pipeline_class = _import_pipeline_class()
    name, revision = str(settings.diarization_model), settings.diarization_revision
    token = settings.hf_token.get_secret_value() if settings.hf_token else None
    if Path(name).is_dir() and not Path(name, "config.yaml").is_file():
        raise InvalidSettings(f"DIARIZATION_MODEL {display_name(name)} {_NOT_A_PIPELINE}")
    known = inspect.signature(pipeline_class.from_pretrained).parameters
    options: dict[str, Any] = {"token" if "token" in known else "use_auth_token": token}
    if revision and "revision" in known:
        options["revision"] = revision
    checkpoint = f"{name}@{revision}" if revision and "revision" not in known else name  # the syntax of pyannote 3
    try:
        with _modules_beside(name), contextlib.redirect_stdout(None):  # it prints the message of the error
            pipeline = pipeline_class.from_pretrained(checkpoint, **options)
    except Exception as error:
        raise InvalidSettings(f"DIARIZATION_MODEL {display_name(name)} {_explain(error, name, token)}") from None
    if pipeline is None:  # the result of pyannote 3 for a gated repository
        raise InvalidSettings(f"DIARIZATION_MODEL {name} {_explain_gated(name, token)}")
    return pipeline


@contextlib.contextmanager
def _modules_beside(name: str) -> Iterator[None]:
    """Let a pipeline in a directory find its own modules: those of models/x are named from the parent of models.

    pyannote imports the classes of a checkpoint by the name of their module.
    """
    root = str(Path(name).resolve().parent.parent)
    if not Path(name).is_dir() or root in sys.path:
        yield
        return
    sys.path.append(root)  # at the end, so that it hides no installed package
    try:
        yield
    finally:
        sys.path.remove(root)


def _import_pipeline_class() -> Any:
    os.environ["PYANNOTE_METRICS_ENABLED"] = "0"  # telemetry is on by default
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about file decoders, which are not used here
            from pyannote.audio import Pipeline
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != "pyannote":
            raise InvalidSettings(f"DIARIZATION_MODEL needs pyannote.audio, which needs {error.name}") from None
        raise InvalidSettings("DIARIZATION_MODEL needs pyannote.audio: pip install pyannote.audio") from None
    except (ImportError, OSError, RuntimeError):
        logger.exception("pyannote.audio cannot be imported")
        raise InvalidSettings(
            "pyannote.audio cannot be imported: the versions of torch, torchaudio and torchcodec do not match;"
            " see the log"
        ) from None
    return Pipeline


def _explain(error: Exception, name: str, token: str | None) -> str:
    """Return what an error of huggingface_hub, or of a broken checkpoint, means for the deployer."""
    if isinstance(error, GatedRepoError):  # the URL names the repository: a pipeline may need a second one
        return _explain_gated("/".join(str(error.response.url).split("/")[3:5]), token)
    if isinstance(error, RevisionNotFoundError):
        return "has no such DIARIZATION_REVISION"
    if isinstance(error, (RepositoryNotFoundError, HFValidationError)):
        return "does not exist, or HF_TOKEN may not read it"
    if isinstance(error, EntryNotFoundError) and not isinstance(error, LocalEntryNotFoundError):
        return _NOT_A_PIPELINE
    if isinstance(error, (HfHubHTTPError, LocalEntryNotFoundError)):
        # huggingface_hub reports some HTTP errors as "not in the cache"
        response = getattr(error if isinstance(error, HfHubHTTPError) else error.__cause__, "response", None)
        return f"cannot be downloaded: {_explain_status(getattr(response, 'status_code', None), token)}"
    return _explain_broken(error)


def _explain_broken(error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError):
        return f"needs the Python module {error.name}: install it, or add its folder to PYTHONPATH"
    if isinstance(error, FileNotFoundError) and error.filename:
        return f"is not complete: the file {'/'.join(Path(error.filename).parts[-2:])} is missing"
    logger.error("DIARIZATION_MODEL cannot be loaded", exc_info=error)
    return "is not a pyannote pipeline: see the log"


def _explain_status(code: int | None, token: str | None) -> str:
    if code == 401:
        return "HF_TOKEN is not valid" if token else "set HF_TOKEN"
    return "HF_TOKEN may not read it" if code == 403 else "the Hub cannot be reached"


def _explain_gated(name: str, token: str | None) -> str:
    message = f"is gated: accept the conditions on https://hf.co/{name}"
    if token is None or not token.startswith("hf_"):  # pyannote ignores other tokens
        return f"{message} and set HF_TOKEN (hf_…)"
    return f"{message} with the account of HF_TOKEN"


@contextlib.contextmanager
def preserve_global_state() -> Iterator[None]:
    """Restore the TF32 flags of torch afterwards, and hide warnings.

    pyannote turns TF32 off for the whole process, which would slow Whisper down.
    """
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            matmul.allow_tf32, cudnn.allow_tf32 = before


def _progress_hook(context: RequestContext, duration: float) -> Callable[..., None]:
    """Return a hook for pyannote that reports the progress in seconds of audio."""

    def hook(step: str, *_: object, total: int | None = None, completed: int | None = None, **__: object) -> None:
        if step == "discrete_diarization":
            context.report_progress("diarize", duration, duration)
        elif step in _STEPS and total and completed is not None:
            done, share = _STEPS[step]
            context.report_progress("diarize", duration * (done + share * min(completed / total, 1.0)), duration)
        context.check_cancelled()

    return hook


def read_output(output: Any, counts: Mapping[str, int]) -> Diarization:
    """Return the diarization in a pipeline's output: a DiarizeOutput of pyannote 4 or an Annotation of 3.

    counts: the speaker counts of the request (num_speakers, min_speakers, max_speakers).
    """
    regular = _remove_brief_speakers(_read_annotation(getattr(output, "speaker_diarization", output)), counts)
    labels = dict.fromkeys(turn.speaker for turn in regular)
    names = {label: f"SPEAKER_{number:02}" for number, label in enumerate(labels)}
    turns = [replace(turn, speaker=names[turn.speaker]) for turn in regular]
    annotation = getattr(output, "exclusive_speaker_diarization", None)
    if annotation is None:
        exclusive = exclusive_turns(turns)
    else:
        exclusive = [
            replace(turn, speaker=names[turn.speaker]) for turn in _read_annotation(annotation) if turn.speaker in names
        ]
    return Diarization(tuple(turns), tuple(exclusive), tuple(count_warnings(len(names), counts)))


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
    """Return the tracks of a pyannote.core Annotation as turns, sorted by start."""
    turns = [
        SpeakerTurn(str(label), float(segment.start), float(segment.end))
        for segment, _, label in annotation.itertracks(yield_label=True)
    ]
    return sorted(turns, key=lambda turn: (turn.start, turn.end, turn.speaker))
