"""Audio from arrays of numbers."""

from numbers import Integral

import numpy as np

from transcription.audio.limits import MAX_SAMPLE_RATE, MIN_SAMPLE_RATE, AudioLimits, check_channels
from transcription.audio.samples import SAMPLE_RATE, Audio, Mixdown
from transcription.errors import InvalidAudio


def from_array(
    samples: object, sample_rate: object, limits: AudioLimits = AudioLimits(), keep_channels: bool = False
) -> Audio:
    """Return the audio of an array (time,) or (channel, time), resampled from `sample_rate` Hz.

    Raises InvalidAudio, AudioTooLong.
    """
    import librosa  # here, because it is slow to import; FFmpeg resamples files

    if not isinstance(sample_rate, Integral) or not MIN_SAMPLE_RATE <= int(sample_rate) <= MAX_SAMPLE_RATE:
        raise InvalidAudio(f"sampling_rate of an array must be {MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE} Hz")
    rate = int(sample_rate)
    try:
        array = np.atleast_1d(np.asarray(samples, dtype=np.float32))
    except (TypeError, ValueError):
        raise InvalidAudio("the array contains values that are not numbers") from None
    if array.ndim > 2 or not np.isfinite(array).all():
        raise InvalidAudio("the audio contains samples that are not finite numbers")
    if not array.size:
        raise InvalidAudio("the audio is empty: send an audio file")
    limits.check_samples(array.shape[-1], rate)
    channels = np.atleast_2d(array)
    check_channels(len(channels), keep_channels)
    resampled = librosa.resample(channels, orig_sr=rate, target_sr=SAMPLE_RATE)
    mixdown = Mixdown(AudioLimits(), keep_channels)
    mixdown.add(np.ascontiguousarray(resampled, dtype=np.float32))
    return mixdown.audio()
