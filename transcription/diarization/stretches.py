"""Run a pyannote pipeline over stretches of bounded length, as the memory of one call grows with the recording.

The steps are those of pyannote's SpeakerDiarization (Bredin, Interspeech 2023): segment overlapping chunks, embed the
speakers of each chunk, cluster all embeddings, add the chunks up. The first two see one stretch at a time, and a
stretch begins where a chunk of the whole recording does. So the chunks, the clusters and the turns are those of one
call. Only beyond MAX_CLUSTERED embeddings the clusters are found from every n-th chunk, as a distance matrix of all
pairs grows with the square of the length.
"""

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.spatial.distance import cdist

from transcription.audio import Audio
from transcription.diarization.overlap_add import ChunkGrid, Votes, speaker_votes, to_turns
from transcription.transcript import SpeakerTurn

STRETCH_CHUNKS = 320
"""Chunks of a stretch: 320 s and a bit, as pyannote takes a chunk every second."""
MAX_CLUSTERED = 3000
"""Embeddings that are clustered: their distances take 36 MB. They are those of 35 to 50 minutes."""
MIN_CLEAN_SHARE = 0.2
"""Share of a chunk in which somebody must talk alone for a good embedding, as in pyannote's clustering."""
MIN_VOICE_SHARE = 0.1
"""The same for the voice of a speaker who has no good embedding."""
INACTIVE = -2  # pyannote's cluster of speakers who say nothing

Floats = npt.NDArray[np.floating[Any]]
Integers = npt.NDArray[np.integer[Any]]
Hook = Callable[..., None]


@dataclass(frozen=True)
class Parts:
    """The parts of a pipeline that the stretches need, beside its methods."""

    pipeline: Any
    inference: Any
    frames: Any

    @property
    def is_powerset(self) -> bool:
        """Whether the segmentation says yes or no for each speaker, and no score."""
        return bool(self.inference.model.specifications.powerset)

    def grid(self) -> ChunkGrid:
        """Return where the chunks and the frames lie."""
        return ChunkGrid(self.inference.step, self.inference.duration, self.frames.step, self.frames.duration)


@dataclass(frozen=True)
class Chunks:
    """What is known of the speakers of each chunk. Speakers are numbered anew in each chunk.

    talks: (chunks, frames, speakers): whether somebody talks, 0 or 1.
    scores: the same as a number from 0 to 1, if the segmentation gives one.
    embeddings: (chunks, speakers, dimension); NaN without speech.
    alone: (chunks, speakers): frames in which only this speaker talks.
    active: (chunks, speakers): whether the speaker says anything.
    count: (chunks, frames): number of people who talk.
    """

    talks: npt.NDArray[np.uint8]
    scores: npt.NDArray[np.float16] | None
    embeddings: Floats
    alone: Integers
    active: npt.NDArray[np.bool_]
    count: npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Clustered:
    """The turns of all speakers, and the embedding of each speaker, by label. Labels are in no order."""

    regular: list[SpeakerTurn]
    exclusive: list[SpeakerTurn]
    centroids: dict[str, Floats]


def parts_of(pipeline: Any) -> Parts | None:
    """Return the parts of a SpeakerDiarization pipeline of pyannote 3 or 4; None for pipelines of another kind."""
    methods = ("get_segmentations", "get_embeddings", "clustering", "embedding_exclude_overlap", "segmentation")
    inference = getattr(pipeline, "_segmentation", None)
    model = getattr(inference, "model", None)
    frames = getattr(model, "receptive_field", getattr(pipeline, "_frames", None))  # the second in early versions of 3
    is_usable = (
        all(hasattr(pipeline, name) for name in methods)
        and all(hasattr(inference, name) for name in ("step", "duration"))
        and hasattr(getattr(model, "specifications", None), "powerset")
        and hasattr(frames, "step")
        and getattr(pipeline, "instantiated", False)
        and not getattr(pipeline, "training", False)
        and not getattr(pipeline, "preprocessors", None)
        and not getattr(pipeline.clustering, "expects_num_clusters", False)  # KMeans and the oracle
    )
    return Parts(pipeline, inference, frames) if is_usable else None


def chunks_in_stretches(
    parts: Parts, samples: Floats, sample_rate: int, hook: Callable[[int, int], Hook], batch_size: int = 32
) -> Chunks:
    """Return the chunks of a recording (time,), computed in one stretch after the other.

    hook: a function of the start and the end of a stretch, in samples, that returns a hook for pyannote.
    batch_size: a stretch has a multiple of it, so that no batch is small.
    """
    size = batch_size * math.ceil(STRETCH_CHUNKS / batch_size)
    return _joined([
        chunks_of(parts, samples[start:end], sample_rate, hook(start, end))
        for start, end in stretches(len(samples), sample_rate, parts.inference.step, parts.inference.duration, size)
    ])  # fmt: skip


def cluster(parts: Parts, chunks: Chunks, counts: Mapping[str, int]) -> Clustered:
    """Return who speaks when, given the speaker counts of the request."""
    if not chunks.active.any():
        return Clustered([], [], {})
    clusters = np.where(chunks.active, _cluster(parts, chunks, counts), INACTIVE)
    limit = counts.get("num_speakers") or counts.get("max_speakers")
    scores = chunks.talks if chunks.scores is None else chunks.scores
    votes = speaker_votes(parts.grid(), scores, chunks.count, clusters, limit)
    return Clustered(
        _turns(parts, votes),
        _turns(parts, Votes(votes.activations, np.minimum(votes.count, 1))),
        dict(_centroids(chunks, clusters)),
    )


def stretches(length: int, sample_rate: int, step: float, duration: float, size: int) -> Iterator[tuple[int, int]]:
    """Yield the start and the end of each stretch of a recording, in samples.

    length: of the recording, in samples. step, duration: of the chunks, in seconds. size: chunks of a stretch.
    A stretch ends where its last chunk does, so it overlaps the next one by a chunk without a step.
    """
    hop, window = round(step * sample_rate), math.floor(duration * sample_rate)
    count = max(math.ceil((length - window) / hop), 0) + 1  # the last one is padded
    for first in range(0, count, size):
        last = min(first + size, count) - 1
        yield first * hop, min(last * hop + window, length)


def chunks_of(parts: Parts, samples: Floats, sample_rate: int, hook: Hook) -> Chunks:
    """Return the chunks of one stretch."""
    pipeline = parts.pipeline
    file = {"waveform": torch.from_numpy(samples)[None], "sample_rate": sample_rate, "uri": "audio"}
    segmentations = binary = pipeline.get_segmentations(file, hook=hook)
    if not parts.is_powerset:
        from pyannote.audio.utils.signal import binarize

        binary = binarize(segmentations, onset=pipeline.segmentation.threshold, initial_state=False)
    talks = np.nan_to_num(binary.data).astype(np.uint8)
    embeddings = pipeline.get_embeddings(file, binary, exclude_overlap=pipeline.embedding_exclude_overlap, hook=hook)
    count = talks.sum(axis=2, dtype=np.uint8)
    return Chunks(
        talks=talks,
        scores=None if parts.is_powerset else segmentations.data.astype(np.float16),
        embeddings=np.asarray(embeddings, np.float32),
        alone=(talks * (count == 1)[..., None]).sum(axis=1, dtype=np.int32),
        active=talks.any(axis=1),
        count=count,
    )


def embed_pieces(parts: Parts, audio: Audio, chunks: Chunks, seconds: float, hook: Hook) -> Floats:
    """Return the embedding of each piece of the speech in a short recording: (pieces, dimension).

    seconds: of speech in a piece, at least. Speech of several people at once is left out.
    """
    from pyannote.core import SlidingWindow, SlidingWindowFeature

    duration, frames = parts.inference.duration, chunks.talks.shape[1]
    masks = []
    for count in chunks.count[:: round(duration / parts.inference.step)]:  # chunks that do not overlap
        speech = np.flatnonzero(count == 1)
        number = int(len(speech) * duration / frames / seconds)
        mask = np.zeros((frames, int(duration / seconds)), np.float32)
        for at, piece in enumerate(np.array_split(speech, number) if number else []):
            mask[piece, at] = 1
        masks.append(mask)
    file = {"waveform": torch.from_numpy(audio.samples)[None], "sample_rate": audio.sample_rate, "uri": "audio"}
    window = SlidingWindow(start=0.0, step=duration, duration=duration)
    pieces = SlidingWindowFeature(np.stack(masks), window)
    embeddings = np.asarray(parts.pipeline.get_embeddings(file, pieces, exclude_overlap=False, hook=hook))
    is_used = pieces.data.any(axis=1) & ~np.isnan(embeddings).any(axis=2)
    return np.asarray(embeddings[is_used])


def _joined(parts: Sequence[Chunks]) -> Chunks:
    """Return the chunks of all stretches."""
    scores = [part.scores for part in parts if part.scores is not None]
    return Chunks(
        talks=np.concatenate([part.talks for part in parts]),
        scores=np.concatenate(scores) if scores else None,
        embeddings=np.concatenate([part.embeddings for part in parts]),
        alone=np.concatenate([part.alone for part in parts]),
        active=np.concatenate([part.active for part in parts]),
        count=np.concatenate([part.count for part in parts]),
    )


def _cluster(parts: Parts, chunks: Chunks, counts: Mapping[str, int]) -> Integers:
    """Return the cluster of each speaker of each chunk: (chunks, speakers)."""
    from pyannote.core import SlidingWindow, SlidingWindowFeature

    clustering = parts.pipeline.clustering
    every = max(math.ceil(int(_is_good(chunks).sum()) / MAX_CLUSTERED), 1)
    window = SlidingWindow(start=0.0, step=parts.inference.step * every, duration=parts.inference.duration)
    number = counts.get("num_speakers")
    with _cluster_size_of(clustering, every):
        clusters, _, centroids = clustering(
            embeddings=chunks.embeddings[::every].copy(),  # it scales some in place
            segmentations=SlidingWindowFeature(chunks.talks[::every].astype(np.float32), window),
            num_clusters=number,
            min_clusters=number or counts.get("min_speakers") or 1,
            max_clusters=number or counts.get("max_speakers") or np.inf,
        )
    if every == 1:
        return np.asarray(clusters)
    similarity = 2 - cdist(chunks.embeddings.reshape(-1, chunks.embeddings.shape[2]), centroids, clustering.metric)
    similarity = similarity.reshape(*chunks.active.shape, -1)
    if getattr(clustering, "constrained_assignment", False) and number is None:
        similarity[~chunks.active] = np.nanmin(similarity) - 1
        return np.asarray(clustering.constrained_argmax(similarity))
    return np.asarray(np.argmax(similarity, axis=2))


@contextlib.contextmanager
def _cluster_size_of(clustering: Any, every: int) -> Iterator[None]:
    """Scale the smallest size of a cluster, as only every n-th chunk is clustered."""
    size = getattr(clustering, "min_cluster_size", None)
    if every == 1 or size is None:
        yield
        return
    clustering.min_cluster_size = max(round(size / every), 1)
    try:
        yield
    finally:
        clustering.min_cluster_size = size


def _is_good(chunks: Chunks, min_share: float = MIN_CLEAN_SHARE) -> npt.NDArray[np.bool_]:
    """Return whether the speaker talks alone for long enough: (chunks, speakers)."""
    is_long = chunks.alone >= min_share * chunks.talks.shape[1]
    return np.asarray(is_long & ~np.isnan(chunks.embeddings).any(axis=2))


def _centroids(chunks: Chunks, clusters: Integers) -> Iterator[tuple[str, Floats]]:
    """Yield the label and the mean embedding of each speaker who talks alone for long enough."""
    is_good, is_usable = _is_good(chunks), _is_good(chunks, MIN_VOICE_SHARE)
    for speaker in np.unique(clusters[is_usable & (clusters >= 0)]):
        is_speaker = clusters == speaker
        embeddings = chunks.embeddings[is_speaker & (is_good if (is_speaker & is_good).any() else is_usable)]
        lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
        yield _label(speaker), (embeddings / np.maximum(lengths, 1e-9)).mean(axis=0)


def _turns(parts: Parts, votes: Votes) -> list[SpeakerTurn]:
    min_gap = float(parts.pipeline.segmentation.min_duration_off)
    return [SpeakerTurn(_label(speaker), start, end) for speaker, start, end in to_turns(parts.grid(), votes, min_gap)]


def _label(speaker: int) -> str:
    return f"SPEAKER_{speaker:03}"
