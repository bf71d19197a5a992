"""SlotMemory: what is kept of every window in the batch, the decoded tokens among it.

Everything that a step reads and writes is a tensor that stays at its address, so that a GPU can replay the step.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from transcription.engines.batching.beam_search import Beams, BeamSearch
from transcription.engines.batching.cuda_graphs import CudaGraphs
from transcription.engines.batching.decoder import Decoder
from transcription.engines.batching.logits_rules import BEGIN, UNTIMED, UNTIMED_BEGIN, LogitsRules, Picked

GREEDY = Beams()


class SlotMemory:
    """Memory for `decoder.slots` windows, their decoding rules, and optionally a decoder that drafts.

    For each window, by node: its tokens, their log-probabilities, and the mode and lowest timestamp of its rules. The
    node of a token is its position, except in beam search. last: (slots,) position of the newest token. ended: (slots,)
    whether the window is done.
    """

    states: Tensor | None  # encoder states, for an assistant that starts later

    def __init__(
        self, decoder: Decoder, rules: LogitsRules, assistant: Decoder | None = None, graphs: CudaGraphs | None = None
    ) -> None:
        """Use the slots that the decoder has. The assistant must have as many."""
        self.decoder, self.rules, self.assistant, self.graphs = decoder, rules, assistant, graphs or CudaGraphs()
        self._reset()

    def resize(self, count: int) -> None:
        """Replace all slots by so many empty ones."""
        self.states = None  # free it before new memory is allocated, and that of the graphs
        self.graphs.forget()
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
        self.seed = torch.zeros(count, dtype=torch.long, device=device)
        self.ended = torch.zeros(count, dtype=torch.bool, device=device)
        self.base = torch.arange(count, device=device) * length
        self.beams = BeamSearch(count, length, self.rules.end, device)
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
                self.states = states.new_zeros((self.decoder.slots, self.decoder.frames, states.shape[2]))
            self.states[rows, : states.shape[1]] = states
        for row in range(rows.start, rows.stop):
            self.assistant_ready[row] = False

    def prefill(self, rows: slice, prompts: Sequence[Sequence[int]], record_alignment: bool = False) -> Tensor:
        """Read the prompt of each row, and return hidden states (rows, longest prompt, width).

        record_alignment: see Decoder.forward.
        """
        longest = max(map(len, prompts))
        tokens = torch.tensor([[*prompt, *[0] * (longest - len(prompt))] for prompt in prompts])
        tokens = tokens.to(self.decoder.device)
        positions = torch.arange(longest, device=tokens.device).expand_as(tokens)
        return self.decoder.forward(tokens, positions, rows, longest, record_alignment)

    def forget_prompt(self, row: int) -> None:
        """Make the assistant read a row from its first token on, as the row's prompt will change."""
        self.assistant_length[row] = 0

    def begin(
        self, row: int, prompt: Sequence[int], timed: bool, temperature: float = 0.0, seed: int = 0,
        beams: Beams = GREEDY, prefix: Sequence[int] = (),
    ) -> None:  # fmt: skip
        """Set a row to the end of its prompt and prefix, which are read.

        timed: decode timestamps. seed: decides which tokens are sampled at a temperature above 0, with one beam.
        prefix: text tokens that count as decoded, each with a probability of 1; only without timestamps and beams.
        """
        start, last = row * self.decoder.length, len(prompt) + len(prefix) - 1
        self.tokens[start : start + last + 1] = torch.tensor([*prompt, *prefix], device=self.tokens.device)
        self.logprob[start : start + last + 1] = 0.0
        self.mode[start + last] = BEGIN if timed else UNTIMED if prefix else UNTIMED_BEGIN
        self.min_timestamp[start + last] = 0
        self.last[row], self.temperature[row], self.seed[row], self.ended[row] = last, temperature, seed, False
        self.last_on_host[row] = last
        self.beams.begin(row, last + 1, beams)
        self.assistant_length[row] = min(self.assistant_length[row], last)

    def decoded(self, row: int, prompt_length: int) -> tuple[list[int], list[float]]:
        """Return the tokens between the prompt and the end of text, and their log-probabilities.

        The log-probability of the end of text comes last, if it was reached.
        """
        start = row * self.decoder.length
        if self.beams.size_on_host[row] > 1:
            nodes, end = self.beams.best(row, prompt_length)
            index = [start + node for node in nodes]
            return self.tokens[index].tolist(), [*self.logprob[index].tolist(), *([] if end is None else [end])]
        stop = start + min(self.last_on_host[row] + 1, self.decoder.positions)
        tokens: list[int] = self.tokens[start + prompt_length : stop].tolist()
        logprobs: list[float] = self.logprob[start + prompt_length : stop].tolist()
        if self.rules.end in tokens:
            length = tokens.index(self.rules.end)
            return tokens[:length], logprobs[: length + 1]
        return tokens, logprobs

    def alignment(self, row: int, prompt_length: int, count: int, frames: int) -> Tensor:
        """Return the alignment heads' attention (heads, count, frames) of `count` tokens after the prompt."""
        nodes = list(range(prompt_length - 1, prompt_length - 1 + count))
        if self.beams.size_on_host[row] > 1:
            nodes = [prompt_length - 1, *self.beams.best(row, prompt_length)[0]][:count]
        return self.decoder.alignment(row, nodes)[..., :frames].cpu()

    def ended_rows(self, rows: int) -> list[int]:
        """Return which of the first `rows` rows have ended."""
        return [row for row, ended in enumerate(self.ended[:rows].tolist()) if ended]

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

    def remove_dead_nodes(self, row: int) -> None:
        """Move the nodes of a row that are on a path to its first places, and forget the others."""
        kept = self.beams.kept_nodes(row)
        for tensor in (*self._memory_by_node(), *self.decoder.memory_by_node()):
            tensor[row, : len(kept)] = tensor[row, kept]
        self.beams.renumber(row, kept)

    def _host_memory(self) -> tuple[list[Any], ...]:
        decoders = [decoder for decoder in (self.decoder, self.assistant) if decoder is not None]
        frames = [decoder.used_frames for decoder in decoders]
        return self.last_on_host, self.assistant_ready, self.assistant_length, *frames, *self.beams.host_memory()

    def _memory(self) -> list[Tensor]:
        """Return all memory, with the slot as first dimension."""
        memory = [*self._memory_by_node(), *self.beams.memory(), *self.decoder.memory()]
        memory += [self.last, self.temperature, self.seed, self.ended]
        if self.assistant is not None:
            memory += self.assistant.memory()
        return memory if self.states is None else [*memory, self.states]

    def _memory_by_node(self) -> list[Tensor]:
        by_node = (self.tokens, self.mode, self.min_timestamp, self.logprob)
        return [tensor.view(self.decoder.slots, -1) for tensor in by_node]

    def write(self, index: Tensor, picked: Picked) -> None:
        """Write tokens and the state after them at nodes of all slots, (tokens,)."""
        memory = (self.tokens, self.logprob, self.mode, self.min_timestamp)
        for tensor, value in zip(memory, fields(picked), strict=True):
            tensor.index_copy_(0, index, value)


def fields(picked: Picked) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the parts of a picked token in the order in which they are kept."""
    return picked.token, picked.logprob, picked.mode, picked.min_timestamp
