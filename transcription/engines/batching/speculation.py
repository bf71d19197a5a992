"""When drafting pays: measured as it runs, and carried from request to request.

A round with k drafts writes (1 − αᵏ⁺¹) / (1 − α) tokens a row on average, α being how often a draft is what the
main model writes (Leviathan et al. 2023, eq. 1); a round without writes one. The k with the least time a token
is taken, the time of each kind of round being measured, and guessed from the models' sizes until then.
"""

from dataclasses import dataclass, field

CHOICES = (0, 1, 2, 3, 4, 6, 8)
"""Drafts a round."""
_PROBES = 0.01  # of all time may go into looking whether drafting would pay by now
_DECAY = 0.98  # of what is known of α, a draft
_NEWEST = 0.2  # weight of the newest time measured
_GAIN = 0.95  # drafting must take at most this share of the time
_QUERY = 0.1  # guess: what each further position adds to a round of the main model


@dataclass
class Speculation:
    """cost: the drafter's time over the main model's, as guessed from their sizes."""

    cost: float
    _agreed: float = 16.0  # a good assistant, until it is known better
    _offered: float = 20.0
    _seconds: dict[tuple[int, int], float] = field(default_factory=dict)
    _total: float = 0.0
    _probed: float = 0.0
    _probe: float = 0.0

    @property
    def agreement(self) -> float:
        """α."""
        return self._agreed / self._offered

    def choose(self, rows: int) -> int:
        """How many tokens to draft for each of so many rows; 0: none."""
        alone = self.seconds(rows, 0)
        if alone == 0.0:  # nothing is measured yet
            return 0
        each = {count: self.seconds(rows, count) / self._written(count) for count in CHOICES[1:]}
        best = min(each, key=each.__getitem__)
        return best if each[best] <= _GAIN * alone else 0

    def should_probe(self) -> bool:
        """Whether a single row may try a draft although drafting does not pay by what is known."""
        return self._probed + self._probe <= _PROBES * self._total

    def measured(self, rows: int, count: int, seconds: float) -> None:
        """A round of so many rows and drafts took so long."""
        key = _about(rows), count
        known = self._seconds.get(key, seconds)
        self._seconds[key] = known + _NEWEST * (seconds - known)
        self._total += seconds

    def probed(self, seconds: float) -> None:
        """A probe took so long, all in all."""
        self._probe = seconds
        self._probed += seconds
        self._total += seconds

    def agreed(self, kept: list[int], count: int) -> None:
        """So many of `count` drafts were right in each row."""
        for accepted in kept:
            offered = min(accepted + 1, count)  # nothing is known of those behind the first wrong one
            fade = _DECAY**offered
            self._agreed = self._agreed * fade + accepted
            self._offered = self._offered * fade + offered

    def seconds(self, rows: int, count: int) -> float:
        """How long a round takes, measured or guessed; 0.0 where nothing was ever measured."""
        known = self._seconds.get((_about(rows), count))
        if known is not None:
            return known
        if count:
            return self.seconds(rows, 0) * (1 + (self.cost + _QUERY) * count)
        sizes = [size for size, drafts in self._seconds if drafts == 0]
        if not sizes:
            return 0.0
        nearest = min(sizes, key=lambda size: abs(size - _about(rows)))
        return self._seconds[nearest, 0]

    def _written(self, count: int) -> float:
        alpha = min(self.agreement, 0.999)
        return (1 - alpha ** (count + 1)) / (1 - alpha)


def _about(rows: int) -> int:
    """The power of two at or above."""
    return 1 << (rows - 1).bit_length()
