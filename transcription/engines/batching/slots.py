"""Slots: the windows in the batch, and the steps that decode more of their tokens.

The rows in use are always the first ones: the last row takes the place of a row that leaves. No value is read on the
host within a step.
"""

from functools import partial

import torch
from torch import Tensor

from transcription.config import MAX_BEAMS
from transcription.engines.batching.decoder import Decoder
from transcription.engines.batching.logits_rules import Picked, Sampling
from transcription.engines.batching.slot_memory import SlotMemory, fields

_FEW_MISSING = 8  # tokens that the assistant reads of all rows together; a row that misses more is read alone
_STEPS_PER_SYNC = {"cuda": 8}  # steps between two checks which rows have ended; on a CPU a check costs nothing


class Slots(SlotMemory):
    """The windows in the batch, greedy, sampled or with beams, and optionally a decoder that drafts."""

    @property
    def steps_per_sync(self) -> int:
        """Steps between two checks which rows have ended."""
        return _STEPS_PER_SYNC.get(self.decoder.device.type, 1)

    def start_assistant(self, row: int, states: Tensor | None = None) -> None:
        """Give a window to the assistant. states: (1, frames, width), if it has an encoder of its own."""
        assert self.assistant is not None
        assert self.states is not None
        rows = slice(row, row + 1)
        if states is None:
            states = self.states[rows, : self.decoder.used_frames[row]]
        self.assistant.write_cross_kv(rows, states)
        self.assistant_ready[row], self.assistant_length[row] = True, 0

    def step(self, rows: int, record_alignment: bool, sample: bool) -> None:
        """Decode `steps_per_sync` tokens in each of the first `rows` rows.

        record_alignment: keep the queries of the alignment heads. sample: some rows have a temperature.
        """
        limit, width = self.decoder.length, self.beams.width(rows)
        if width > 1:
            self._make_room(rows)
        for _ in range(self.steps_per_sync):
            taken = self.graphs.round_rows(rows, self.decoder.slots)
            used = max(map(self._used, range(rows)))
            kv_length = self.graphs.round_kv_length(used, limit)
            shape = (taken, kv_length, record_alignment, sample)
            step = partial(self._step, *shape) if width == 1 else partial(self._step_beams, width, *shape)
            self.graphs((width, *shape), step)
            for row in range(rows):
                self.last_on_host[row] = min(self.last_on_host[row] + 1, limit - 1)
                self.beams.used_on_host[row] += self.beams.size_on_host[row]

    def _used(self, row: int) -> int:
        """Return the number of nodes of a row."""
        return self.last_on_host[row] + 1 if self.beams.size_on_host[row] == 1 else self.beams.used_on_host[row]

    def _make_room(self, rows: int) -> None:
        """Remove nodes on no path from rows that are almost full; a row that stays full has ended."""
        for row in range(rows):
            needed = self.beams.size_on_host[row] * self.steps_per_sync + MAX_BEAMS
            if self.beams.size_on_host[row] > 1 and self._used(row) + needed > self.decoder.length:
                self.remove_dead_nodes(row)
                if self._used(row) + needed > self.decoder.length:
                    self.ended[row] = True

    def _step(self, rows: int, kv_length: int, record_alignment: bool, sample: bool) -> None:
        last = self.last[:rows]
        index = self.base[:rows] + last
        unmasked = rows == 1 and not self.graphs.rounds
        hidden = self.decoder.forward(
            self.tokens[index][:, None], last[:, None], slice(0, rows), kv_length, record_alignment, unmasked
        )
        picked = self.rules.pick(
            self.decoder.logits(hidden)[:, 0], self.mode[index], self.min_timestamp[index],
            self._sampling(last[:, None]) if sample else None,
        )  # fmt: skip
        following = (last + 1).clamp_max(self.decoder.length - 1)  # an ended row may go on until that is seen
        self.write(self.base[:rows] + following, picked)
        self.last[:rows] = following
        self.ended[:rows] |= (picked.token == self.rules.end) | (following >= self.decoder.positions - 1)

    def _step_beams(self, width: int, rows: int, kv_length: int, record_alignment: bool, sample: bool) -> None:
        """Step rows of up to `width` beams, and greedy ones beside them."""
        last, base = self.last[:rows], self.base[:rows, None]
        leaf, attended = self.beams.nodes(rows, width, kv_length, last)
        index = base + leaf
        positions = last[:, None].expand(-1, width)
        hidden = self.decoder.forward(
            self.tokens[index], positions, slice(0, rows), kv_length, record_alignment, nodes=leaf, attended=attended
        )
        token, logprob = self.rules.candidates(
            self.decoder.logits(hidden).flatten(0, 1), self.mode[index].view(-1), self.min_timestamp[index].view(-1),
            width + 1, self._sampling(positions) if sample else None,
        )  # fmt: skip
        shape = (rows, width, width + 1)
        new, over = self.beams.advance(token.view(shape), logprob.view(shape), last, self.ended[:rows])
        parent = index.gather(1, new.parent)
        state = self.rules.state_after(new.token, self.mode[parent], self.min_timestamp[parent])
        picked = Picked(*(value.flatten() for value in (new.token, new.logprob, *state)))
        self.write((base + new.node).flatten(), picked)
        self.last[:rows] = (last + 1).clamp_max(self.decoder.length - 1)
        self.ended[:rows] |= over | (self.last[:rows] >= self.decoder.positions - 1)

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
        self._catch_up(assistant, rows)
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
            self.write(index, picked)
            positions = positions[:, -1:] + 1
        for row in range(rows):
            self.assistant_length[row] = self.last_on_host[row] + length

    def _catch_up(self, assistant: Decoder, rows: int) -> None:
        """Let the assistant read the tokens that were decoded without it, those before the last two of each row."""
        missing = [self.last_on_host[row] - 1 - self.assistant_length[row] for row in range(rows)]
        for row, count in enumerate(missing):
            if count > _FEW_MISSING:
                self._read(assistant, slice(row, row + 1), count)
        if few := max((count for count in missing if 0 < count <= _FEW_MISSING), default=0):
            self._read(assistant, slice(0, rows), few)

    def _read(self, assistant: Decoder, rows: slice, count: int) -> None:
        last = self.last[rows, None]
        positions = (last + torch.arange(-1 - count, -1, device=last.device)).clamp_min(0)
        tokens = self.tokens[self.base[rows, None] + positions]
        assistant.forward(tokens, positions, rows, max(self.last_on_host[rows]) - 1)

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
            self._sampling(positions) if sample else None,
        )  # fmt: skip
        tokens = picked.token.view(rows, -1)
        accepted = (tokens[:, :-1] == self.tokens[index[:, 1:]]).long().cumprod(1).sum(1)
        used = torch.minimum(accepted, (self.decoder.positions - 2 - last).clamp_min(0))  # as many as there is room for
        self.logprob[index + 1] = picked.logprob.view(rows, -1)
        chosen = torch.arange(rows, device=last.device) * (length + 1) + used
        following = last + used + 1
        self.write(base + following, Picked(*(value[chosen] for value in fields(picked))))
        self.last[:rows] = following
        ended = ((tokens == self.rules.end) & (steps <= used[:, None])).any(1)
        self.ended[:rows] |= ended | (following >= self.decoder.positions - 1)
        return accepted

    def _sampling(self, positions: Tensor) -> Sampling:
        """Return the sampling of tokens after the positions (rows, queries) of the first rows, flattened."""
        rows, queries = positions.shape
        key = self.seed[:rows, None] * 1_000_003 + positions
        return Sampling(self.temperature[:rows].repeat_interleave(queries), key.view(-1))
