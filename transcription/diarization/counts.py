"""The number of speakers: what a request asks for, and what was found."""

from collections.abc import Iterator, Mapping


def count_warnings(count: int, counts: Mapping[str, int]) -> Iterator[str]:
    """Yield a warning if the number of speakers is not what the request asks for."""
    found = f"{count} speaker{' was' if count == 1 else 's were'} found"
    for name in ("num_speakers", "min_speakers"):
        if count < counts.get(name, 0):
            reason = ": more voices cannot be told apart" if count else ""
            yield f"{found}, but {name} is {counts[name]}{reason}"
    if count > counts.get("num_speakers", count):
        yield f"{found}, but num_speakers is {counts['num_speakers']}"
    if count > counts.get("max_speakers", count):
        yield f"{found}, but max_speakers is {counts['max_speakers']}"
