"""Add the overlapping chunks of a diarization up to turns: the last steps of pyannote's SpeakerDiarization.

A frame of the recording lies in several chunks. The number of people who talk in it is the rounded mean over the
chunks, and those with the most votes of the chunks are the people. Only arrays of (frames, speakers) are kept.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

_BLOCK_FRAMES = 65_536


@dataclass(frozen=True)
class ChunkGrid:
    """Where the chunks and the frames of a recording lie. All values are seconds."""

    chunk_step: float
    chunk_duration: float
    frame_step: float
    frame_duration: float

    def first_frame(self, chunk: int) -> int:
        """Return the first frame of a chunk."""
        return int(np.rint(chunk * self.chunk_step / self.frame_step))

    def frames(self, chunks: int) -> int:
        """Return the number of frames of a recording with so many chunks."""
        end = self.chunk_duration + (chunks - 1) * self.chunk_step
        return int(np.rint(end / self.frame_step)) + 1

    def middle(self, frame: int) -> float:
        """Return the time of the middle of a frame."""
        start = frame * self.frame_step
        return 0.5 * (start + (start + self.frame_duration))  # rounded as pyannote rounds it


@dataclass(frozen=True)
class Votes:
    """For each frame the votes of the chunks for each speaker (frames, speakers), and the number of people who talk."""

    activations: npt.NDArray[np.float32]
    count: npt.NDArray[np.uint8]

    def winners(self) -> npt.NDArray[np.bool_]:
        """Return whether each speaker talks in each frame: (frames, speakers)."""
        talks = np.zeros(self.activations.shape, bool)
        for start in range(0, len(talks), _BLOCK_FRAMES):
            block = slice(start, start + _BLOCK_FRAMES)
            order = np.argsort(-self.activations[block], axis=-1)
            is_chosen = np.arange(order.shape[1]) < self.count[block, None]
            np.put_along_axis(talks[block], order, is_chosen, axis=1)
        return talks


def speaker_votes(
    grid: ChunkGrid,
    scores: npt.NDArray[Any],
    count: npt.NDArray[np.uint8],
    clusters: npt.NDArray[np.integer[Any]],
    max_speakers: int | None,
) -> Votes:
    """Return the votes of all chunks.

    scores: (chunks, frames, local speakers). count: (chunks, frames), the number of people who talk.
    clusters: (chunks, local speakers), the speaker in the recording; negative for nobody.
    max_speakers: of a frame.
    """
    chunks, length = count.shape
    frames = grid.frames(chunks)
    activations = np.zeros((frames, int(clusters.max()) + 1), np.float32)
    people, coverage = np.zeros(frames, np.float32), np.zeros(frames, np.float32)
    for number in range(chunks):
        first = grid.first_frame(number)
        part = slice(first, min(first + length, frames))
        size = part.stop - part.start
        people[part] += count[number, :size]
        coverage[part] += 1
        for speaker in np.unique(clusters[number][clusters[number] >= 0]):
            activations[part, speaker] += scores[number, :size, clusters[number] == speaker].max(axis=0)
    total = np.rint(people / np.maximum(coverage, np.float32(1e-12)))
    total = np.minimum(total, np.inf if max_speakers is None else max_speakers).astype(np.uint8)
    missing = max(int(total.max(initial=0)) - activations.shape[1], 0)
    return Votes(np.pad(activations, ((0, 0), (0, missing))), total)


def to_turns(grid: ChunkGrid, votes: Votes, min_gap: float) -> Iterator[tuple[int, float, float]]:
    """Yield the speaker, the start and the end of each turn; a shorter gap within a turn is filled."""
    talks = votes.winners()
    for speaker in range(talks.shape[1]):
        changes = np.flatnonzero(np.diff(talks[:, speaker].astype(np.int8), prepend=0, append=0))
        last: tuple[float, float] | None = None
        for first, end in changes.reshape(-1, 2).tolist():
            turn = grid.middle(first), grid.middle(min(end, len(talks) - 1))
            if last is not None and turn[0] - last[1] < min_gap:
                last = last[0], turn[1]
                continue
            if last is not None:
                yield speaker, *last
            last = turn
        if last is not None and last[1] > last[0]:
            yield speaker, *last
