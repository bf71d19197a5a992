"""Speculation: how many tokens to draft, from what drafting has cost and gained so far.

A round with k drafts yields (1 − αᵏ⁺¹) / (1 − α) tokens per row on average, where α is the acceptance rate (Leviathan
et al. 2023, eq. 1); a round without drafts yields one. The k with the least time per token is chosen. The time of each
kind of round is measured; until then it is estimated from the models' sizes. A measurement is trusted less with every
round of another kind, so that one slow moment does not decide for ever. Drafting pauses when its rounds have lost more
than they gained, until 1 % of the time without drafts makes up for that.
"""

from dataclasses import dataclass, field

DRAFT_LENGTHS = (0, 1, 2, 3, 4, 6, 8)
_PROBE_SHARE = 0.01  # of all time may be spent on probing whether drafting pays by now
_DECAY = 0.98  # per draft, of what is known of the acceptance rate
_SLOWER, _FASTER = 0.1, 0.4  # weight of the newest measurement; other work on the machine can only make it slower
_MAX_SLOWER = 2.0  # times the known time: more is the machine's doing
_FADE = 0.999  # per round of another kind, of the trust in a measurement
_TRUSTED = 0.85  # a round without drafts is measured again below this
_MAX_RATIO = 0.95  # drafting must take at most this share of the time without it
_QUERY_COST = 0.1  # estimate: what each further position adds to a round of the main model
_MAX_CREDIT, _MIN_CREDIT = 20.0, -10.0  # rounds without drafts that drafting may lose, and that it must save up again
_RESUME_CREDIT = 4.0  # after a pause
_WINDOW_TOKENS = 50  # over which the time is spread that the assistant needs to begin a window


@dataclass
class Measurement:
    """The time of one kind of round. trust: 0 (nothing is known) to 1."""

    seconds: float
    trust: float = 0.0

    def update(self, seconds: float) -> None:
        """Take in a new time; it weighs more the less the known one is trusted."""
        weight = _SLOWER if seconds > self.seconds else _FASTER
        if self.trust > 0:
            seconds = min(seconds, _MAX_SLOWER * self.seconds)
        self.seconds += max(weight, 1 - self.trust) * (seconds - self.seconds)
        self.trust = (1 + self.trust) / 2


@dataclass
class Speculation:
    """Measurements of drafting, kept from request to request.

    draft_cost: time of the assistant over time of the main model, estimated from their sizes.
    """

    draft_cost: float
    _accepted: float = 16.0  # start as a good assistant
    _offered: float = 20.0
    _rounds: dict[tuple[int, int], Measurement] = field(default_factory=dict)
    _start: Measurement | None = None
    _total: float = 0.0
    _probing: float = 0.0
    _last_probe: float = 0.0
    _tokens: float = 1.0  # of the last round with drafts, for each row
    _credit: float = _MAX_CREDIT / 2
    _is_paused: bool = False

    @property
    def acceptance_rate(self) -> float:
        """The share of drafts that are what the main model decodes, α."""
        return self._accepted / self._offered

    def choose_draft_length(self, rows: int) -> int:
        """Return how many tokens to draft for each of so many rows; 0 means none."""
        measured = self._rounds.get((_bucket(rows), 0))
        if self._is_paused or measured is None or measured.trust < _TRUSTED:
            return 0  # the last: it is what drafts are compared with
        start = 0.0 if self._start is None else rows * self._start.seconds / _WINDOW_TOKENS
        per_token = {
            length: self.round_seconds(rows, length) / self._tokens_per_round(length) + start
            for length in DRAFT_LENGTHS[1:]
        }
        best = min(per_token, key=per_token.__getitem__)
        return best if per_token[best] <= _MAX_RATIO * measured.seconds else 0

    def should_probe(self) -> bool:
        """Return whether one row may try a draft although drafting does not pay by the measurements."""
        return self._probing + self._last_probe <= _PROBE_SHARE * self._total

    def record_round(self, rows: int, length: int, seconds: float) -> None:
        """Record the time of a round of so many rows and drafts."""
        bucket = _bucket(rows)
        self._rounds.setdefault((bucket, length), Measurement(seconds)).update(seconds)
        for (other, drafts), measurement in self._rounds.items():
            if other == bucket and drafts != length:
                measurement.trust *= _FADE
        self._total += seconds
        without = self.round_seconds(rows, 0)
        if length == 0:
            self._earn(_PROBE_SHARE)
        elif without:
            self._earn(self._tokens - min(seconds / without, 1.0 + length))

    def record_start(self, seconds: float) -> None:
        """Record the time in which the assistant began one window. It is no part of a round's time."""
        if self._start is None:
            self._start = Measurement(seconds)
        self._start.update(seconds)
        if without := self.round_seconds(1, 0):
            self._earn(-min(seconds / without, _RESUME_CREDIT))

    def record_probe(self, seconds: float) -> None:
        """Record the whole time of a probe."""
        self._last_probe = seconds
        self._probing += seconds
        self._total += seconds

    def record_acceptance(self, accepted: list[int], length: int) -> None:
        """Record how many of `length` drafts were accepted in each row, before the time of that round."""
        self._tokens = 1.0 + sum(accepted) / max(len(accepted), 1)
        for count in accepted:
            offered = min(count + 1, length)  # the drafts after the first wrong one say nothing
            fade = _DECAY**offered
            self._accepted = self._accepted * fade + count
            self._offered = self._offered * fade + offered

    def round_seconds(self, rows: int, length: int) -> float:
        """Return the time of a round, measured or estimated; 0.0 if nothing was ever measured."""
        known = self._rounds.get((_bucket(rows), length))
        if length:
            estimated = self.round_seconds(rows, 0) * (1 + self._added_share(rows) * length)
            return estimated if known is None else known.trust * known.seconds + (1 - known.trust) * estimated
        if known is not None:
            return known.seconds
        sizes = [size for size, drafts in self._rounds if drafts == 0]
        if not sizes:
            return 0.0
        nearest = min(sizes, key=lambda size: abs(size - _bucket(rows)))
        return self._rounds[nearest, 0].seconds

    def _earn(self, rounds: float) -> None:
        """Add rounds without drafts that were saved, or take those that were lost."""
        self._credit = min(max(self._credit + rounds, _MIN_CREDIT), _MAX_CREDIT)
        self._is_paused = self._credit < (_RESUME_CREDIT if self._is_paused else 0.0)

    def _added_share(self, rows: int) -> float:
        """Return what a draft adds to a round, as a share of the round without drafts.

        It is the least that is known, so that what may pay is tried.
        """
        without, bucket = self.round_seconds(rows, 0), _bucket(rows)
        shares = [
            (one.seconds / without - 1) / length
            for (size, length), one in self._rounds.items()
            if size == bucket and length and without
        ]
        return max(min([self.draft_cost + _QUERY_COST, *shares]), 0.0)

    def _tokens_per_round(self, length: int) -> float:
        alpha = min(self.acceptance_rate, 0.999)
        return (1 - alpha ** (length + 1)) / (1 - alpha)


def _bucket(rows: int) -> int:
    """Return the power of two at or above `rows`."""
    return 1 << (rows - 1).bit_length()
