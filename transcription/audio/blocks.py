"""Blocks of samples at 16 kHz from frames of any format, with the gaps of the container's clock."""

from collections.abc import Iterable, Iterator
from itertools import chain, pairwise
from typing import TYPE_CHECKING

import numpy as np

from transcription.audio.clock import Clock
from transcription.audio.containers import CLOCKED, GAPLESS
from transcription.audio.limits import check_channels
from transcription.audio.samples import SAMPLE_RATE, Samples

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame

    from transcription.audio.frames import FrameReader


class _Resampler:
    """Resamples frames of one format, rate and layout to 16 kHz."""

    def __init__(self, frame: "AudioFrame") -> None:
        import av

        # Packed samples: PyAV 18 crashes on planar ones of 8 or more channels.
        self._resampler = av.AudioResampler(format="flt", rate=SAMPLE_RATE)
        self._properties = _properties(frame)
        self.channels = frame.layout.nb_channels

    def accepts(self, frame: "AudioFrame") -> bool:
        """Return whether a frame has the format, the rate and the layout of the first."""
        return _properties(frame) == self._properties

    def resample(self, frame: "AudioFrame | None") -> Iterator[Samples]:
        """Yield blocks (channel, time) of a frame, or the last ones for None."""
        if frame is not None:
            frame.pts = None  # or FFmpeg would fill gaps itself
        for block in self._resampler.resample(frame):
            packed = block.to_ndarray().reshape(-1, self.channels)
            yield np.ascontiguousarray(packed.T, dtype=np.float32)


def _properties(frame: "AudioFrame") -> tuple[str, int, str]:
    return frame.format.name, frame.sample_rate, frame.layout.name


def read_blocks(reader: "FrameReader", keep_channels: bool) -> Iterator[Samples]:
    """Yield blocks (channel, time) at 16 kHz. Gaps between timestamps are silence.

    The format, the rate and the channels may change between frames.
    Raises InvalidAudio if there are too many channels.
    """
    container = reader.container
    clock = Clock.of(container) if container.format.name in CLOCKED else None
    resampler: _Resampler | None = None
    frames: Iterable[AudioFrame | None] = chain(reader, [None])
    for frame, following in pairwise(frames):
        assert frame is not None
        gap = clock.gap_before(frame, following) if clock else 0.0
        if resampler and (gap or not resampler.accepts(frame)):
            reader.has_lost |= gap > 0 and container.format.name in GAPLESS
            yield from resampler.resample(None)
            resampler = None
        if not resampler:
            resampler = _Resampler(frame)
            check_channels(resampler.channels, keep_channels)
        if gap:
            yield from _silence(gap, resampler.channels)
        yield from resampler.resample(frame)
    if resampler:
        yield from resampler.resample(None)


def _silence(seconds: float, channels: int) -> Iterator[Samples]:
    """Yield zeros, at most one second at a time, so that the limits are checked before memory is used."""
    for start in range(0, count := round(seconds * SAMPLE_RATE), SAMPLE_RATE):
        yield np.zeros((channels, min(SAMPLE_RATE, count - start)), np.float32)
