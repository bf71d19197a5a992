"""Whisper's decoding rules with numpy: those of batching/logits_rules.py, one row at a time."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from transcription.whisper.tokens import Vocabulary

Logits = npt.NDArray[np.float32]
_BANNED = np.float32("-inf")


@dataclass(frozen=True)
class State:
    """What a row has decoded: whether it has timestamps, its last two tokens and the lowest timestamp that may follow.

    begins: no token yet. after_timestamp: the last token is a timestamp. is_open: the one before it is text.
    """

    timed: bool
    begins: bool = True
    after_timestamp: bool = False
    is_open: bool = False
    lowest: int = 0


class LogitsRules:
    """The decoding rules of one checkpoint (openai/whisper, decoding.py)."""

    def __init__(
        self, vocabulary: Vocabulary, size: int, suppressed: list[int], suppressed_at_begin: list[int],
        max_initial_timestamp: int | None,
    ) -> None:  # fmt: skip
        """Build the tables. size: number of tokens. max_initial_timestamp: in steps of 0.02 s."""
        self.first, self.end, self._no_timestamps = vocabulary.first_timestamp, vocabulary.end, vocabulary.no_timestamps
        self._suppressed, self._at_begin = np.array(suppressed, np.int64), np.array(suppressed_at_begin, np.int64)
        self._max_initial = size if max_initial_timestamp is None else self.first + max_initial_timestamp + 1

    def pick(self, logits: Logits, state: State, temperature: float = 0.0, key: int = 0) -> tuple[int, float, State]:
        """Return the next token, its log-probability among the allowed tokens, and the state after it.

        logits (vocabulary,): they are changed. temperature: 0 takes the most probable token. key: decides the sample.
        """
        self._ban(logits, state)
        text, timestamps = logits[: self.first], logits[self.first :]
        best_text, timestamp_mass = text.max(), _log_sum(timestamps)
        forced = state.timed and bool(timestamp_mass > best_text)  # together more probable than any text token
        scores = logits if temperature == 0 else logits / np.float32(temperature) + _gumbel_noise(key, len(logits))
        token = self.first + int(scores[self.first :].argmax()) if forced else int(scores.argmax())
        mass = timestamp_mass if forced else np.logaddexp(_log_sum(text), timestamp_mass)
        return token, float(logits[token] - mass), self._after(token, state)

    def _ban(self, logits: Logits, state: State) -> None:
        logits[self._suppressed] = _BANNED
        if state.begins:
            logits[self._at_begin] = _BANNED
        if not state.timed:
            return
        logits[self._no_timestamps] = _BANNED
        if state.begins:
            logits[: self.first] = _BANNED
            logits[self._max_initial :] = _BANNED
        elif state.after_timestamp and state.is_open:
            logits[: self.end] = _BANNED
        elif state.after_timestamp:
            logits[self.first :] = _BANNED
        logits[self.first : self.first + state.lowest] = _BANNED

    def _after(self, token: int, state: State) -> State:
        """Return the next state: a timestamp after text may be repeated once, otherwise they must grow."""
        if not state.timed:
            return State(False, begins=False)
        follows_text = not state.begins and not state.after_timestamp
        if token >= self.first:
            return State(True, False, True, follows_text, token - self.first + (not follows_text))
        return State(True, False, False, False, state.lowest + (state.after_timestamp and state.is_open))


def _log_sum(logits: Logits) -> np.float32:
    """Return the logarithm of the sum of the exponentials."""
    largest = logits.max(initial=_BANNED)
    if largest == _BANNED:
        return _BANNED
    return np.float32(largest + np.log(np.exp(logits - largest).sum()))


def _gumbel_noise(key: int, size: int) -> npt.NDArray[np.float32]:
    """Return the Gumbel noise (size,) of batching/logits_rules.py: the same key samples the same token."""
    with np.errstate(over="ignore"):
        start = _hash(np.array([key & 0xFFFFFFFF], np.uint64))
        bits = _hash(start + np.arange(size, dtype=np.uint64) * np.uint64(0x9E3779B9))
    uniform = (bits.astype(np.float64) + 0.5) / 2**32
    return (-np.log(-np.log(uniform))).astype(np.float32)


def _hash(value: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Return 32 well-mixed bits of each number (MurmurHash3's finalizer)."""
    mask, thirteen, sixteen = np.uint64(0xFFFFFFFF), np.uint64(13), np.uint64(16)
    bits = value & mask
    bits = ((bits ^ (bits >> sixteen)) * np.uint64(0x85EBCA6B)) & mask
    bits = ((bits ^ (bits >> thirteen)) * np.uint64(0xC2B2AE35)) & mask
    return bits ^ (bits >> sixteen)
