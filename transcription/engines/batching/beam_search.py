"""Beam search inside the slots: the beams of a window are paths in one tree of tokens.

Each token is a node: a place in the memory of its slot. A beam attends to the nodes of its own path alone. So a beam
that continues another one copies nothing, beams share their past and the encoder's keys and values, and all beams of a
window are queries of one pass of the decoder.

The rule is that of openai/whisper (decoding.py, BeamSearchDecoder and MaximumLikelihoodRanker). A beam that ends is a
candidate. The search is over when `beam_size` × `patience` candidates are found; the one with the best score wins.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from transcription.config import MAX_BEAMS

SPARE_NODES = 320
"""Nodes of a slot beyond one for each position. Nodes on no path are removed when a slot is full."""
_NEVER = float("-inf")


@dataclass(frozen=True)
class Beams:
    """How a window is searched. size: number of beams, 1 is greedy. max_finished: candidates after which it is over.

    length_penalty: exponent of Google NMT's penalty; None divides the score by the number of tokens.
    """

    size: int = 1
    max_finished: int = 1
    length_penalty: float | None = None


@dataclass(frozen=True)
class Continuations:
    """The next token of each beam, (rows, beams). parent: the beam that it continues. node: its place."""

    token: Tensor
    logprob: Tensor
    parent: Tensor
    node: Tensor


@dataclass(frozen=True)
class _Candidates:
    """Tokens that may continue the beams of each row, best first: (rows, candidates)."""

    token: Tensor
    logprob: Tensor
    total: Tensor
    beam: Tensor


class BeamSearch:
    """The trees of all slots. No value is read on the host within `advance`.

    size: (slots,) number of beams. prompt_length, used: (slots,) number of nodes. leaf, total: (slots, beams) newest
    node, and sum of the log-probabilities. path: (slots, beams, length) whether a node is on the path of a beam.
    best_path (slots, length), best_score, best_end (slots,): path, score and log-probability of the end of text of the
    best candidate.
    """

    def __init__(self, slots: int, length: int, end: int, device: torch.device) -> None:
        """Allocate `length` nodes for each slot. end: the token that ends a text."""
        self.length, self.end = length, end

        def zeros(*shape: int, dtype: torch.dtype = torch.long) -> Tensor:
            return torch.zeros(slots, *shape, dtype=dtype, device=device)

        self.size, self.max_finished, self.finished = zeros() + 1, zeros() + 1, zeros()
        self.prompt_length, self.used, self.leaf = zeros(), zeros(), zeros(MAX_BEAMS)
        self.path, self.best_path = zeros(MAX_BEAMS, length, dtype=torch.bool), zeros(length, dtype=torch.bool)
        self.total, self.best_score = zeros(MAX_BEAMS, dtype=torch.float), zeros(dtype=torch.float)
        self.best_end, self.length_penalty = zeros(dtype=torch.float), zeros(dtype=torch.float)
        self.size_on_host, self.used_on_host = [1] * slots, [0] * slots

    def memory(self) -> list[Tensor]:
        """Return all memory, with the slot as first dimension."""
        return [
            self.size, self.max_finished, self.finished, self.prompt_length, self.used, self.leaf, self.path,
            self.best_path, self.total, self.best_score, self.best_end, self.length_penalty,
        ]  # fmt: skip

    def host_memory(self) -> tuple[list[Any], ...]:
        """Return what is kept on the host for each slot."""
        return self.size_on_host, self.used_on_host

    def begin(self, row: int, prompt_length: int, beams: Beams) -> None:
        """Start with one beam at the end of a prompt."""
        self.size_on_host[row], self.used_on_host[row] = beams.size, prompt_length
        self.size[row], self.max_finished[row], self.finished[row] = beams.size, beams.max_finished, 0
        if beams.size == 1:
            return
        self.prompt_length[row], self.used[row], self.leaf[row] = prompt_length, prompt_length, prompt_length - 1
        self.path[row], self.best_path[row] = False, False
        self.path[row, :, :prompt_length] = True
        self.total[row], self.best_score[row] = _NEVER, _NEVER
        self.total[row, 0] = 0.0
        self.length_penalty[row] = float("nan") if beams.length_penalty is None else beams.length_penalty

    def width(self, rows: int) -> int:
        """Return the largest number of beams in the first `rows` rows."""
        return max(self.size_on_host[:rows], default=1)

    def nodes(self, rows: int, width: int, kv_length: int, last: Tensor) -> tuple[Tensor, Tensor]:
        """Return the newest node of each beam (rows, width), and the nodes that it attends to (…, kv_length).

        last: (rows,) position of the newest token. A greedy row has one beam, and its nodes are its positions. Beams
        that a row does not have repeat its first one.
        """
        numbers = torch.arange(width, device=last.device)
        beam = numbers * (numbers < self.size[:rows, None])
        greedy = (self.size[:rows] == 1)[:, None]
        leaf = torch.where(greedy, last[:, None], self.leaf[:rows].gather(1, beam))
        path = self.path[:rows, :, :kv_length].gather(1, beam[..., None].expand(-1, -1, kv_length))
        before = torch.arange(kv_length, device=last.device) <= last[:, None]
        return leaf, torch.where(greedy[..., None], before[:, None], path)

    def advance(self, token: Tensor, logprob: Tensor, last: Tensor, ended: Tensor) -> tuple[Continuations, Tensor]:
        """Continue the beams of the first rows with their best tokens, and say which rows are over (rows,).

        token, logprob: (rows, beams, candidates), best first. last: (rows,) position of the newest token. ended:
        (rows,) rows that are over already; nothing of them changes.
        """
        rows, width, _ = token.shape
        candidates = self._rank(token, logprob)
        greedy = (self.size[:rows] == 1)[:, None]
        possible = candidates.total > _NEVER
        is_end = (candidates.token == self.end) & ~greedy
        lives = possible & ~is_end
        better = lives.cumsum(1) - lives.long()  # how many beams go on before this candidate's turn
        finishes = possible & is_end & (better < self.size[:rows, None]) & ~ended[:, None]
        finishes &= self.finished[:rows, None] + finishes.cumsum(1) <= self.max_finished[:rows, None]
        self._keep_best(candidates, finishes, last + 1 - self.prompt_length[:rows])
        self.finished[:rows] += finishes.sum(1)

        total, chosen = candidates.total.masked_fill(~lives | (better >= self.size[:rows, None]), _NEVER).topk(width)
        first = torch.where(greedy[:, 0], last + 1, self.used[:rows])
        node = first[:, None] + torch.arange(width, device=token.device)
        next_token = candidates.token.gather(1, chosen)
        continuations = Continuations(
            next_token, candidates.logprob.gather(1, chosen), candidates.beam.gather(1, chosen), node
        )
        over = (self.finished[:rows] >= self.max_finished[:rows]) | (total[:, 0] == _NEVER)
        over = torch.where(greedy[:, 0], next_token[:, 0] == self.end, over)
        self._grow(continuations, total, ended)
        return continuations, over

    def _rank(self, token: Tensor, logprob: Tensor) -> _Candidates:
        """Return the candidates of all beams, the best sum of log-probabilities first."""
        rows, width, count = token.shape
        greedy = self.size[:rows] == 1
        # A number as an argument of torch.where would be copied from the host: no GPU can capture that.
        total = self.total[:rows, :width].masked_fill(greedy[:, None], 0.0)[..., None] + logprob
        # A greedy row has its first candidate alone, which may be sampled.
        total[:, 1:] = total[:, 1:].masked_fill(greedy[:, None, None], _NEVER)
        total[..., 1:] = total[..., 1:].masked_fill(greedy[:, None, None], _NEVER)
        total, order = total.flatten(1).sort(dim=1, descending=True, stable=True)
        return _Candidates(
            token.flatten(1).gather(1, order), logprob.flatten(1).gather(1, order), total, order // count
        )

    def _keep_best(self, candidates: _Candidates, finishes: Tensor, lengths: Tensor) -> None:
        """Keep the best candidate of each row."""
        rows = len(lengths)
        scores = self._scores(candidates.total, lengths, self.length_penalty[:rows])
        score, number = scores.masked_fill(~finishes, _NEVER).max(1, keepdim=True)
        is_better = score[:, 0] > self.best_score[:rows]
        beam = candidates.beam.gather(1, number)
        path = self.path[:rows].gather(1, beam[..., None].expand(-1, -1, self.length))[:, 0]
        self.best_path[:rows] = torch.where(is_better[:, None], path, self.best_path[:rows])
        end = candidates.logprob.gather(1, number)[:, 0]
        self.best_end[:rows] = torch.where(is_better, end, self.best_end[:rows])
        self.best_score[:rows] = torch.where(is_better, score[:, 0], self.best_score[:rows])

    def _scores(self, total: Tensor, lengths: Tensor, length_penalty: Tensor) -> Tensor:
        """Return the scores by which candidates are compared (openai/whisper, MaximumLikelihoodRanker)."""
        penalty = ((5 + lengths) / 6) ** length_penalty.nan_to_num()
        return total / torch.where(length_penalty.isnan(), lengths.clamp_min(1).float(), penalty)[:, None]

    def _grow(self, new: Continuations, total: Tensor, ended: Tensor) -> None:
        rows, width = new.token.shape
        path = self.path[:rows].gather(1, new.parent[..., None].expand(-1, -1, self.length))
        path.scatter_(2, new.node[..., None], True)
        goes_on = ~ended & (self.size[:rows] > 1)
        self.path[:rows, :width] = torch.where(goes_on[:, None, None], path, self.path[:rows, :width])
        self.leaf[:rows, :width] = torch.where(goes_on[:, None], new.node, self.leaf[:rows, :width])
        self.total[:rows, :width] = torch.where(goes_on[:, None], total, self.total[:rows, :width])
        grown = (self.used[:rows] + self.size[:rows]).clamp_max(self.length - MAX_BEAMS)
        self.used[:rows] = torch.where(goes_on, grown, self.used[:rows])

    def best(self, row: int, prompt_length: int) -> tuple[list[int], float | None]:
        """Return the nodes of the best text after the prompt, and the log-probability of its end.

        If too few candidates were found, the best unfinished beams are candidates too, whose end is None.
        """
        score, path, end = float(self.best_score[row]), self.best_path[row], float(self.best_end[row])
        missing = self.size_on_host[row] - int(self.finished[row])
        unfinished = self.total[row].argsort(descending=True)[: max(missing, 0)].tolist()
        best_end: float | None = end if score > _NEVER else None
        for beam in unfinished:
            length = self.path[row, beam, prompt_length:].sum()[None]
            live = float(self._scores(self.total[row, beam][None, None], length, self.length_penalty[row : row + 1]))
            if live > score:
                score, path, best_end = live, self.path[row, beam], None
        return (path[prompt_length:].nonzero()[:, 0] + prompt_length).tolist(), best_end

    def kept_nodes(self, row: int) -> Tensor:
        """Return the nodes of a row that are on a path, in order."""
        alive = self.total[row] > _NEVER
        return (self.path[row][alive].any(0) | self.best_path[row]).nonzero()[:, 0]

    def renumber(self, row: int, kept: Tensor) -> None:
        """Follow the nodes `kept`, which moved to the first places of the slot."""
        count = len(kept)
        for path in (self.path[row], self.best_path[row][None]):
            path[:, :count] = path[:, kept].clone()
            path[:, count:] = False
        self.leaf[row] = torch.searchsorted(kept, self.leaf[row]).clamp_max(count - 1)
        self.used[row] = self.used_on_host[row] = count
