"""Requests as windows: cut, decoded at a desk, joined in order."""

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, closing
from typing import Protocol

from transcription.audio import SAMPLE_RATE, Audio
from transcription.config import InferenceConfig
from transcription.context import RequestContext
from transcription.engines.batching.jobs import BRIEF, Answer, Heard, Job, Window
from transcription.errors import Cancelled
from transcription.transcript import Segment, Transcript
from transcription.vad.chunking import Chunk, windows
from transcription.whisper.capabilities import Capabilities

_AHEAD = 4  # windows of one request that wait for a slot


class Desk(Protocol):
    """Where windows are decoded: the loop of this process, or replicas in others."""

    def job(self, job: Job) -> AbstractContextManager[Job]:
        """Within, the job is worked on; whoever leaves early has cancelled it."""
        ...

    def submit(self, window: Window) -> None:
        """Queues a window of a job that is worked on; its job's `answers` tell of it."""
        ...


Read = Callable[[Answer | Heard, Window], Heard]
"""What a desk's answer to a window says."""


class Requests:
    """Audio in, transcripts out, over a desk that decodes windows. Safe to call from several threads."""

    def __init__(self, desk: Desk, capabilities: Capabilities, read: Read) -> None:
        self.desk, self.capabilities, self._read = desk, capabilities, read

    def transcribe(self, audio: Audio, config: InferenceConfig, context: RequestContext) -> Transcript:
        """What is said in `audio` (16 kHz). Raises InvalidRequest, EngineFailure, Cancelled."""
        brief = audio.duration <= BRIEF * config.chunk_length_s
        job = Job(config, self.capabilities.check(config), brief, eager=context.is_streaming, seconds=audio.duration)
        segments: list[Segment] = []
        said = self._one_by_one(audio, job) if config.sequential else self._windows(audio, job)
        with closing(said), context.on_cancel(lambda: job.answers.put(Cancelled())):
            for cut, heard in said:
                placed = [cut.to_recording_time(segment) for segment in heard.segments]
                segments += placed
                context.report_segments(placed)
                context.report_progress("transcribe", cut.end / SAMPLE_RATE, audio.duration)
        context.report_progress("transcribe", audio.duration, audio.duration)
        return Transcript(
            tuple(segments), job.language or job.guess, audio.duration, config.task, job.language_probability,
            partial=audio.partial,
        )  # fmt: skip

    def _windows(self, audio: Audio, job: Job) -> Generator[tuple[Chunk, Heard], None, None]:
        """Each window with what it says, in order, as soon as it and those before it are done."""
        upcoming = windows(audio.samples, job.config)
        cuts: list[Chunk] = []
        sent: dict[int, Window] = {}
        done: dict[int, Heard] = {}
        entered = told = 0
        with self.desk.job(job):
            while True:
                while len(cuts) < entered + _AHEAD and (cut := next(upcoming, None)) is not None:
                    window = sent[len(cuts)] = Window(job, len(cuts), cut.of(audio.samples))
                    cuts.append(cut)
                    self.desk.submit(window)
                if told == len(cuts):
                    return
                answer = job.answers.get()
                if answer is None:
                    entered += 1
                elif isinstance(answer, Exception):
                    raise answer
                else:
                    done[answer.number] = self._read(answer, sent.pop(answer.number))
                while told in done:
                    yield cuts[told], done.pop(told)
                    told += 1

    def _one_by_one(self, audio: Audio, job: Job) -> Generator[tuple[Chunk, Heard], None, None]:
        """Whisper's sequential algorithm: a window begins where the last finished segment of the one before ends."""
        start, longest = 0, int(job.config.chunk_length_s * SAMPLE_RATE)
        with self.desk.job(job):
            while start < len(audio.samples):
                cut = Chunk(((start, min(start + longest, len(audio.samples))),))
                window = Window(job, start, cut.of(audio.samples))
                self.desk.submit(window)
                heard = self._read(answer_of(job), window)
                yield cut, heard
                start = cut.end if heard.resume is None else start + round(heard.resume * SAMPLE_RATE)


def answer_of(job: Job) -> Answer | Heard:
    """The next answer of a job. Raises what went wrong."""
    while (answer := job.answers.get()) is None:
        pass
    if isinstance(answer, Exception):
        raise answer
    return answer
