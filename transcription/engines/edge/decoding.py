"""GreedyDecoder: windows in, their tokens out, several windows in each pass of the decoder."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from transcription.engines.batching.languages import (
    FRAMES_PER_SECOND,
    decide_language,
    language_changes,
    may_be_mixed,
    split_evenly,
)
from transcription.engines.batching.window import Window, WindowResult
from transcription.engines.edge.network import Array, Network
from transcription.engines.edge.row import Decoded, Row
from transcription.engines.edge.rules import LogitsRules
from transcription.whisper.checkpoint import Whisper
from transcription.whisper.decoding_result import (
    DecodingResult,
    follows_prompt,
    is_confirmed,
    needs_fallback,
    preference,
)
from transcription.whisper.repetition import LOOP_CHECK


class GreedyDecoder:
    """Decodes windows with Whisper's rules, and again at the next temperature if needed. Not for several threads."""

    def __init__(self, whisper: Whisper, network: Network) -> None:
        """Use the networks of a checkpoint."""
        self._whisper, self._network = whisper, network
        generation = whisper.generation
        self._rules = LogitsRules(
            whisper.vocabulary, whisper.config.vocab_size, list(getattr(generation, "suppress_tokens", None) or []),
            list(getattr(generation, "begin_suppress_tokens", None) or []),
            getattr(generation, "max_initial_timestamp_index", None),
        )  # fmt: skip

    def decode(self, windows: Sequence[Window]) -> list[Row]:
        """Return the rows of the windows that were decoded to their end.

        A window whose language changes is resolved here: it is to be cut. A cancelled one is left out.
        """
        rows = [Row(window, self._network.encode(window.samples)) for window in windows]
        cross = self._cross_memory(rows)
        rows, cross = self._detect_languages(rows, cross)
        for row in rows:
            request = row.window.request
            row.language = row.language or request.language
            row.context = request.context_tokens or []
        decoded: list[Row] = []
        while rows:
            self._attempt(rows, cross)
            decoded += [row for row in rows if row.decoded is not None]
            rows = [row for row in rows if row.decoded is None and not row.window.future.cancelled()]
            cross = self._cross_memory(rows)
        return decoded

    def _cross_memory(self, rows: Sequence[Row]) -> list[Array]:
        """Return the memory of cross-attention. It is large: it is computed again rather than kept for an attempt."""
        return self._network.cross_memory(np.concatenate([row.states for row in rows])) if rows else []

    def _attempt(self, rows: Sequence[Row], cross: list[Array]) -> None:
        """Decode rows at their temperature. Those that are good enough, or have no temperature left, get a result."""
        for row in rows:
            window = row.window
            row.prompt = self._whisper.prompt(
                row.context, row.language, window.request.config.task, window.options.has_timestamps
            )
            row.begin()
        logits, memory, first = self._read_prompts(rows, cross)
        for row, one in zip(rows, self._probabilities(logits), strict=True):
            row.no_speech_prob = one
        live = list(rows)
        while True:
            kept = [at for at, row in enumerate(live) if not (row.has_ended or row.window.future.cancelled())]
            if not kept:
                break
            if len(kept) < len(live):
                live, first = [live[at] for at in kept], first[kept]
                memory, cross = _chosen(memory, kept), _chosen(cross, kept)
            tokens = np.array([[row.tokens[-1]] for row in live], np.int64)
            out = self._network.read(tokens, first, [[0]] * len(live), memory, cross)
            memory = out.memory
            for row, scores, attention in zip(live, out.logits[:, 0], out.attention[:, :, 0], strict=True):
                self._append(row, scores, attention)
        for row in rows:
            if row.has_ended:
                self._finish(row)

    def _read_prompts(
        self, rows: Sequence[Row], cross: Sequence[Array]
    ) -> tuple[Array, list[Array], npt.NDArray[np.int64]]:
        """Read the prompts, and append the first tokens.

        Returns logits (rows, vocabulary) after the start token, the memory, and how far each row is padded.
        """
        longest = max(len(row.prompt) for row in rows)
        first = np.array([longest - len(row.prompt) for row in rows], np.int64)
        tokens = np.array([[0] * (longest - len(row.prompt)) + row.prompt for row in rows], np.int64)
        starts = [row.prompt.index(self._whisper.vocabulary.start) for row in rows]
        wanted = [[int(pad) + start, longest - 1] for pad, start in zip(first, starts, strict=True)]
        out = self._network.read(tokens, first, wanted, self._network.empty_memory(len(rows)), cross)
        start_logits = out.logits[:, 0].copy()  # the rules change the others
        for row, scores, attention in zip(rows, out.logits[:, 1], out.attention[:, :, -1], strict=True):
            self._append(row, scores, attention)
        return start_logits, out.memory, first

    def _append(self, row: Row, logits: Array, attention: Array) -> None:
        temperature = row.temperature
        key = row.key() if temperature > 0 else 0
        token, logprob, row.state = self._rules.pick(logits, row.state, temperature, key)
        row.logprobs.append(logprob)
        if row.window.has_word_times:
            row.attention.append(attention.copy())  # a view would keep that of all rows
        if token == self._rules.end:
            row.has_ended = True
            return
        row.tokens.append(token)
        row.has_ended = len(row.prompt) + len(row.tokens) >= self._network.positions or self._is_lost(row)

    def _result(self, row: Row) -> DecodingResult:
        return self._whisper.score(row.tokens, row.logprobs, row.temperature, row.no_speech_prob)

    def _is_lost(self, row: Row) -> bool:
        """Return whether a row loops, and another attempt may be better. It looks now and then only."""
        length = len(row.tokens) - 1
        is_time = length >= LOOP_CHECK and length % LOOP_CHECK == 0
        return is_time and row.has_another_attempt and self._result(row).is_loop

    def _finish(self, row: Row) -> None:
        """Take what was decoded, or prepare the next attempt: without the prompt, or at the next temperature."""
        result, config = self._result(row), row.window.request.config
        decoded = Decoded(result, row.attention)
        if row.context and follows_prompt(result, row.context[1:], config):
            row.with_context, row.context = decoded, []
        elif needs_fallback(result, config) and row.has_next_temperature:
            row.failed.append(decoded)
            row.attempt += 1
        else:
            row.decoded = max([*row.failed, decoded], key=lambda attempt: preference(attempt.result, config))
            if row.with_context is not None and is_confirmed(row.with_context.result, row.decoded.result):
                row.decoded = row.with_context

    def _detect_languages(self, rows: list[Row], cross: list[Array]) -> tuple[list[Row], list[Array]]:
        """Set the languages that are to be detected, and return the rows that are to be decoded."""
        detects = [self._whisper.detects_language and row.window.request.config.detects_language for row in rows]
        if not any(detects):
            return rows, cross
        logits = self._first_logits(cross)
        kept: list[int] = []
        for at, (row, silence) in enumerate(zip(rows, self._probabilities(logits), strict=True)):
            changes: tuple[float, ...] = ()
            if detects[at]:
                probabilities = self._language_probabilities(logits[at], row)
                row.language, row.language_probability = decide_language(row.window, probabilities, silence)
                if may_be_mixed(row.window, row.language_probability, silence):
                    changes = self._changes(row)
            if changes:
                row.window.resolve(
                    WindowResult(
                        (), language=row.language, language_probability=row.language_probability,
                        language_changes=changes,
                    )
                )  # fmt: skip
            else:
                kept.append(at)
        if len(kept) == len(rows):
            return rows, cross
        return [rows[at] for at in kept], _chosen(cross, kept)

    def _changes(self, row: Row) -> tuple[float, ...]:
        """Return the seconds at which the language of a window changes (batching/languages.py)."""
        frames = row.states.shape[1]
        count, length = split_evenly(row.window.seconds, frames)
        parts: list[tuple[str, float]] = []
        for start in range(0, count * length, length):
            part = np.tile(row.states[:, start : start + length], (1, -(-frames // length), 1))
            logits = self._first_logits(self._network.cross_memory(part[:, :frames]))
            probabilities = self._language_probabilities(logits[0], row)
            parts.append(max(probabilities.items(), key=lambda item: item[1]))
        return language_changes(parts, length / FRAMES_PER_SECOND)

    def _first_logits(self, cross: Sequence[Array]) -> Array:
        """Return logits (rows, vocabulary) after the start token."""
        rows = len(cross[0])
        start = np.full((rows, 1), self._whisper.vocabulary.start, np.int64)
        first = np.zeros(rows, np.int64)
        return self._network.read(start, first, [[0]] * rows, self._network.empty_memory(rows), cross).logits[:, 0]

    def _probabilities(self, logits: Array) -> list[float]:
        """Return the no-speech probability of each row of logits after the start token."""
        token = self._whisper.vocabulary.no_speech
        return [0.0 if token is None else float(_softmax(row)[token]) for row in logits]

    def _language_probabilities(self, logits: Array, row: Row) -> dict[str, float]:
        """Return the probability of each candidate language."""
        ids = self._whisper.vocabulary.languages
        codes = self._whisper.capabilities.candidate_languages(row.window.request.config) or list(ids)
        return dict(zip(codes, _softmax(logits[[ids[code] for code in codes]]).tolist(), strict=True))


def _chosen(memory: Sequence[Array], rows: list[int]) -> list[Array]:
    return [value[rows] for value in memory]


def _softmax(logits: Array) -> Array:
    exponentials = np.exp(logits - logits.max())
    return np.asarray(exponentials / exponentials.sum())
