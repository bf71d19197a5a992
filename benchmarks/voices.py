"""Measure the naming of known speakers: `python -m benchmarks.voices --diarization-model DIR --recordings MANIFEST`.

Each clip of a reader is a sample of at most 10 s once, and a recording of the others once. The name of a LibriSpeech
clip begins with the number of its reader. All other clips of the manifest are those of strangers.

Equal-error rate: of all pairs of a sample and a recording. Recall: recordings of a known speaker that get the name.
False naming: recordings of strangers that get a name, with one and with four known speakers.
"""

import argparse
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np

from transcription.audio import Audio, read_file
from transcription.config import InferenceConfig, KnownSpeaker, ModelSettings
from transcription.diarization.pyannote import Diarizer
from transcription.errors import InvalidRequest
from transcription.transcript import Voiceprint

SAMPLE_SECONDS = 10
KNOWN = 4  # OpenAI's limit
_READER = re.compile(r"(?:libri|derived-phone-libri)-(\d+)-|(sb-spk\d+)_|(ps-sense)|(ps-cards)|(jfk)")
_STRANGERS = frozenset({"clean read", "other-language"})


@dataclass(frozen=True)
class Clip:
    """A clip of one speaker. sample: the voice as of a sample; None if it is refused. recording: of a recording."""

    file: str
    speaker: str
    seconds: float
    sample: Voiceprint | None
    recording: Voiceprint | None
    refusal: str | None


def clips(manifest: Path) -> Iterator[tuple[Path, str]]:
    """Yield the file and the speaker of each clip with one speaker. Speakers of FLEURS are known by language only."""
    for line in manifest.read_text().splitlines():
        entry = json.loads(line)
        if entry["kind"] in _STRANGERS:
            reader = _READER.match(entry["file"])
            name = next(part for part in reader.groups() if part) if reader else f"other-{entry['language']}"
            yield manifest.parent / entry["file"], name


def telephone(audio: Audio) -> Audio:
    """Return audio as of a bad telephone line: 300 to 3400 Hz, with white noise 10 dB below the speech."""
    spectrum, rates = np.fft.rfft(audio.samples), np.fft.rfftfreq(len(audio.samples), 1 / audio.sample_rate)
    band = np.fft.irfft(spectrum * ((rates >= 300) & (rates <= 3400)), len(audio.samples))
    noise = np.random.default_rng(0).normal(0, np.sqrt(np.mean(band**2) / 10), len(band))
    return Audio((band + noise).astype(np.float32), audio.sample_rate)


def measure(diarizer: Diarizer, path: Path, speaker: str, is_telephone: bool = False) -> Clip:
    """Return the voices of a clip. is_telephone: the recording is, and the sample is not."""
    audio, refusal, sample = read_file(path), None, None
    try:
        part = Audio(audio.samples[: SAMPLE_SECONDS * audio.sample_rate])
        sample = diarizer.voice(KnownSpeaker(name=speaker, reference=""), part)
    except InvalidRequest as error:
        refusal = str(error)
    voices = diarizer.diarize(
        telephone(audio) if is_telephone else audio, InferenceConfig(voiceprints=True)
    ).voiceprints
    return Clip(path.name, speaker, audio.duration, sample, voices.get("SPEAKER_00"), refusal)


def same_and_other(found: Sequence[Clip]) -> tuple[list[float], list[float]]:
    """Return the scores of all pairs of one speaker and of two speakers."""
    same, other = [], []
    for known in found:
        for clip in found:
            if known.sample is None or clip.recording is None or clip is known:
                continue
            if clip.speaker != known.speaker:
                other.append(clip.recording.similarity(known.sample))
            elif not clip.speaker.startswith("other-"):
                same.append(clip.recording.similarity(known.sample))
    return same, other


def equal_error_rate(same: Sequence[float], other: Sequence[float]) -> tuple[float, float]:
    """Return the rate and the threshold at which misses and false alarms are equally frequent."""
    thresholds = np.unique([*same, *other])
    misses = np.searchsorted(np.sort(same), thresholds) / len(same)
    alarms = 1 - np.searchsorted(np.sort(other), thresholds) / len(other)
    at = int(np.argmin(np.abs(misses - alarms)))
    return float(misses[at] + alarms[at]) / 2, float(thresholds[at])


def false_naming(found: Sequence[Clip], threshold: float, known: int) -> float:
    """Return the share of strangers who get a name, over all recordings and all sets of speakers, one sample each."""
    samples: dict[str, Voiceprint] = {}
    for clip in found:
        if clip.sample is not None and not clip.speaker.startswith("other-"):
            samples.setdefault(clip.speaker, clip.sample)
    named = total = 0
    for clip in found:
        if clip.recording is None:
            continue
        scores = [clip.recording.similarity(voice) for name, voice in samples.items() if name != clip.speaker]
        for group in combinations(scores, known):
            named += max(group) >= threshold
            total += 1
    return named / total


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--diarization-model", required=True)
    parser.add_argument("--recordings", type=Path, required=True, metavar="MANIFEST")
    parser.add_argument("--min-seconds", type=float, default=2.0, help="shorter clips are left out")
    parser.add_argument("--telephone", action="store_true", help="recordings through a telephone band, with noise")
    options = parser.parse_args()
    diarizer = Diarizer(ModelSettings(asr_model="none", diarization_model=options.diarization_model))
    found = [measure(diarizer, path, speaker, options.telephone) for path, speaker in clips(options.recordings)]
    found = [clip for clip in found if clip.seconds >= options.min_seconds]
    report(found)
    print_two_voices(diarizer, options.recordings)


def print_two_voices(diarizer: Diarizer, manifest: Path, seconds: int = 4) -> None:
    """Print how many samples of two people are refused: the first seconds of a clip, and those of the next speaker."""
    first: dict[str, Audio] = {}
    for path, speaker in clips(manifest):
        audio = read_file(path)
        if audio.duration >= seconds:
            first.setdefault(speaker, Audio(audio.samples[: seconds * audio.sample_rate]))
    refused = 0
    pairs = list(pairwise(first.values()))
    for pair in pairs:
        try:
            diarizer.voice(KnownSpeaker(name="two", reference=""), Audio(np.concatenate([one.samples for one in pair])))
        except InvalidRequest:
            refused += 1
    print(f"{refused} of {len(pairs)} samples of two people are refused")


def report(found: Sequence[Clip]) -> None:
    """Print the figures of clips."""
    same, other = same_and_other(found)
    rate, at = equal_error_rate(same, other)
    print(f"{len(found)} clips, {len(same)} pairs of one speaker, {len(other)} of two; EER {rate:.2%} at {at:.2f}")
    for clip in found:
        if clip.refusal or clip.recording is None:
            print(f"{clip.file}: {clip.refusal or 'no voice in the recording'}")
    print("| threshold | recall | false naming, 1 known | false naming, 4 known |\n|---|---|---|---|")
    for threshold in np.arange(0.3, 0.71, 0.05):
        recall = np.mean(np.array(same) >= threshold)
        print(
            f"| {threshold:.2f} | {recall:.1%} | {false_naming(found, threshold, 1):.2%}"
            f" | {false_naming(found, threshold, KNOWN):.2%} |"
        )


if __name__ == "__main__":
    main()
