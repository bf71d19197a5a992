"""The slots: what every window has written so far, and the steps that write on.

The rows in use are always the first ones: who leaves is replaced by the last. Everything a step reads and
writes is a tensor at an address that stays, and nothing is looked at on the host within a step, so that a GPU
can replay it.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from transcription.engines.batching.cuda_graphs import CudaGraphs
from transcription.engines.batching.decoder import Decoder
from transcription.engines.batching.logits_rules import BEGIN, FREE_BEGIN, Picked, Rules

_BURST = {"cuda": 8}  # steps between two looks at who has ended; elsewhere a look costs nothing


class Slots:
    """Memory for `decoder.slots` windows, the rules they keep, and optionally a drafting decoder.

    Of each window, by position: its tokens, the mode and the lowest time stamp that its rules are at there, and
    each token's log-probability. `last` is the position of its newest token, `done` that it has ended.
    """

    states: Tensor | None  # what the encoder said, for a drafter that joins later

    def __init__(
        self, decoder: Decoder, rules: Rules, drafter: Decoder | None = None, replay: CudaGraphs = CudaGraphs()
    ) -> None:
        self.decoder, self.rules, self.drafter, self.replay = decoder, rules, drafter, replay
        self.burst = _BURST.get(decoder.device.type, 1)
        self._reset()

    def resize(self, count: int) -> None:
        """So many slots from now on, all of them empty."""
        self.states = None  # before there is new memory
        for decoder in (self.decoder, self.drafter):
            if decoder is not None:
                decoder.allocate(count)
        self._reset()

    def _reset(self) -> None:
        count, length, device = self.decoder.slots, self.decoder.length, self.decoder.device
        self.tokens = torch.zeros(count * length, dtype=torch.long, device=device)
        self.mode, self.low = torch.zeros_like(self.tokens), torch.zeros_like(self.tokens)
        self.logprob = torch.zeros(count * length, device=device)
        self.last = torch.zeros(count, dtype=torch.long, device=device)
        self.heat = torch.zeros(count, device=device)
        self.done = torch.zeros(count, dtype=torch.bool, device=device)
        self.base = torch.arange(count, device=device) * length
        self.states = None
        self.reach = [0] * count  # `last`, as the host knows it
        self.heard = [False] * count  # by the drafter
        self.drafted = [0] * count  # how many positions the drafter has read rightly
        self.replay.forget()

    @property
    def bytes_each(self) -> int:
        """Memory of one slot."""
        decoder = self.decoder
        kept = int(decoder.frames * decoder.width * decoder.dtype.itemsize)  # `states`
        return int(sum(memory.nbytes for memory in self._memories())) // decoder.slots + kept

    def hear(self, rows: slice, states: Tensor) -> None:
        """Gives the windows' encoder states (rows, frames, width) to the slots `rows`."""
        self.decoder.hear(rows, states)
        if self.drafter is not None:
            if self.states is None:
                self.states = states.new_zeros((self.decoder.slots, *states.shape[1:]))
            self.states[rows] = states
        for row in range(rows.start, rows.stop):
            self.heard[row] = False

    def join(self, row: int, states: Tensor | None = None) -> None:
        """The drafter hears a row; `states` (1, frames, width) where its encoder is not the main model's."""
        assert self.drafter is not None
        assert self.states is not None
        rows = slice(row, row + 1)
        self.drafter.hear(rows, self.states[rows] if states is None else states)
        self.heard[row], self.drafted[row] = True, 0

    def prefill(self, rows: slice, prompts: Sequence[Sequence[int]]) -> Tensor:
        """Reads each row's prompt; hidden states (rows, the longest prompt, width)."""
        longest = max(map(len, prompts))
        tokens = torch.tensor([[*prompt, *[0] * (longest - len(prompt))] for prompt in prompts])
        tokens = tokens.to(self.decoder.device)
        positions = torch.arange(longest, device=tokens.device).expand_as(tokens)
        return self.decoder.forward(tokens, positions, rows, longest)

    def begin(self, row: int, prompt: Sequence[int], timed: bool, heat: float) -> None:
        """Sets a row, whose prompt is read, to where its first token is due."""
        start, last = row * self.decoder.length, len(prompt) - 1
        self.tokens[start : start + len(prompt)] = torch.tensor(prompt, device=self.tokens.device)
        self.mode[start + last] = BEGIN if timed else FREE_BEGIN
        self.low[start + last] = 0
        self.last[row], self.heat[row], self.done[row] = last, heat, False
        self.reach[row] = last
        self.drafted[row] = min(self.drafted[row], last)

    def write(self, rows: int, record: bool, hot: bool) -> None:
        """Each of the first `rows` rows writes `burst` tokens.

        record: keep where it looks. hot: some of them have a temperature.
        """
        most = self.decoder.length
        for _ in range(self.burst):
            taken = self.replay.rows(rows, self.decoder.slots)
            span = self.replay.span(max(self.reach[:rows]) + 1, most)
            self.replay((taken, span, record, hot), partial(self._step, taken, span, record, hot))
            for row in range(rows):
                self.reach[row] = min(self.reach[row] + 1, most - 1)

    def _step(self, rows: int, span: int, record: bool, hot: bool) -> None:
        last = self.last[:rows]
        at = self.base[:rows] + last
        exact = rows == 1 and not self.replay.capture
        hidden = self.decoder.forward(self.tokens[at][:, None], last[:, None], slice(0, rows), span, record, exact)
        picked = self.rules.pick(
            self.decoder.logits(hidden)[:, 0], self.mode[at], self.low[at], self.heat[:rows] if hot else None
        )
        following = (last + 1).clamp_max(self.decoder.length - 1)  # who has ended may go on until that is seen
        self._write(self.base[:rows] + following, picked)
        self.last[:rows] = following
        self.done[:rows] |= (picked.token == self.rules.end) | (following >= self.decoder.positions - 1)

    def speculate(self, rows: int, count: int, record: bool, hot: bool) -> list[int]:
        """Each of the first `rows` rows, heard by the drafter, writes 1 to `count` + 1 tokens: how many were drafted
        rightly. What is written is what `write` would have written."""
        self._draft(rows, count)
        kept: list[int] = self._verify(rows, count, record, hot).tolist()
        self.reach[:rows] = self.last[:rows].tolist()
        for row in range(rows):
            self.drafted[row] = min(self.drafted[row], self.reach[row])
        return kept

    def _draft(self, rows: int, count: int) -> None:
        """The drafter writes `count` tokens after the last of each row, under the same rules."""
        drafter = self.drafter
        assert drafter is not None
        for row in range(rows):
            self._catch_up(drafter, row)
        last, base = self.last[:rows], self.base[:rows]
        # Two, as of a draft kept whole the last token is unread; reading one again changes nothing.
        positions = (last[:, None] + torch.arange(-1, 1, device=last.device)).clamp_min(0)
        at = base + last
        furthest = max(self.reach[:rows])
        for number in range(count):
            tokens = self.tokens[base[:, None] + positions]
            hidden = drafter.forward(tokens, positions, slice(0, rows), furthest + number + 1)
            picked = self.rules.pick(drafter.logits(hidden[:, -1]), self.mode[at], self.low[at])
            at = at + 1
            self._write(at, picked)
            positions = positions[:, -1:] + 1
        for row in range(rows):
            self.drafted[row] = self.reach[row] + count

    def _catch_up(self, drafter: Decoder, row: int) -> None:
        """The drafter reads what was written without it."""
        first, last = self.drafted[row], self.reach[row] - 1
        if first < last:
            start = row * self.decoder.length
            tokens = self.tokens[start + first : start + last][None]
            positions = torch.arange(first, last, device=tokens.device)[None]
            drafter.forward(tokens, positions, slice(row, row + 1), last)

    def _verify(self, rows: int, count: int, record: bool, hot: bool) -> Tensor:
        """Keeps the drafts that the decoder itself picks, and writes its own token after them: (rows,) drafts kept."""
        last, base = self.last[:rows], self.base[:rows]
        steps = torch.arange(count + 1, device=last.device)
        positions = last[:, None] + steps
        at = base[:, None] + positions
        span = max(self.reach[:rows]) + count + 1
        hidden = self.decoder.forward(self.tokens[at], positions, slice(0, rows), span, record)
        picked = self.rules.pick(
            self.decoder.logits(hidden).flatten(0, 1), self.mode[at].view(-1), self.low[at].view(-1),
            self.heat[:rows].repeat_interleave(count + 1) if hot else None,
        )  # fmt: skip
        tokens = picked.token.view(rows, -1)
        kept = (tokens[:, :-1] == self.tokens[at[:, 1:]]).long().cumprod(1).sum(1)
        used = torch.minimum(kept, (self.decoder.positions - 2 - last).clamp_min(0))  # as many as there is room for
        self.logprob[at + 1] = picked.logprob.view(rows, -1)
        chosen = torch.arange(rows, device=last.device) * (count + 1) + used
        following = last + used + 1
        self._write(base + following, Picked(*(value[chosen] for value in _fields(picked))))
        self.last[:rows] = following
        ended = ((tokens == self.rules.end) & (steps <= used[:, None])).any(1)
        self.done[:rows] |= ended | (following >= self.decoder.positions - 1)
        return kept

    def ended(self, rows: int) -> list[int]:
        """Which of the first `rows` rows have ended."""
        return [row for row, done in enumerate(self.done[:rows].tolist()) if done]

    def written(self, row: int, prompt: int) -> tuple[list[int], list[float]]:
        """Tokens after the first `prompt` ones up to the end of text, without it; and every log-probability, the end's
        among them where it was reached."""
        start = row * self.decoder.length
        stop = start + min(self.reach[row] + 1, self.decoder.positions)
        tokens: list[int] = self.tokens[start + prompt : stop].tolist()
        chances: list[float] = self.logprob[start + prompt : stop].tolist()
        if self.rules.end in tokens:
            ends = tokens.index(self.rules.end)
            return tokens[:ends], chances[: ends + 1]
        return tokens, chances

    def attention(self, row: int, prompt: int, count: int, frames: int) -> Tensor:
        """Where the watched heads looked for each of the `count` tokens after the prompt, (heads, count, frames)."""
        return self.decoder.attention(row, prompt - 1, count)[..., :frames].cpu()

    def move(self, source: int, target: int) -> None:
        """Everything of one row into another's place."""
        for memory in self._memories():
            memory[target] = memory[source]
        for known in self._known():
            known[target] = known[source]

    def exchange(self, one: int, other: int) -> None:
        """Two rows change places."""
        for memory in self._memories():
            memory[[one, other]] = memory[[other, one]]
        for known in self._known():
            known[one], known[other] = known[other], known[one]

    def _known(self) -> tuple[list[Any], ...]:
        return self.reach, self.heard, self.drafted

    def _memories(self) -> list[Tensor]:
        """All memory, a row a slot."""
        by_position = (self.tokens, self.mode, self.low, self.logprob)
        found = [memory.view(self.decoder.slots, -1) for memory in by_position]
        found += [self.last, self.heat, self.done, *self.decoder.memories()]
        if self.drafter is not None:
            found += self.drafter.memories()
        return found if self.states is None else [*found, self.states]

    def _write(self, at: Tensor, picked: Picked) -> None:
        for memory, value in zip((self.tokens, self.logprob, self.mode, self.low), _fields(picked), strict=True):
            memory.index_copy_(0, at, value)


def _fields(picked: Picked) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return picked.token, picked.logprob, picked.mode, picked.low
