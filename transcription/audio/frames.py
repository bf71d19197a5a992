"""FrameReader: decodes the frames of one audio stream and goes on after damage."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from transcription.audio.clock import MIN_GAP
from transcription.audio.containers import FILE_DURATION, MATROSKA
from transcription.audio.limits import MAX_SAMPLE_RATE, MIN_SAMPLE_RATE
from transcription.context import RequestContext

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream

MAX_FAILURES = 1_000  # one after the other; about 20 seconds of damaged packets
_MAX_UNREAD = 1_000  # bytes between two packets of Matroska: headers of blocks and clusters are shorter
_TAGS = (b"ID3", b"TAG", b"APETAGEX")  # between or after the frames of mp3 and aac files; no audio is lost


class FrameReader:
    """Decodes the frames of an audio stream, packet by packet, and leaves out what cannot be decoded.

    has_lost: a part of the audio could not be decoded.
    others_end: the last timestamp of the other streams, in seconds, for the containers of FILE_DURATION.
    """

    def __init__(self, container: "InputContainer", stream: "AudioStream", context: RequestContext) -> None:
        """Start at the first packet. The context can cancel the iteration."""
        self.container, self.stream, self.context = container, stream, context
        self.has_lost = False
        self.others_end = 0.0
        self._last: Packet[Stream] | None = None
        self._last_end = 0.0
        self._failures = 0

    def __iter__(self) -> "Iterator[AudioFrame]":
        """Yield the frames that have samples.

        Raises Cancelled.
        """
        for packet in self._packets():
            self.context.check_cancelled()
            for frame in self._decode(packet):
                if frame.samples and frame.layout.nb_channels and _is_rate(frame.sample_rate):
                    self._failures = 0
                    yield frame
                else:
                    self._fail()
            if self._failures > MAX_FAILURES:
                break
        yield from self._flush()

    def _packets(self) -> "Iterator[Packet[Stream]]":
        """Yield packets, and read on after errors of the container."""
        import av

        file_has_duration = self.container.format.name in FILE_DURATION
        streams = list(self.container.streams) if file_has_duration else [self.stream]
        while self._failures <= MAX_FAILURES:
            try:
                for packet in self.container.demux(streams):
                    if file_has_duration and packet.pts is not None:
                        self._inspect(packet)
                    if packet.stream_index == self.stream.index:
                        yield packet
                return
            except av.error.FFmpegError:
                self._fail()
            except IndexError:  # PyAV cannot flush a stream that appeared after the header; all packets were read
                return

    def _inspect(self, packet: "Packet[Stream]") -> None:
        """Note the time of a packet, and whether FFmpeg has silently left out a damaged part of a Matroska file.

        That is a jump of the clock at which bytes are left out, too.
        """
        time, duration = float((packet.pts or 0) * packet.time_base), float((packet.duration or 0) * packet.time_base)
        if packet.stream_index != self.stream.index:
            self.others_end = max(self.others_end, time + duration)
        else:
            if self._last and self.container.format.name == MATROSKA and time - self._last_end > MIN_GAP:
                unread = (packet.pos or 0) - (self._last.pos or 0) - self._last.size
                self.has_lost |= unread > _MAX_UNREAD
            self._last_end = time + duration
        self._last = packet

    def _decode(self, packet: "Packet[Stream]") -> "list[AudioFrame]":
        import av

        try:
            return self.stream.decode(packet)
        except av.error.EOFError:
            return []
        except av.error.FFmpegError:
            if not bytes(packet).startswith(_TAGS):
                self._fail()
            return []

    def _flush(self) -> "list[AudioFrame]":
        """Return the last frames if the decoder has not returned them yet."""
        import av

        try:
            return self.stream.decode(None)
        except av.error.FFmpegError:
            return []

    def _fail(self) -> None:
        self.has_lost = True
        self._failures += 1


def _is_rate(rate: int) -> bool:
    return MIN_SAMPLE_RATE <= rate <= MAX_SAMPLE_RATE
