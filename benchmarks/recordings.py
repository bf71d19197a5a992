"""Write recordings as strangers send them: in many containers, with gaps in the clock and with video. For tests."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
import numpy.typing as npt

SAMPLE_RATE = 16_000
FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Kind:
    """A kind of file: FFmpeg's names of the container and its codecs, and the sample rate of the file."""

    container: str
    codec: str
    rate: int = SAMPLE_RATE
    video: str = "mpeg4"


KINDS = {
    "wav": Kind("wav", "pcm_s16le"),
    "adpcm": Kind("wav", "adpcm_ms"),
    "w64": Kind("w64", "pcm_s16le"),
    "aiff": Kind("aiff", "pcm_s16be"),
    "au": Kind("au", "pcm_mulaw"),
    "caf": Kind("caf", "pcm_s16le"),
    "voc": Kind("voc", "pcm_s16le"),
    "flac": Kind("flac", "flac"),
    "wv": Kind("wv", "wavpack"),
    "tta": Kind("tta", "tta"),
    "mp3": Kind("mp3", "libmp3lame", 44_100),
    "ogg": Kind("ogg", "libopus", 48_000),
    "aac": Kind("adts", "aac", 44_100),
    "ac3": Kind("ac3", "ac3", 48_000),
    "amr": Kind("amr", "libopencore_amrnb", 8_000),
    "m4a": Kind("ipod", "aac", 44_100),
    "mp4": Kind("mp4", "aac", 48_000),
    "webm": Kind("webm", "libopus", 48_000),
    "mka": Kind("matroska", "libopus", 48_000),
    "mkv": Kind("matroska", "flac", SAMPLE_RATE),
    "flv": Kind("flv", "libmp3lame", 44_100, "flv"),
    "ts": Kind("mpegts", "aac", 48_000, "mpeg2video"),
    "mpeg": Kind("mpeg", "mp2", 44_100, "mpeg2video"),
    "wmv": Kind("asf", "wmav2", 44_100),
    "avi": Kind("avi", "mp2", 44_100),
}
BIT_RATE = 64_000
FRAME_RATE = 25  # of the video


def recording(
    samples: FloatArray,
    kind: str,
    offset: float = 0.0,
    gaps: dict[float, float] | None = None,
    video_seconds: float = 0.0,
) -> bytes:
    """Return the bytes of a file of one of KINDS.

    samples: (time,) or (2 channels, time) at 16 kHz. offset: seconds of the file's clock at which the audio begins.
    gaps: {seconds of audio: seconds that the clock jumps there}.
    video_seconds: of grey pictures, in a container that can hold video.
    """
    settings, file = KINDS[kind], io.BytesIO()
    samples = np.atleast_2d(samples)
    layout = "stereo" if len(samples) == 2 else "mono"
    with av.open(file, "w", format=settings.container) as container:
        video: Any = None
        if video_seconds:
            video = container.add_stream(settings.video, rate=FRAME_RATE)
            video.width, video.height, video.pix_fmt = 64, 64, "yuv420p"
        audio: Any = container.add_stream(settings.codec, rate=settings.rate, layout=layout)
        if settings.codec != "libopencore_amrnb":  # it has bit rates of its own
            audio.bit_rate = BIT_RATE
        packets = [*_audio_packets(audio, samples, layout, offset, gaps or {})]
        packets += _video_packets(video, video_seconds) if video else []
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            container.mux(packet)
    return file.getvalue()


def sphere(samples: FloatArray) -> bytes:
    """Return a NIST SPHERE file, as TIMIT and the LDC have it."""
    fields = f"channel_count -i 1\nsample_rate -i {SAMPLE_RATE}\nsample_n_bytes -i 2\nsample_byte_format -s2 01\n"
    fields += f"sample_count -i {len(samples)}\nsample_coding -s3 pcm\nend_head\n"
    return f"NIST_1A\n   1024\n{fields}".encode().ljust(1024) + (samples * 32767).astype("<i2").tobytes()


def _audio_packets(
    stream: Any, samples: FloatArray, layout: str, offset: float, gaps: dict[float, float]
) -> Iterator[Any]:
    """Yield encoded packets with the times of the file's clock."""
    resampler = av.AudioResampler(
        stream.format.name, layout, stream.rate, frame_size=stream.codec_context.frame_size or 1024
    )
    integers = np.ascontiguousarray((samples.clip(-1, 1) * 32767).astype(np.int16))
    frame = av.AudioFrame.from_ndarray(integers, format="s16p", layout=layout)
    frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, 0, Fraction(1, SAMPLE_RATE)
    ready = [*resampler.resample(frame), *resampler.resample(None)]
    packets = [packet for one in ready for packet in stream.encode(one)] + stream.encode(None)
    for packet in packets:
        seconds = float(packet.pts * packet.time_base)
        shift = offset + sum(jump for at, jump in gaps.items() if seconds >= at)
        packet.pts += round(shift / packet.time_base)
        packet.dts = packet.pts
        yield packet


def _video_packets(stream: Any, seconds: float) -> Iterator[Any]:
    for index in range(round(seconds * FRAME_RATE)):
        frame = av.VideoFrame.from_ndarray(np.full((96, 64), 128, np.uint8), format="yuv420p")
        frame.pts, frame.time_base = index, Fraction(1, FRAME_RATE)
        yield from stream.encode(frame)
    yield from stream.encode(None)
