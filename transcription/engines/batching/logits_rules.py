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


@dataclass(frozen=True)
class Sampling:
    """How to sample each row.

    temperature: (rows,). key: (rows,) whole numbers; the same key, temperature and logits give the same token, whatever
    else is in the batch.
    """

    temperature: Tensor
    key: Tensor

    def perturb(self, logits: Tensor) -> Tensor:
        """Return scores (rows, vocabulary) whose largest one is a sample."""
        return logits / self.temperature.clamp_min(1e-6)[:, None] + _gumbel_noise(self.key, logits.shape[1])


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

    def pick(self, logits: Tensor, mode: Tensor, min_timestamp: Tensor, sampling: Sampling | None = None) -> Picked:
        """Pick a token for each row of logits (rows, vocabulary) in its state (rows,).

        sampling: a row with a temperature above 0 is sampled; all others take the most probable token.
        """
        allowed = self._allowed(logits, mode, min_timestamp)
        text, timestamps = allowed[:, : self.first_timestamp], allowed[:, self.first_timestamp :]
        text_mass, timestamp_mass = text.logsumexp(1), timestamps.logsumexp(1)
        best_text, text_token = text.max(1)
        best_timestamp, timestamp_token = timestamps.max(1)
        timed = mode < UNTIMED_BEGIN
        forced = timed & (timestamp_mass > best_text)  # all timestamps together are more probable than any text token
        is_timestamp = forced | (best_timestamp > best_text)
        best = torch.where(is_timestamp, best_timestamp, best_text)
        if sampling is not None:
            sampled = sampling.temperature > 0
            scores = sampling.perturb(allowed)
            sampled_text, drawn_text = scores[:, : self.first_timestamp].max(1)
            sampled_timestamp, drawn_timestamp = scores[:, self.first_timestamp :].max(1)
            is_timestamp = torch.where(sampled, forced | (sampled_timestamp > sampled_text), is_timestamp)
            text_token = torch.where(sampled, drawn_text, text_token)
            timestamp_token = torch.where(sampled, drawn_timestamp, timestamp_token)
        token = torch.where(is_timestamp, timestamp_token + self.first_timestamp, text_token)
        if sampling is not None:
            best = torch.where(sampled, allowed.gather(1, token[:, None])[:, 0], best)
        mass = torch.where(forced, timestamp_mass, torch.logaddexp(text_mass, timestamp_mass))
        return Picked(token, best - mass, *self.state_after(token, mode, min_timestamp))

    def candidates(
        self, logits: Tensor, mode: Tensor, min_timestamp: Tensor, count: int, sampling: Sampling | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the best `count` tokens of each row and their log-probabilities, (rows, count), best first.

        The first one is what `pick` picks.
        """
        allowed = self._allowed(logits, mode, min_timestamp)
        text, timestamps = allowed[:, : self.first_timestamp], allowed[:, self.first_timestamp :]
        forced = (mode < UNTIMED_BEGIN) & (timestamps.logsumexp(1) > text.amax(1))
        text.masked_fill_(forced[:, None], _BANNED)
        scores = allowed
        if sampling is not None:
            scores = torch.where(sampling.temperature[:, None] > 0, sampling.perturb(allowed), allowed)
        token = scores.topk(count, dim=1).indices
        return token, allowed.gather(1, token) - allowed.logsumexp(1, keepdim=True)

    def _allowed(self, logits: Tensor, mode: Tensor, min_timestamp: Tensor) -> Tensor:
        """Return the logits, -inf for tokens that are not allowed."""
        allowed = logits + self.ban[mode]
        allowed[:, self.first_timestamp :].masked_fill_(self.timestamps < min_timestamp[:, None], _BANNED)
        return allowed

    def state_after(self, token: Tensor, mode: Tensor, min_timestamp: Tensor) -> tuple[Tensor, Tensor]:
        """Return mode and lowest timestamp: a timestamp after text may be repeated once, otherwise they must grow."""
        is_timestamp, timed = token >= self.first_timestamp, mode < UNTIMED_BEGIN
        next_mode = self.next_mode[mode * 2 + is_timestamp]
        after_timestamp = token - self.first_timestamp + (mode != TEXT)
        return next_mode, torch.where(is_timestamp, after_timestamp, min_timestamp + (mode == TIMESTAMP)) * timed


def _gumbel_noise(key: Tensor, size: int) -> Tensor:
    """Return Gumbel noise (rows, size) that depends on the keys (rows,) alone.

    The token with the largest sum of score and Gumbel noise is distributed as the softmax of the scores. The noise is a
    hash of key and token (MurmurHash3's finalizer), because a generator's numbers would depend on the whole batch.
    """
    tokens = torch.arange(size, device=key.device)
    bits = _hash(_hash(key)[:, None] + tokens * 0x9E3779B9)
    uniform = (bits.double() + 0.5) / 2**32
    return -(-uniform.log()).log().float()


def _hash(value: Tensor) -> Tensor:
    """Return 32 well-mixed bits of each number, as int64."""
    bits = value & 0xFFFFFFFF
    bits = ((bits ^ (bits >> 16)) * 0x85EBCA6B) & 0xFFFFFFFF
    bits = ((bits ^ (bits >> 13)) * 0xC2B2AE35) & 0xFFFFFFFF
    return bits ^ (bits >> 16)


def _ban(size: int, tokens: list[int]) -> Tensor:
    row = torch.zeros(size)
    row[tokens] = _BANNED
    return row
