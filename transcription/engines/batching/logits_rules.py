"""Whisper's decoding rules as tables, for many positions at once and without a value read on the host.

The rules of SuppressTokens, SuppressTokensAtBegin and WhisperTimeStampLogitsProcessor in transformers (openai/whisper,
decoding.py), in that order. The tokens that are allowed after a position depend on a mode and on the lowest timestamp
that is still allowed. Both are kept at the position itself.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from transcription.whisper.tokens import Vocabulary

BEGIN, TEXT, TIMESTAMP, PAIR, UNTIMED_BEGIN, UNTIMED = range(6)
"""Modes. BEGIN: no token yet. TEXT: the last token is text. TIMESTAMP: a timestamp after text. PAIR: a timestamp after
a timestamp, or as the very first token. The last two are the modes of decoding without timestamps."""

# mode → (the mode after a text token, the mode after a timestamp)
_NEXT_MODE = {
    BEGIN: (TEXT, PAIR), TEXT: (TEXT, TIMESTAMP), TIMESTAMP: (TEXT, PAIR), PAIR: (TEXT, PAIR),
    UNTIMED_BEGIN: (UNTIMED, UNTIMED), UNTIMED: (UNTIMED, UNTIMED),
}  # fmt: skip
_BANNED = float("-inf")


@dataclass(frozen=True)
class Picked:
    """The next token of every row, its log-probability among the allowed tokens, and the state after it."""

    token: Tensor
    logprob: Tensor
    mode: Tensor
    min_timestamp: Tensor


class LogitsRules:
    """The decoding rules of one checkpoint."""

    def __init__(
        self, vocabulary: Vocabulary, size: int, device: torch.device, suppressed: list[int],
        suppressed_at_begin: list[int], max_initial_timestamp: int | None,
    ) -> None:  # fmt: skip
        """Build the tables.

        size: number of tokens. max_initial_timestamp: the largest first timestamp, in steps of 0.02 s.
        """
        self.first_timestamp = first = vocabulary.first_timestamp
        self.end = vocabulary.end
        ban = torch.zeros(6, size)
        ban[:, suppressed] = _BANNED
        ban[[BEGIN, UNTIMED_BEGIN]] += _ban(size, suppressed_at_begin)
        ban[:UNTIMED_BEGIN, vocabulary.no_timestamps] = _BANNED
        ban[BEGIN, :first] = _BANNED
        if max_initial_timestamp is not None:
            ban[BEGIN, first + max_initial_timestamp + 1 :] = _BANNED
        ban[TIMESTAMP, : vocabulary.end] = _BANNED
        ban[PAIR, first:] = _BANNED
        self.ban = ban.to(device)
        self.timestamps = torch.arange(size - first, device=device)
        self.next_mode = torch.tensor([_NEXT_MODE[mode] for mode in range(6)], device=device).view(-1)

    def pick(self, logits: Tensor, mode: Tensor, min_timestamp: Tensor, temperature: Tensor | None = None) -> Picked:
        """Pick a token for each row of logits (rows, vocabulary) in its state (rows,).

        temperature: (rows,); a row with a temperature above 0 is sampled, the others take the most probable token.
        """
        allowed = logits + self.ban[mode]
        text, timestamps = allowed[:, : self.first_timestamp], allowed[:, self.first_timestamp :]
        timestamps = timestamps.masked_fill(self.timestamps < min_timestamp[:, None], _BANNED)
        text_mass, timestamp_mass = text.logsumexp(1), timestamps.logsumexp(1)
        best_text, text_token = text.max(1)
        best_timestamp, timestamp_token = timestamps.max(1)
        timed = mode < UNTIMED_BEGIN
        forced = timed & (timestamp_mass > best_text)  # all timestamps together are more probable than any text token
        is_timestamp = forced | (best_timestamp > best_text)
        best = torch.where(is_timestamp, best_timestamp, best_text)
        if temperature is not None:
            sampled = temperature > 0
            best_text, text_token = _sample(text, text_token, best_text, temperature, sampled)
            best_timestamp, timestamp_token = _sample(timestamps, timestamp_token, best_timestamp, temperature, sampled)
            is_timestamp = torch.where(sampled, forced | (best_timestamp > best_text), is_timestamp)
        token = torch.where(is_timestamp, timestamp_token + self.first_timestamp, text_token)
        if temperature is not None:
            whole = torch.cat([text, timestamps], dim=1)
            best = torch.where(sampled, whole.gather(1, token[:, None])[:, 0], best)
        mass = torch.where(forced, timestamp_mass, torch.logaddexp(text_mass, timestamp_mass))
        return Picked(token, best - mass, *self._state_after(token, is_timestamp, mode, min_timestamp, timed))

    def _state_after(
        self, token: Tensor, is_timestamp: Tensor, mode: Tensor, min_timestamp: Tensor, timed: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return mode and lowest timestamp: a timestamp after text may be repeated once, otherwise they must grow."""
        next_mode = self.next_mode[mode * 2 + is_timestamp]
        after_timestamp = token - self.first_timestamp + (mode != TEXT)
        return next_mode, torch.where(is_timestamp, after_timestamp, min_timestamp + (mode == TIMESTAMP)) * timed


def _sample(scores: Tensor, token: Tensor, best: Tensor, temperature: Tensor, sampled: Tensor) -> tuple[Tensor, Tensor]:
    """Sample each row marked in `sampled`: the largest score with Gumbel noise is distributed as the softmax."""
    noise = -torch.empty_like(scores).exponential_().log()
    value, drawn = (scores / temperature.clamp_min(1e-6)[:, None] + noise).max(1)
    return torch.where(sampled, value, best), torch.where(sampled, drawn, token)


def _ban(size: int, tokens: list[int]) -> Tensor:
    row = torch.zeros(size)
    row[tokens] = _BANNED
    return row
