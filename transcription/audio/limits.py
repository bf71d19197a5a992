"""AudioLimits, and the checks of bytes, seconds, sample rates and channels."""

from dataclasses import dataclass

from transcription.errors import AudioTooLong, InvalidAudio

MIN_SAMPLE_RATE, MAX_SAMPLE_RATE = 4_000, 384_000
MAX_CHANNELS = 8  # for multichannel
MAX_MIXED_CHANNELS = 64  # FFmpeg's resampler has no more


@dataclass(frozen=True)
class AudioLimits:
    """Limits on the audio of one request. None: no limit."""

    max_bytes: int | None = None
    max_seconds: float | None = None

    def check_bytes(self, count: int) -> None:
        """Raise AudioTooLong if a file has too many bytes."""
        if self.max_bytes is not None and count > self.max_bytes:
            raise AudioTooLong(f"the audio is larger than the {self.max_bytes} bytes allowed here")

    def check_samples(self, count: int, sample_rate: int) -> None:
        """Raise AudioTooLong if `count` samples of one channel last too long."""
        if self.max_seconds is not None and count > round(self.max_seconds * sample_rate):
            raise AudioTooLong(f"the audio is longer than the {self.max_seconds:g} s allowed here")


def check_channels(count: int, keep_channels: bool) -> None:
    """Raise InvalidAudio if there are too many channels."""
    if keep_channels and count > MAX_CHANNELS:
        raise InvalidAudio(f"the audio has {count} channels: multichannel supports up to {MAX_CHANNELS}")
    if count > MAX_MIXED_CHANNELS:
        raise InvalidAudio(f"the audio has {count} channels: send up to {MAX_MIXED_CHANNELS}")
