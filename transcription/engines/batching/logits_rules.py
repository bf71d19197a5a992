"""Whisper's decoding rules as tables, for many positions at once and without looking at a value on the host.

What transformers does with SuppressTokens, SuppressTokensAtBegin and WhisperTimeStampLogitsProcessor
(openai/whisper, decoding.py), in that order. What a position may be followed by depends on a mode and on the
lowest time stamp still allowed, both of which are kept at the position itself.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from transcription.whisper.tokens import Vocabulary

BEGIN, TEXT, STAMP, PAIR, FREE_BEGIN, FREE = range(6)
"""Modes: nothing written yet; the last token is text; a stamp after text; a stamp after a stamp, or first of all;
and the two of decoding without time stamps."""

# mode → the mode after a text token, and after a time stamp.
_NEXT = {BEGIN: (TEXT, PAIR), TEXT: (TEXT, STAMP), STAMP: (TEXT, PAIR), PAIR: (TEXT, PAIR), FREE_BEGIN: (FREE, FREE),
         FREE: (FREE, FREE)}  # fmt: skip
_NEVER = float("-inf")


@dataclass(frozen=True)
class Picked:
    """The next token of every row, its log-probability among what was allowed, and the state behind it."""

    token: Tensor
    logprob: Tensor
    mode: Tensor
    low: Tensor


class Rules:
    """The rules of one checkpoint."""

    def __init__(
        self, vocabulary: Vocabulary, size: int, device: torch.device, suppressed: list[int],
        suppressed_first: list[int], max_initial: int | None,
    ) -> None:  # fmt: skip
        """size: tokens in the vocabulary. max_initial: the largest first time stamp, in steps of 0.02 s."""
        self.first_stamp = first = vocabulary.first_timestamp
        self.end = vocabulary.end
        ban = torch.zeros(6, size)
        ban[:, suppressed] = _NEVER
        ban[[BEGIN, FREE_BEGIN]] += _banning(size, suppressed_first)
        ban[:FREE_BEGIN, vocabulary.no_timestamps] = _NEVER
        ban[BEGIN, :first] = _NEVER
        if max_initial is not None:
            ban[BEGIN, first + max_initial + 1 :] = _NEVER
        ban[STAMP, : vocabulary.end] = _NEVER
        ban[PAIR, first:] = _NEVER
        self.ban = ban.to(device)
        self.stamps = torch.arange(size - first, device=device)
        self.next = torch.tensor([_NEXT[mode] for mode in range(6)], device=device).view(-1)

    def pick(self, logits: Tensor, mode: Tensor, low: Tensor, heat: Tensor | None = None) -> Picked:
        """The likeliest token of each row of logits (rows, vocabulary) in its state (rows,).

        heat: a temperature a row, at which a token is drawn instead where it is above 0.
        """
        allowed = logits + self.ban[mode]
        text, stamps = allowed[:, : self.first_stamp], allowed[:, self.first_stamp :]
        stamps = stamps.masked_fill(self.stamps < low[:, None], _NEVER)
        text_mass, stamp_mass = text.logsumexp(1), stamps.logsumexp(1)
        best_text, text_token = text.max(1)
        best_stamp, stamp_token = stamps.max(1)
        timed = mode < FREE_BEGIN
        forced = timed & (stamp_mass > best_text)  # time stamps together outweigh any one word
        stamped = forced | (best_stamp > best_text)
        best = torch.where(stamped, best_stamp, best_text)
        if heat is not None:
            hot = heat > 0
            best_text, text_token = _drawn(text, text_token, best_text, heat, hot)
            best_stamp, stamp_token = _drawn(stamps, stamp_token, best_stamp, heat, hot)
            drawn = forced | (best_stamp > best_text)
            stamped = torch.where(hot, drawn, stamped)
        token = torch.where(stamped, stamp_token + self.first_stamp, text_token)
        if heat is not None:
            whole = torch.cat([text, stamps], dim=1)
            best = torch.where(hot, whole.gather(1, token[:, None])[:, 0], best)
        mass = torch.where(forced, stamp_mass, torch.logaddexp(text_mass, stamp_mass))
        return Picked(token, best - mass, *self._after(token, stamped, mode, low, timed))

    def _after(self, token: Tensor, stamped: Tensor, mode: Tensor, low: Tensor, timed: Tensor) -> tuple[Tensor, Tensor]:
        """The state behind a token: a stamp after text may be repeated once, else stamps must grow."""
        following = self.next[mode * 2 + stamped]
        stamp = token - self.first_stamp + (mode != TEXT)
        return following, torch.where(stamped, stamp, low + (mode == STAMP)) * timed


def _drawn(scores: Tensor, token: Tensor, best: Tensor, heat: Tensor, hot: Tensor) -> tuple[Tensor, Tensor]:
    """A draw from each hot row: the largest score with Gumbel noise is distributed as the softmax."""
    noise = -torch.empty_like(scores).exponential_().log()
    value, drawn = (scores / heat.clamp_min(1e-6)[:, None] + noise).max(1)
    return torch.where(hot, value, best), torch.where(hot, drawn, token)


def _banning(size: int, tokens: list[int]) -> Tensor:
    row = torch.zeros(size)
    row[tokens] = _NEVER
    return row
