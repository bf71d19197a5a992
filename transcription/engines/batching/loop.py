"""DecodingLoop: the thread that runs the model. It encodes, prefills, steps and retires the windows in the batch."""

import logging
import threading
import time
from collections.abc import Callable

import torch

from transcription.engines.batching.languages import LanguageDetector
from transcription.engines.batching.row import DecodedWindow, Row
from transcription.engines.batching.scheduler import Quota, Scheduler
from transcription.engines.batching.slots import Slots
from transcription.engines.batching.speculation import Speculation
from transcription.engines.batching.token_reader import TokenReader
from transcription.engines.batching.window import Window
from transcription.engines.batching.window_encoder import WindowEncoder
from transcription.errors import EngineFailure
from transcription.whisper.checkpoint import Whisper
from transcription.whisper.decoding_result import follows_prompt, needs_fallback

logger = logging.getLogger(__name__)


class DecodingLoop:
    """Owns the slots. Its thread runs while there is work."""

    def __init__(
        self, whisper: Whisper, slots: Slots, encoder: WindowEncoder, encode_batch: int,
        speculation: Speculation | None, on_decoded: Callable[[Window, DecodedWindow], None],
    ) -> None:  # fmt: skip
        """Prepare the loop; its thread starts with the first window.

        encode_batch: windows per call of the encoder. on_decoded: called for each window that is done; it must return
        at once.
        """
        self.whisper, self.slots, self.encoder = whisper, slots, encoder
        self.encode_batch, self.speculation = encode_batch, speculation
        self.timing = speculation or Speculation(draft_cost=1.0)
        self.rows: list[Row] = []
        self.out_of_memory = 0
        self.idle_seconds = 0.5  # without work, after which the thread ends, so that the process can end
        self.scheduler = Scheduler(self._quota(), whisper.detects_language)
        self._languages, self._reader = LanguageDetector(whisper, slots), TokenReader(whisper, slots)
        self._on_decoded = on_decoded
        self._has_slots = True
        self._encode_seconds = 0.0  # per window
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def submit(self, window: Window) -> None:
        """Queue a window, from any thread. Cancelling its future frees its slot."""
        with self._changed:
            self.scheduler.add(window)
            self._changed.notify()
            if self._thread is None:
                # Not a daemon, also if a daemon starts it: a process that ends while torch computes aborts.
                self._thread = threading.Thread(target=self._run, name="whisper", daemon=False)
                self._thread.start()

    @property
    def is_idle(self) -> bool:
        """Whether no window waits or is being decoded."""
        with self._changed:
            return self.scheduler.is_idle()

    def _quota(self) -> Quota:
        slots = self.slots.decoder.slots  # an eighth is for the next short request
        return Quota(total=slots, long=max(slots - max(1, slots // 8), 1), first=self.encode_batch)

    def _run(self) -> None:
        with torch.inference_mode():
            while self._run_once():
                pass

    def _run_once(self) -> bool:
        """Do one turn, and return whether there may be more. Whatever fails, no window is left waiting."""
        try:
            try:
                if not self._wait_for_work():
                    return False
                self._turn()
            except torch.OutOfMemoryError:
                self._shrink()
        except Exception:
            logger.exception("decoding failed")
            self._fail_all("decoding failed: see the log")
        return True

    def _wait_for_work(self) -> bool:
        """Wait for work; return False if the thread may end."""
        self._drop_cancelled()
        with self._changed:
            # wait_for looks once more after its time: a window may come just then.
            if self._changed.wait_for(lambda: bool(self.rows) or self.scheduler.has_waiting(), self.idle_seconds):
                return True
            self._thread = None
            return False

    def _turn(self) -> None:
        if not self._has_slots:
            self._resize(1)
        while windows := self._next_windows():
            self._admit([Row(window) for window in windows])
        if self.rows:
            self._retire(self._decode_round())

    def _drop_cancelled(self) -> None:
        for index in reversed(range(len(self.rows))):
            if self.rows[index].window.future.cancelled():
                self._free(index, finished=False)
        self._short_rows_first()

    def _next_windows(self) -> list[Window]:
        """Return the windows to encode next."""
        windows: list[Window] = []
        with self._changed:
            while len(windows) < self.encode_batch:
                window = self.scheduler.next_window(self._encode_seconds)
                if window is None:
                    break
                windows.append(window)
        return windows

    def _admit(self, entering: list[Row]) -> None:
        """Encode windows into the next slots, and read their prompts."""
        began = time.perf_counter()
        first = len(self.rows)
        rows = slice(first, first + len(entering))
        self.rows += entering
        states = self.encoder.write(first, entering)
        if any(self._languages.detects(row) for row in entering):
            self._languages.detect(first, entering, states)
        for row in entering:
            row.language = row.language or row.given_language
            row.context = row.window.request.context_tokens or []
        self._prefill(rows)
        self._return_undecoded(first)
        self._encode_seconds = (time.perf_counter() - began) / len(entering)
        self._short_rows_first()

    def _prefill(self, rows: slice) -> None:
        """Read the prompts of some rows."""
        entering = self.rows[rows]
        for row in entering:
            options = row.window.options
            row.prompt = self.whisper.prompt(row.context, row.language, row.config.task, options.has_timestamps)
            row.prefix = self.whisper.prefix_tokens(options.prefix, row.prompt)
        read = [[*row.prompt, *row.prefix] for row in entering]
        hidden = self.slots.prefill(rows, read, record_alignment=any(row.prefix for row in entering))
        starts = [row.prompt.index(self.whisper.vocabulary.start) for row in entering]
        logits = self.slots.decoder.logits(hidden[list(range(len(entering))), starts])
        for index, (row, probability) in enumerate(
            zip(entering, self.whisper.no_speech_probs(logits), strict=True), rows.start
        ):
            row.no_speech_prob = probability
            self._begin(index, row)

    def _return_undecoded(self, first: int) -> None:
        """Give back the windows from `first` on that are to be cut at a change of language, or have a given text."""
        for index in reversed(range(first, len(self.rows))):
            row = self.rows[index]
            if row.language_changes:
                self._free(index, finished=True)
                row.window.resolve(row.changes())
            elif row.window.options.phrases:
                forced = self._reader.forced(index, row)
                self._free(index, finished=True)
                self._on_decoded(row.window, forced)

    def _begin(self, index: int, row: Row) -> None:
        timed = row.window.options.has_timestamps
        self.slots.begin(index, row.prompt, timed, row.temperature, row.seed, row.beams, row.prefix)

    def _short_rows_first(self) -> None:
        """Move the rows of short requests to the front, so that they can be stepped without the others."""
        front = 0
        for index, row in enumerate(self.rows):
            if row.is_short:
                if index != front:
                    self.slots.swap(index, front)
                    self.rows[index], self.rows[front] = self.rows[front], row
                front += 1

    def _decode_round(self) -> list[int]:
        """Run some steps or one round of speculation, for all rows or the short ones; return which rows have ended."""
        rows = min(self.slots.graphs.round_rows(self._rows_to_step(), self.slots.decoder.slots), len(self.rows))
        length = self._draft_length(rows)
        probing = length == 0 and self._should_probe(rows)
        if probing:
            rows, length = 1, 2
        record_alignment = any(row.window.has_word_times for row in self.rows[:rows])
        sample = any(row.temperature > 0 for row in self.rows[:rows])
        began = time.perf_counter()
        if length and self.speculation is not None:
            self._start_assistant(rows)
            began = began if probing else time.perf_counter()
            self.speculation.record_acceptance(self.slots.speculate(rows, length, record_alignment, sample), length)
        else:
            self.slots.step(rows, record_alignment, sample)
        ended = self.slots.ended_rows(len(self.rows))  # this waits for a GPU
        ended += [row for row in range(rows) if row not in ended and self._reader.is_lost(row, self.rows[row])]
        seconds = time.perf_counter() - began
        if probing:
            self.timing.record_probe(seconds)
        else:
            self.timing.record_round(rows, length, seconds / (1 if length else self.slots.steps_per_sync))
        return ended

    def _rows_to_step(self) -> int:
        short, total = sum(row.is_short for row in self.rows), len(self.rows)
        short_seconds, total_seconds = (self.timing.round_seconds(rows, 0) for rows in (max(short, 1), total))
        return self.scheduler.rows_to_step(short, total, short_seconds, total_seconds)

    def _draft_length(self, rows: int) -> int:
        """Return how many tokens to draft in this round: assisted=true always drafts, auto only while it is faster."""
        assisted = {row.config.assisted for row in self.rows[:rows]}
        has_beams = any(row.beams.size > 1 for row in self.rows[:rows])
        if self.speculation is None or assisted == {False} or has_beams:
            return 0
        length = self.speculation.choose_draft_length(rows)
        if True in assisted:
            return length or 2
        return length if assisted == {"auto"} else 0

    def _should_probe(self, rows: int) -> bool:
        return (
            self.speculation is not None
            and self.speculation.should_probe()
            and all(row.config.assisted == "auto" and row.beams.size == 1 for row in self.rows[:rows])
        )

    def _start_assistant(self, rows: int) -> None:
        """Give the windows of the first rows to the assistant, unless it has them."""
        for index in range(rows):
            if not self.slots.assistant_ready[index]:
                began = time.perf_counter()
                self.encoder.start_assistant(index, self.rows[index])
                self.timing.record_start(time.perf_counter() - began)

    def _retire(self, ended: list[int]) -> None:
        """Finish the rows that have ended, or begin them again at the next temperature."""
        for index in reversed(ended):
            row = self.rows[index]
            result = self._reader.result(index, row)
            if row.context and follows_prompt(result, row.context[1:], row.config):
                row.with_context, row.context = self._reader.decoded(index, row, result), []
                self.slots.forget_prompt(index)
                self._prefill(slice(index, index + 1))
            elif needs_fallback(result, row.config) and row.has_next_temperature:
                row.failed.append(self._reader.decoded(index, row, result))
                row.attempt += 1
                self._begin(index, row)
            else:
                decoded = row.choose(self._reader.decoded(index, row, result))
                self._free(index, finished=True)
                self._on_decoded(row.window, decoded)
        self._short_rows_first()

    def _free(self, index: int, finished: bool) -> None:
        """Take a row out; the last row takes its place."""
        row, last = self.rows[index], len(self.rows) - 1
        if index != last:
            self.slots.move(last, index)
            self.rows[index] = self.rows[last]
        self.rows.pop()
        with self._changed:
            self.scheduler.release(row.window, finished)

    def _shrink(self) -> None:
        """Halve the slots after the device ran out of memory; the windows in them start again."""
        self.out_of_memory += 1
        slots = self.slots.decoder.slots
        with self._changed:
            for row in reversed(self.rows):
                self.scheduler.requeue(row.window)
            self.rows = []
        while slots > 1:
            slots //= 2
            logger.warning("out of memory: going on with %d slots", slots)
            try:
                self._resize(slots)
                return
            except torch.OutOfMemoryError:
                continue
        self._has_slots = False  # the next request tries again
        self._fail_all("the device's memory is too small for one window")

    def _resize(self, slots: int) -> None:
        self.slots.resize(slots)
        self._has_slots = True
        self.scheduler.quota = self._quota()

    def _fail_all(self, message: str) -> None:
        with self._changed:
            self.rows = []
            windows = self.scheduler.clear()
        for window in windows:
            window.fail(EngineFailure(message))
