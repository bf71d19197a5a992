"""Clock: the gaps between the timestamps of a container."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.container import InputContainer

MIN_GAP = 0.1  # seconds. Less is jitter: FFmpeg's aresample has the same limit
MIN_GAP_OF_FLAC = 0.01  # its timestamps are exact
MAX_GAP = 24 * 3600.0  # a longer jump is an error of the clock
MAX_GAP_OF_BROADCASTS = 3600.0  # where FFmpeg allows discontinuities, such as in joined MPEG-TS: a new clock
RESTART = 1.0  # a jump back by more seconds is a new clock
_TS_DISCONT = 0x200  # FFmpeg's AVFMT_TS_DISCONT, a flag of container formats


class Clock:
    """Compares the timestamps of frames with the samples that were decoded."""

    def __init__(self, start: float | None, min_gap: float = MIN_GAP, max_gap: float = MAX_GAP) -> None:
        """Start at the container's start, in seconds. None: at the first timestamp."""
        self._end = start  # the timestamp at which the samples end
        self._min_gap, self._max_gap = min_gap, max_gap

    @classmethod
    def of(cls, container: "InputContainer") -> "Clock":
        """Return the clock of a container. It starts with the earliest of its streams."""
        start = None if container.start_time is None else container.start_time / 1_000_000
        is_broadcast = int(container.format.flags) & _TS_DISCONT
        return cls(
            start,
            MIN_GAP_OF_FLAC if container.format.name == "flac" else MIN_GAP,
            MAX_GAP_OF_BROADCASTS if is_broadcast else MAX_GAP,
        )

    def gap_before(self, frame: "AudioFrame", following: "AudioFrame | None") -> float:
        """Return the seconds of silence before a frame, and go on to the frame's end.

        The following frame must confirm a jump; a single wrong timestamp is ignored.
        """
        duration, time = frame.samples / frame.sample_rate, frame.time
        gap = 0.0
        if time is not None:
            if self._end is None:
                self._end = time
            drift = time - self._end
            if abs(drift) > self._min_gap and _continues(time + duration, following):
                if self._min_gap < drift <= self._max_gap:
                    gap = drift
                elif drift > 0 or drift < -RESTART:
                    self._end = time
        if self._end is not None:
            self._end += gap + duration
        return gap


def _continues(end: float, following: "AudioFrame | None") -> bool:
    """Return whether the following frame begins where a frame ends."""
    return following is None or following.time is None or abs(following.time - end) <= MIN_GAP
