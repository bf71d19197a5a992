"""Audio: 16 kHz mono float32, decoded from bytes, base64 or arrays.

PyAV (FFmpeg) decodes files block by block, and the limits are checked at every block. So a false header cannot make
the decoder use much memory or time.
"""

from transcription.audio.arrays import from_array
from transcription.audio.containers import AUDIO_SUFFIXES, DEMUXERS
from transcription.audio.decode import decode_audio, read_file
from transcription.audio.inputs import decode_base64, load_audio
from transcription.audio.limits import MAX_CHANNELS, MAX_SAMPLE_RATE, MIN_SAMPLE_RATE, AudioLimits
from transcription.audio.samples import SAMPLE_RATE, Audio, Samples

__all__ = [
    "AUDIO_SUFFIXES",
    "DEMUXERS",
    "MAX_CHANNELS",
    "MAX_SAMPLE_RATE",
    "MIN_SAMPLE_RATE",
    "SAMPLE_RATE",
    "Audio",
    "AudioLimits",
    "Samples",
    "decode_audio",
    "decode_base64",
    "from_array",
    "load_audio",
    "read_file",
]
