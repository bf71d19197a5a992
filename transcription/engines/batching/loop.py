"""The loop: windows of all requests enter the slots, are decoded in one batch, and leave when they are done."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from transcription.audio import Samples
from transcription.engines.batching.jobs import Answer, Job, Window
from transcription.engines.batching.slots import Slots
from transcription.engines.batching.speculation import Speculation
from transcription.errors import EngineFailure
from transcription.whisper.checkpoint import FRAME, SPOKEN, Whisper, needs_fallback

logger = logging.getLogger(__name__)

Encode = Callable[[list[Samples]], Tensor]
_YIELD = 0.8  # how much of a short request's own time others may add to it
_IDLE = 0.5  # seconds without work after which the thread ends, and lets the process end


class Loop:
    """Owns the slots; a thread of its own works while there is work.

    together: windows encoded in one go. encode: windows of samples → encoder states. encode_draft: the same by
    the drafter's encoder, None where it has none of its own.
    """

    def __init__(
        self, whisper: Whisper, slots: Slots, together: int, encode: Encode, encode_draft: Encode | None,
        speculation: Speculation | None,
    ) -> None:  # fmt: skip
        self.whisper, self.slots, self.together = whisper, slots, together
        self.encode, self.encode_draft, self.speculation = encode, encode_draft, speculation
        self.pace = speculation or Speculation(cost=1.0)
        self.rows: list[Window] = []
        self.jobs: list[Job] = []
        self.out_of_memory = 0  # times
        self._unallocated = False
        self.credit = 0.0  # seconds that others may take from short requests
        self._encoding = 0.0  # seconds that a window took
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    # What requests call, from their own threads.

    @contextmanager
    def job(self, job: Job) -> Iterator[Job]:
        """Within, the job is worked on; whoever leaves early has cancelled it."""
        with self._changed:
            self.jobs.append(job)
        try:
            yield job
        finally:
            with self._changed:
                job.cancelled = True
                self._changed.notify()

    def submit(self, window: Window) -> None:
        """Queues a window of a job that is worked on."""
        with self._changed:
            window.job.waiting.append(window)
            self._changed.notify()
            if self._thread is None:
                # Not even where a daemon starts it: a process that ends while torch computes aborts.
                self._thread = threading.Thread(target=self._run, name="whisper", daemon=False)
                self._thread.start()

    # The thread.

    def _run(self) -> None:
        with torch.inference_mode():
            while self._goes_on():
                pass

    def _goes_on(self) -> bool:
        """One turn; False when there is nothing left to do. Whatever fails, nobody is left waiting."""
        try:
            try:
                if not self._has_work():
                    return False
                self._turn()
            except torch.OutOfMemoryError:
                self._shrink()
        except Exception:
            logger.exception("decoding failed")
            self._fail("decoding failed: the log says why")
        return True

    def _has_work(self) -> bool:
        """Waits for some; False when the thread may end."""
        with self._changed:
            self._forget_cancelled()
            while not self.rows and not any(job.waiting for job in self.jobs):
                if not self._changed.wait(_IDLE):
                    self._thread = None
                    return False
                self._forget_cancelled()
            return True

    def _turn(self) -> None:
        if self._unallocated:
            self.slots.resize(1)
            self._unallocated = False
        while entering := self._choose():
            self._admit(entering)
        if self.rows:
            self._retire(self._round())

    def _forget_cancelled(self) -> None:
        self.jobs = [job for job in self.jobs if not job.cancelled]
        for row in reversed(range(len(self.rows))):
            if self.rows[row].job.cancelled:
                self._free(row)
        self._brief_first()

    def _choose(self) -> list[Window]:
        """The windows to encode next: the fewest slots in use first, so that no request waits for another's end."""
        with self._changed:
            brief = any(window.job.brief for window in self.rows)
            chosen: list[Window] = []
            while len(chosen) < self.together and len(self.rows) + len(chosen) < self.slots.decoder.slots:
                ready = [job for job in self.jobs if self._may_enter(job)]
                job = min(ready, key=lambda job: (not job.brief, job.running), default=None)
                if job is None or (brief and not job.brief and not self._afford(self._encoding)):
                    break
                job.running += 1
                job.answers.put(None)
                chosen.append(job.waiting.popleft())
            return chosen

    def _may_enter(self, job: Job) -> bool:
        slots = self.slots.decoder.slots
        kept_free = 0 if job.brief else max(1, slots // 8)  # for whoever comes next
        most = min(job.config.batch_size, max(slots - kept_free, 1))
        return job.may_enter(most, self.together, bool(self.whisper.vocabulary.languages))

    def _afford(self, seconds: float) -> bool:
        if self.credit < seconds:
            return False
        self.credit -= seconds
        return True

    def _language_is_open(self, job: Job) -> bool:
        return job.language is None and bool(self.whisper.vocabulary.languages)

    def _admit(self, entering: list[Window]) -> None:
        """Encodes windows into the next slots, and reads their prompts."""
        began = time.perf_counter()
        first = len(self.rows)
        rows = slice(first, first + len(entering))
        self.rows += entering
        states = self.encode([window.samples for window in entering])
        self.slots.hear(rows, states)
        if any(self._language_is_open(window.job) for window in entering):
            self._detect(rows, entering)
        for window in entering:
            window.language = window.language or window.job.language
            window.prompt = self.whisper.prompt(window.language, window.job.config)
        hidden = self.slots.prefill(rows, [window.prompt for window in entering])
        start = self.whisper.vocabulary.start
        starts = torch.tensor([window.prompt.index(start) for window in entering], device=hidden.device)
        logits = self.slots.decoder.logits(hidden[torch.arange(len(entering), device=hidden.device), starts])
        for row, (window, chance) in enumerate(zip(entering, self.whisper.no_speech(logits), strict=True), first):
            window.no_speech_prob = chance
            self._begin(row, window)
        self._encoding = (time.perf_counter() - began) / len(entering)
        self._brief_first()

    def _detect(self, rows: slice, entering: list[Window]) -> None:
        """The first window that speaks decides its job's language; one that may be silent guesses for itself."""
        start = [[self.whisper.vocabulary.start]] * len(entering)
        logits = self.slots.decoder.logits(self.slots.prefill(rows, start)[:, 0])
        for window, row, silence in zip(entering, logits, self.whisper.no_speech(logits), strict=True):
            if self._language_is_open(window.job):
                window.language, window.job.language_probability = self.whisper.language(row, window.job.config)
                window.job.guess = window.language
                if silence < SPOKEN:
                    window.job.language = window.language

    def _begin(self, row: int, window: Window) -> None:
        self.slots.begin(row, window.prompt, window.job.config.timestamps != "none", window.temperature)

    def _brief_first(self) -> None:
        """Short requests' rows to the front, where they can be stepped without the others."""
        front = 0
        for row, window in enumerate(self.rows):
            if window.job.brief:
                if row != front:
                    self.slots.exchange(row, front)
                    self.rows[row], self.rows[front] = self.rows[front], window
                front += 1

    def _round(self) -> list[int]:
        """One burst of tokens, or one round of drafts, for all rows or for those of short requests: who has ended."""
        rows = min(self.slots.replay.rows(self._due(), self.slots.decoder.slots), len(self.rows))
        count = self._drafts(rows)
        probing = count == 0 and self._should_probe(rows)
        if probing:
            rows, count = 1, 2
        record = any(window.job.config.timestamps == "word" for window in self.rows[:rows])
        hot = any(window.temperature > 0 for window in self.rows[:rows])
        began = time.perf_counter()
        if count and self.speculation is not None:
            self._join(rows)
            self.speculation.agreed(self.slots.speculate(rows, count, record, hot), count)
        else:
            self.slots.write(rows, record, hot)
        ended = self.slots.ended(len(self.rows))  # a GPU is waited for here
        seconds = time.perf_counter() - began
        if probing:
            self.pace.probed(seconds)
        else:
            self.pace.measured(rows, count, seconds / (1 if count else self.slots.burst))
        return ended

    def _due(self) -> int:
        """How many of the first rows write now: all, or only short requests' while others would slow them too much."""
        brief = sum(window.job.brief for window in self.rows)
        if brief in (0, len(self.rows)):
            self.credit = 0.0
            return len(self.rows)
        alone = self.pace.seconds(brief, 0)
        if self._afford(max(self.pace.seconds(len(self.rows), 0) - alone, 0.0)):
            return len(self.rows)
        self.credit += _YIELD * alone
        return brief

    def _drafts(self, rows: int) -> int:
        """How many tokens to draft this round: true drafts always, auto while it wins."""
        wishes = {window.job.config.assisted for window in self.rows[:rows]}
        if self.speculation is None or wishes == {False}:
            return 0
        count = self.speculation.choose(rows)
        if True in wishes:
            return count or 2
        return count if wishes == {"auto"} else 0

    def _should_probe(self, rows: int) -> bool:
        return (
            self.speculation is not None
            and self.speculation.should_probe()
            and all(window.job.config.assisted == "auto" for window in self.rows[:rows])
        )

    def _join(self, rows: int) -> None:
        """Lets the drafter hear what it has not heard yet of the first rows."""
        for row in range(rows):
            if not self.slots.heard[row]:
                own = None if self.encode_draft is None else self.encode_draft([self.rows[row].samples])
                self.slots.join(row, own)

    def _retire(self, ended: list[int]) -> None:
        """Rows that are done are answered, or climb the ladder."""
        for row in reversed(ended):
            window = self.rows[row]
            config = window.job.config
            tokens, logprobs = self.slots.written(row, len(window.prompt))
            decoded = self.whisper.score(tokens, logprobs, window.temperature, window.no_speech_prob)
            if needs_fallback(decoded, config) and window.attempt + 1 < len(config.temperature):
                window.attempt += 1
                self._begin(row, window)
                continue
            attention = None
            if config.timestamps == "word":
                frames = -(-len(window.samples) // FRAME)
                attention = self.slots.attention(row, len(window.prompt), len(logprobs), frames)
            window.job.answered += 1
            window.job.answers.put(Answer(window.number, decoded, window.language, attention))
            self._free(row)
        self._brief_first()

    def _free(self, row: int) -> None:
        """Takes a row out; the last one takes its place."""
        window, last = self.rows[row], len(self.rows) - 1
        if row != last:
            self.slots.move(last, row)
            self.rows[row] = self.rows[last]
        self.rows.pop()
        window.job.running -= 1

    def _shrink(self) -> None:
        """Half the slots, after the device ran out of memory; what was in them starts again."""
        self.out_of_memory += 1
        slots = self.slots.decoder.slots
        with self._changed:
            for window in reversed(self.rows):
                window.attempt = 0
                window.job.running -= 1
                window.job.waiting.appendleft(window)
            self.rows = []
        while slots > 1:
            slots //= 2
            logger.warning("out of memory: going on with %d slots", slots)
            try:
                self.slots.resize(slots)
                return
            except torch.OutOfMemoryError:
                continue
        self._unallocated = True  # until the next request finds some
        self._fail("the device's memory is too small for one window")

    def _fail(self, why: str) -> None:
        """Everyone who is worked on is told."""
        with self._changed:
            for job in self.jobs:
                job.cancelled = True
                job.answers.put(EngineFailure(why))
            for window in self.rows:
                window.job.running -= 1
            self.jobs, self.rows = [], []
