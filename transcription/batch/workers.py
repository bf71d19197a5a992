"""Many recordings at once, over Ray Data: each is read, decoded and transcribed by a worker that has room."""

import json
import logging
import shutil
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from typing import Any

import ray
from ray.data import ActorPoolStrategy, DataContext
from ray.exceptions import RayError

from transcription.audio import load_audio
from transcription.batch.sources import Recording, opened
from transcription.config import InferenceConfig, ModelSettings
from transcription.errors import InvalidAudio, InvalidSettings, TranscriptionError
from transcription.formats import FORMATS, to_chunks
from transcription.transcriber import Transcriber, as_engine_failure
from transcription.transcript import Transcript

logger = logging.getLogger(__name__)
_IN_MEMORY = 64 * 1024 * 1024  # bytes of a recording before it goes to disk
_BLOCKS = 10_000  # recordings that Ray Data has before it: each is by itself, so that it is told when it is done
_TRIES = 2  # how often a recording is tried again after its worker died


@dataclass(frozen=True)
class Workers:
    """How many there are, what each needs of a machine, and how many recordings it has at a time."""

    least: int = 1
    most: int = 1
    gpus: float = 0.0
    cpus: float = 1.0
    together: int = 8


@dataclass(frozen=True)
class Outcome:
    """What came of a recording: the endpoint's answer and documents by their extension, or an error."""

    recording: Recording
    answer: dict[str, Any] | None = None
    documents: dict[str, str] | None = None
    error: str | None = None


class Worker:
    """One process with the models; several threads call it at once."""

    def __init__(self, settings: ModelSettings, config: InferenceConfig, formats: Sequence[str]) -> None:
        """Models that cannot be loaded are said with the first recording: Ray would start the worker anew."""
        self._config, self._formats = config, formats
        self._transcriber: Transcriber | InvalidSettings
        try:
            self._transcriber = Transcriber(settings)
        except InvalidSettings as error:
            self._transcriber = error

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """What came of the recording in a row: what goes wrong with one stops no other.

        Everything is text: of rows in other shapes than the first ones have, Ray would lose what does not fit.
        """
        told: dict[str, Any] = {
            "source": row["source"],
            "answer": None,
            "documents": None,
            "error": None,
            "refusal": None,
        }
        if isinstance(self._transcriber, InvalidSettings):
            return told | {"refusal": str(self._transcriber)}
        try:
            with as_engine_failure():
                transcript = self._heard(json.loads(row["address"]), self._transcriber)
                documents = {FORMATS[name].extension: FORMATS[name].render(transcript) for name in self._formats}
        except TranscriptionError as error:
            return told | {"error": str(error)}
        return told | {"answer": json.dumps(to_chunks(transcript)), "documents": json.dumps(documents)}

    def _heard(self, address: str, transcriber: Transcriber) -> Transcript:
        with SpooledTemporaryFile(_IN_MEMORY) as file:
            try:
                with opened(address) as source:
                    shutil.copyfileobj(source, file)
            except FileNotFoundError:
                raise InvalidAudio("it is not there") from None
            except Exception as error:  # of any file system
                logger.warning("a recording cannot be read", exc_info=error)
                raise InvalidAudio(f"it cannot be read: {type(error).__name__}") from None
            file.seek(0)
            audio = load_audio(file, transcriber.limits, self._config.multichannel)
        return transcriber.transcribe(audio, self._config)


def transcribed(
    recordings: Sequence[Recording], settings: ModelSettings, config: InferenceConfig, formats: Sequence[str],
    workers: Workers,
) -> Iterator[Outcome]:  # fmt: skip
    """Every recording's outcome, as it comes. Raises InvalidSettings where the models cannot be loaded.

    A recording that kills its worker takes along what else that has: those are done again, one at a time.
    """
    for first in range(0, len(recordings), _BLOCKS):
        waiting = {recording.source: recording for recording in recordings[first : first + _BLOCKS]}
        for together in (workers.together, 1):
            if not waiting:
                break
            for row in _rows(list(waiting.values()), Worker, (settings, config, formats), workers, together):
                if row["refusal"] is not None:
                    raise InvalidSettings(row["refusal"])
                recording = waiting.pop(row["source"])
                if row["error"] is not None:
                    yield Outcome(recording, error=row["error"])
                else:
                    yield Outcome(recording, json.loads(row["answer"]), json.loads(row["documents"]))
        for recording in waiting.values():
            yield Outcome(recording, error="the worker dies on it: its log says why")


def _rows(
    recordings: Sequence[Recording], worker: type[Any], arguments: tuple[Any, ...], workers: Workers, together: int
) -> Iterator[dict[str, Any]]:  # fmt: skip
    """A row for each recording on which no worker died too often. Raises InvalidSettings."""
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.max_errored_blocks = -1
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    rows = ray.data.from_items(
        # Addresses as JSON: Ray has no room for a name that is not UTF-8.
        [{"source": one.source, "address": json.dumps(one.address)} for one in recordings],
        override_num_blocks=len(recordings),
    )
    pool = ActorPoolStrategy(
        min_size=workers.least, max_size=workers.most, max_concurrent_calls_per_actor=together,
        enable_true_multi_threading=True,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray wants to name this one otherwise, and has no other name yet
        outcomes = rows.map(
            worker, fn_constructor_args=arguments, num_cpus=workers.cpus, num_gpus=workers.gpus, compute=pool,
            max_task_retries=_TRIES,
        )  # fmt: skip
    try:
        # Not iter_rows: its threads outlive a run that is left in the middle, and one that asks Ray for something after
        # Ray has ended makes Ray end the process.
        for bundle in outcomes.iter_internal_ref_bundles():
            for block in ray.get(bundle.block_refs):
                yield from block.to_pylist()
    except RayError:
        logger.exception("the workers failed")
        raise InvalidSettings("Ray cannot run the workers: the log says why") from None
