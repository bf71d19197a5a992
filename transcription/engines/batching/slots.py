"""Slots: the decoded tokens of every window in the batch, and the steps that decode more.

The rows in use are always the first ones: the last row takes the place of a row that leaves. Everything that a step
reads and writes is a tensor that stays at its address, and no value is read on the host within a step, so that a GPU
can replay it.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from transcription.engines.batching.cuda_graphs import CudaGraphs
from transcription.engines.batching.decoder import Decoder
from transcription.engines.batching.logits_rules import BEGIN, UNTIMED_BEGIN, LogitsRules, Picked

_STEPS_PER_SYNC = {"cuda": 8}  # steps between two checks which rows have ended; on a CPU a check costs nothing


class Slots:
    """Memory for `decoder.slots` windows, their decoding rules, and optionally a decoder that drafts.

    For each window, by position: its tokens, their log-probabilities, and the mode and lowest timestamp of its rules.
    last: (slots,) position of the newest token. ended: (slots,) whether the window is done.
    """

    states: Tensor | None  # encoder states, for an assistant that starts later

    def __init__(
        self, decoder: Decoder, rules: LogitsRules, assistant: Decoder | None = None, graphs: CudaGraphs | None = None
    ) -> None:
        """Use the slots that the decoder has. The assistant must have as many."""
        self.decoder, self.rules, self.assistant, self.graphs = decoder, rules, assistant, graphs or CudaGraphs()
        self.steps_per_sync = _STEPS_PER_SYNC.get(decoder.device.type, 1)
        self._reset()

    def resize(self, count: int) -> None:
        """Replace all slots by so many empty ones."""
        self.states = None  # free it before new memory is allocated
        for decoder in (self.decoder, self.assistant):
            if decoder is not None:
                decoder.allocate(count)
        self._reset()

    def _reset(self) -> None:
        count, length, device = self.decoder.slots, self.decoder.length, self.decoder.device
        self.tokens = torch.zeros(count * length, dtype=torch.long, device=device)
        self.mode, self.min_timestamp = torch.zeros_like(self.tokens), torch.zeros_like(self.tokens)
        self.logprob = torch.zeros(count * length, device=device)
        self.last = torch.zeros(count, dtype=torch.long, device=device)
        self.temperature = torch.zeros(count, device=device)
        self.ended = torch.zeros(count, dtype=torch.bool, device=device)
        self.base = torch.arange(count, device=device) * length
        self.states = None
        self.last_on_host = [0] * count  # `last`, without a read from the device
        self.assistant_ready = [False] * count  # whether the assistant has the window's encoder states
        self.assistant_length = [0] * count  # how many positions the assistant has read correctly
        self.graphs.forget()

    @property
    def bytes_per_slot(self) -> int:
        """Memory of one slot in bytes."""
        decoder = self.decoder
        states = int(decoder.frames * decoder.width * decoder.dtype.itemsize)
        return int(sum(tensor.nbytes for tensor in self._memory())) // decoder.slots + states

    def write_cross_kv(self, rows: slice, states: Tensor) -> None:
        """Give the windows' encoder states (rows, frames, width) to the slots `rows`."""
        self.decoder.write_cross_kv(rows, states)
        if self.assistant is not None:
            if self.states is None:
                self.states = states.new_zeros((self.decoder.slots, *states.shape[1:]))
            self.states[rows] = states
        for row in range(rows.start, rows.stop):
            self.assistant_ready[row] = False

    def start_assistant(self, row: int, states: Tensor | None = None) -> None:
        """Give a window to the assistant. states: (1, frames, width), if it has an encoder of its own."""
        assert self.assistant is not None
        assert self.states is not None
        rows = slice(row, row + 1)
        self.assistant.write_cross_kv(rows, self.states[rows] if states is None else states)
        self.assistant_ready[row], self.assistant_length[row] = True, 0

    def prefill(self, rows: slice, prompts: Sequence[Sequence[int]]) -> Tensor:
        """Read the prompt of each row, and return hidden states (rows, longest prompt, width)."""
        longest = max(map(len, prompts))
        tokens = torch.tensor([[*prompt, *[0] * (longest - len(prompt))] for prompt in prompts])
        tokens = tokens.to(self.decoder.device)
        positions = torch.arange(longest, device=tokens.device).expand_as(tokens)
        return self.decoder.forward(tokens, positions, rows, longest)

    def begin(self, row: int, prompt: Sequence[int], timed: bool, temperature: float) -> None:
        """Set a row to the end of its prompt, which is read. timed: decode timestamps."""
        start, last = row * self.decoder.length, len(prompt) - 1
        self.tokens[start : start + len(prompt)] = torch.tensor(prompt, device=self.tokens.device)
        self.mode[start + last] = BEGIN if timed else UNTIMED_BEGIN
        self.min_timestamp[start + last] = 0
        self.last[row], self.temperature[row], self.ended[row] = last, temperature, False
        self.last_on_host[row] = last
        self.assistant_length[row] = min(self.assistant_length[row], last)

    def step(self, rows: int, record_alignment: bool, sample: bool) -> None:
        """Decode `steps_per_sync` tokens in each of the first `rows` rows.

        record_alignment: keep the queries of the alignment heads. sample: some rows have a temperature.
        """
        limit = self.decoder.length
        for _ in range(self.steps_per_sync):
            taken = self.graphs.round_rows(rows, self.decoder.slots)
            kv_length = self.graphs.round_kv_length(max(self.last_on_host[:rows]) + 1, limit)
            shape = (taken, kv_length, record_alignment, sample)
            self.graphs(shape, partial(self._step, *shape))
            for row in range(rows):
                self.last_on_host[row] = min(self.last_on_host[row] + 1, limit - 1)

    def _step(self, rows: int, kv_length: int, record_alignment: bool, sample: bool) -> None:
        last = self.last[:rows]
        index = self.base[:rows] + last
        unmasked = rows == 1 and not self.graphs.capture
        hidden = self.decoder.forward(
            self.tokens[index][:, None], last[:, None], slice(0, rows), kv_length, record_alignment, unmasked
        )
        picked = self.rules.pick(
            self.decoder.logits(hidden)[:, 0], self.mode[index], self.min_timestamp[index],
            self.temperature[:rows] if sample else None,
        )  # fmt: skip
        following = (last + 1).clamp_max(self.decoder.length - 1)  # an ended row may go on until that is seen
        self._write(self.base[:rows] + following, picked)
        self.last[:rows] = following
        self.ended[:rows] |= (picked.token == self.rules.end) | (following >= self.decoder.positions - 1)

    def speculate(self, rows: int, length: int, record_alignment: bool, sample: bool) -> list[int]:
        """Draft `length` tokens in each of the first `rows` rows, and verify them in one pass.

        Each row gets 1 to `length` + 1 tokens, the same as `step` would decode. Returns the accepted drafts per row.
        """
        self._draft(rows, length)
        accepted: list[int] = self._verify(rows, length, record_alignment, sample).tolist()
        self.last_on_host[:rows] = self.last[:rows].tolist()
        for row in range(rows):
            self.assistant_length[row] = min(self.assistant_length[row], self.last_on_host[row])
        return accepted

    def _draft(self, rows: int, length: int) -> None:
        """Let the assistant write `length` tokens after the last one of each row, under the same rules."""
        assistant = self.assistant
        assert assistant is not None
        for row in range(rows):
            self._catch_up(assistant, row)
        last, base = self.last[:rows], self.base[:rows]
        # Two tokens: if all drafts were accepted, the last one is unread; to read a token again changes nothing.
        positions = (last[:, None] + torch.arange(-1, 1, device=last.device)).clamp_min(0)
        index = base + last
        furthest = max(self.last_on_host[:rows])
        for number in range(length):
            tokens = self.tokens[base[:, None] + positions]
            hidden = assistant.forward(tokens, positions, slice(0, rows), furthest + number + 1)
            picked = self.rules.pick(assistant.logits(hidden[:, -1]), self.mode[index], self.min_timestamp[index])
            index = index + 1
            self._write(index, picked)
            positions = positions[:, -1:] + 1
        for row in range(rows):
            self.assistant_length[row] = self.last_on_host[row] + length

    def _catch_up(self, assistant: Decoder, row: int) -> None:
        """Let the assistant read the tokens that were decoded without it."""
        first, last = self.assistant_length[row], self.last_on_host[row] - 1
        if first < last:
            start = row * self.decoder.length
            tokens = self.tokens[start + first : start + last][None]
            positions = torch.arange(first, last, device=tokens.device)[None]
            assistant.forward(tokens, positions, slice(row, row + 1), last)

    def _verify(self, rows: int, length: int, record_alignment: bool, sample: bool) -> Tensor:
        """Keep the drafts that the decoder itself picks, and add its own next token.

        Returns the number of accepted drafts, (rows,).
        """
        last, base = self.last[:rows], self.base[:rows]
        steps = torch.arange(length + 1, device=last.device)
        positions = last[:, None] + steps
        index = base[:, None] + positions
        kv_length = max(self.last_on_host[:rows]) + length + 1
        hidden = self.decoder.forward(self.tokens[index], positions, slice(0, rows), kv_length, record_alignment)
        picked = self.rules.pick(
            self.decoder.logits(hidden).flatten(0, 1), self.mode[index].view(-1), self.min_timestamp[index].view(-1),
            self.temperature[:rows].repeat_interleave(length + 1) if sample else None,
        )  # fmt: skip
        tokens = picked.token.view(rows, -1)
        accepted = (tokens[:, :-1] == self.tokens[index[:, 1:]]).long().cumprod(1).sum(1)
        used = torch.minimum(accepted, (self.decoder.positions - 2 - last).clamp_min(0))  # as many as there is room for
        self.logprob[index + 1] = picked.logprob.view(rows, -1)
        chosen = torch.arange(rows, device=last.device) * (length + 1) + used
        following = last + used + 1
        self._write(base + following, Picked(*(value[chosen] for value in _fields(picked))))
        self.last[:rows] = following
        ended = ((tokens == self.rules.end) & (steps <= used[:, None])).any(1)
        self.ended[:rows] |= ended | (following >= self.decoder.positions - 1)
        return accepted

    def ended_rows(self, rows: int) -> list[int]:
        """Return which of the first `rows` rows have ended."""
        return [row for row, ended in enumerate(self.ended[:rows].tolist()) if ended]

    def decoded(self, row: int, prompt_length: int) -> tuple[list[int], list[float]]:
        """Return the tokens between the prompt and the end of text, and their log-probabilities.

        The log-probability of the end of text comes last, if it was reached.
        """
        start = row * self.decoder.length
        stop = start + min(self.last_on_host[row] + 1, self.decoder.positions)
        tokens: list[int] = self.tokens[start + prompt_length : stop].tolist()
        logprobs: list[float] = self.logprob[start + prompt_length : stop].tolist()
        if self.rules.end in tokens:
            length = tokens.index(self.rules.end)
            return tokens[:length], logprobs[: length + 1]
        return tokens, logprobs

    def alignment(self, row: int, prompt_length: int, count: int, frames: int) -> Tensor:
        """Return the alignment heads' attention (heads, count, frames) of `count` tokens after the prompt."""
        return self.decoder.alignment(row, prompt_length - 1, count)[..., :frames].cpu()

    def move(self, source: int, target: int) -> None:
        """Copy everything of one row to the place of another."""
        for tensor in self._memory():
            tensor[target] = tensor[source]
        for values in self._host_memory():
            values[target] = values[source]

    def swap(self, one: int, other: int) -> None:
        """Exchange two rows."""
        for tensor in self._memory():
            tensor[[one, other]] = tensor[[other, one]]
        for values in self._host_memory():
            values[one], values[other] = values[other], values[one]

    def _host_memory(self) -> tuple[list[Any], ...]:
        return self.last_on_host, self.assistant_ready, self.assistant_length

    def _memory(self) -> list[Tensor]:
        """Return all memory, with the slot as first dimension."""
        by_position = (self.tokens, self.mode, self.min_timestamp, self.logprob)
        memory = [tensor.view(self.decoder.slots, -1) for tensor in by_position]
        memory += [self.last, self.temperature, self.ended, *self.decoder.memory()]
        if self.assistant is not None:
            memory += self.assistant.memory()
        return memory if self.states is None else [*memory, self.states]

    def _write(self, index: Tensor, picked: Picked) -> None:
        memory = (self.tokens, self.logprob, self.mode, self.min_timestamp)
        for tensor, value in zip(memory, _fields(picked), strict=True):
            tensor.index_copy_(0, index, value)


def _fields(picked: Picked) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return picked.token, picked.logprob, picked.mode, picked.min_timestamp
