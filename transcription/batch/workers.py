"""Transcribe many recordings with Ray Data: a pool of workers, each with its own models."""

import json
import logging
import shutil
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from tempfile import SpooledTemporaryFile
from typing import Any

import ray
from ray.data import ActorPoolStrategy, DataContext
from ray.exceptions import RayError

from transcription.audio import Audio, load_audio
from transcription.batch.filesystems import open_recording
from transcription.batch.recording import Recording
from transcription.config import InferenceConfig, ModelSettings
from transcription.errors import InvalidAudio, InvalidSettings, TranscriptionError
from transcription.formats import FORMATS, Document, to_chunks
from transcription.transcriber import Transcriber, as_engine_failure
from transcription.transcript import Transcript

logger = logging.getLogger(__name__)
_MAX_BYTES_IN_MEMORY = 64 * 1024 * 1024  # larger recordings are read into a temporary file
_MAX_BLOCKS = 10_000  # recordings in one dataset; each is a block, so that its result comes as soon as it is done
_MAX_RETRIES = 2  # of a recording whose worker crashed


@dataclass(frozen=True)
class WorkerPool:
    """Number of workers, and the resources of each. recordings_per_worker: at the same time."""

    min_workers: int = 1
    max_workers: int = 1
    gpus: float = 0.0
    cpus: float = 1.0
    recordings_per_worker: int = 8


@dataclass(frozen=True)
class Outcome:
    """Result of one recording: the endpoint's answer and the documents by extension, or an error."""

    recording: Recording
    answer: dict[str, Any] | None = None
    documents: dict[str, str] | None = None
    error: str | None = None


class Worker:
    """One process with the models. Several threads call it at the same time."""

    def __init__(self, settings: ModelSettings, config: InferenceConfig, formats: Sequence[str]) -> None:
        """Load the models. If that fails, every call returns the reason: an exception here would restart the worker."""
        self._requested, self._formats = config, formats
        self._config = reduce(lambda needed, name: FORMATS[name].with_needs(needed), formats, config)
        self._transcriber: Transcriber | InvalidSettings
        try:
            self._transcriber = Transcriber(settings)
        except InvalidSettings as error:
            self._transcriber = error

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return the result of one recording as a row. An error of one recording does not stop the others.

        All values are text or None: Ray drops values whose type differs from that of earlier rows.
        """
        result = dict.fromkeys(("answer", "documents", "error", "load_error")) | {"source": row["source"]}
        if isinstance(self._transcriber, InvalidSettings):
            return result | {"load_error": str(self._transcriber)}
        try:
            with as_engine_failure():
                audio = self._load(json.loads(row["address"]), self._transcriber)
                transcript = replace(self._transcriber.transcribe(audio, self._config), name=row["name"])
                documents = {FORMATS[name].extension: self._render(name, transcript) for name in self._formats}
                answer = to_chunks(self._transcriber.with_requested_words(transcript, self._requested))
        except TranscriptionError as error:
            return result | {"error": str(error)}
        return result | {"answer": json.dumps(answer), "documents": json.dumps(documents)}

    def _render(self, name: str, transcript: Transcript) -> Document:
        return FORMATS[name].render(transcript, self._config)

    def _load(self, address: str, transcriber: Transcriber) -> Audio:
        with SpooledTemporaryFile(_MAX_BYTES_IN_MEMORY) as file:
            try:
                with open_recording(address) as source:
                    shutil.copyfileobj(source, file)
            except FileNotFoundError:
                raise InvalidAudio("the file does not exist") from None
            except Exception as error:  # of any file system
                logger.warning("a recording cannot be read", exc_info=error)
                raise InvalidAudio(f"the file cannot be read: {type(error).__name__}") from None
            file.seek(0)
            return load_audio(file, transcriber.limits, self._config.multichannel)


def transcribe_recordings(
    recordings: Sequence[Recording], settings: ModelSettings, config: InferenceConfig, formats: Sequence[str],
    pool: WorkerPool,
) -> Iterator[Outcome]:  # fmt: skip
    """Yield the outcome of every recording, in the order in which they are done.

    When a worker crashes, the other recordings that it was working on fail with it. All of them are therefore tried
    again, one at a time. Raises InvalidSettings if the models cannot be loaded.
    """
    for first in range(0, len(recordings), _MAX_BLOCKS):
        pending = {recording.source: recording for recording in recordings[first : first + _MAX_BLOCKS]}
        for recordings_per_worker in (pool.recordings_per_worker, 1):
            if not pending:
                break
            for row in _rows(list(pending.values()), (settings, config, formats), pool, recordings_per_worker):
                if row["load_error"] is not None:
                    raise InvalidSettings(row["load_error"])
                recording = pending.pop(row["source"])
                if row["error"] is not None:
                    yield Outcome(recording, error=row["error"])
                else:
                    yield Outcome(recording, json.loads(row["answer"]), json.loads(row["documents"]))
        for recording in pending.values():
            yield Outcome(recording, error="the worker crashed on this file; see its log")


def _rows(
    recordings: Sequence[Recording], arguments: tuple[Any, ...], pool: WorkerPool, recordings_per_worker: int
) -> Iterator[dict[str, Any]]:  # fmt: skip
    """Yield the row of each recording, except of those whose workers kept crashing. Raises InvalidSettings."""
    _configure_ray_data()
    rows = ray.data.from_items(
        # The address is JSON because Ray cannot store a file name that is not UTF-8.
        [{"source": one.source, "name": one.name, "address": json.dumps(one.address)} for one in recordings],
        override_num_blocks=len(recordings),
    )
    worker: Any = Worker  # Ray's types expect a function
    strategy = ActorPoolStrategy(
        min_size=pool.min_workers, max_size=pool.max_workers, max_concurrent_calls_per_actor=recordings_per_worker,
        enable_true_multi_threading=True,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray announces that max_task_retries will be renamed, but has no new name yet
        results = rows.map(
            worker, fn_constructor_args=arguments, num_cpus=pool.cpus, num_gpus=pool.gpus, compute=strategy,
            max_task_retries=_MAX_RETRIES,
        )  # fmt: skip
    try:
        # Not iter_rows(): its threads outlive a run that ends early, and Ray ends the process if they call it after
        # ray.shutdown().
        for bundle in results.iter_internal_ref_bundles():
            for block in ray.get(bundle.block_refs):
                yield from block.to_pylist()
    except RayError:
        logger.exception("the workers failed")
        raise InvalidSettings("Ray cannot run the workers; see the log") from None


def _configure_ray_data() -> None:
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.max_errored_blocks = -1
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
