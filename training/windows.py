"""Training windows: sentences placed on a time line of 4 to 30 s, mixed with noise in mel power, and
what the model shall answer, token by token and frame by frame."""

import random
from dataclasses import dataclass, field

import numpy as np
from scipy.signal import lfilter
from transformers import WhisperTokenizerFast

from training.corpus import FRAMES_PER_SECOND, MELS, Clip, mel_filters, mel_power
from training.sentences import VOCABULARY, words_of

IGNORE = -100
FRAME_CLASSES = {
    word: index
    for index, word in enumerate(sorted({w.lower() for v in VOCABULARY.values() for w in v}), start=1)
}  # class 0: nobody speaks
HEARD_SHARE = 0.7  # a word cut by the window's edge counts when so much of it is inside


@dataclass(frozen=True)
class Window:
    """One training example.

    mel: (2·frames, 80) as Whisper's feature extractor scales it. tokens: decoder input and, shifted,
    its targets (IGNORE where nothing is to be learnt). frame_words: the word class of each 20 ms
    frame. gaze: for each target position the span of frames that it speaks of, or None; glance: the
    same for the word before it. offset: frames that the window stands away from the start of its 30 s.
    """

    mel: np.ndarray
    tokens: list[int]
    targets: list[int]
    frame_words: np.ndarray
    gaze: list[tuple[int, int] | None]
    glance: list[tuple[int, int] | None]
    offset: int


@dataclass
class Mixer:
    """Makes windows from clips. One a process; the noise bank is made at the start."""

    clips: list[Clip]
    tokenizer: WhisperTokenizerFast
    rng: random.Random
    augment: bool = True
    _bank: list[np.ndarray] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._by_language = {
            code: [clip for clip in self.clips if clip.language == code] for code in ("en", "de")
        }
        self._ids = self.tokenizer.get_vocab()
        self._noise = np.random.default_rng(self.rng.randrange(2**32))
        filters = mel_filters()
        self._bank = [mel_power(sound, filters) for sound in _noises(self._noise)]

    def window(self, seconds: float) -> Window:
        """A random window of the given length."""
        rng, frames = self.rng, int(seconds * 50)
        offset = rng.choice((0, rng.randint(0, 1500 - frames)))
        language = rng.choice(("en", "de"))
        translate = language == "de" and rng.random() < 0.3
        placed = [] if rng.random() < 0.06 else self._place(language, seconds, translate)
        power = self._mix(placed, int(seconds * FRAMES_PER_SECOND))
        tokens, targets, gaze, glance = self._answer(placed, language, translate, seconds, offset)
        words = np.zeros(frames, np.int64)
        for clip, start in placed:
            for word, span in zip(words_of(clip.text), clip.word_times, strict=True):
                first, last = (round((start + edge) * 50) for edge in span)
                words[max(first, 0) : max(last, 0)] = FRAME_CLASSES[word]
        return Window(scaled(power), tokens, targets, words, gaze, glance, offset)

    def _place(self, language: str, seconds: float, translate: bool) -> list[tuple[Clip, float]]:
        """Clips and where they start; the first and the last may be cut by the window's edges."""
        rng = self.rng
        clips = self._by_language[language]
        end = seconds if rng.random() < 0.5 else rng.uniform(min(2.0, seconds), seconds)
        at = rng.uniform(-1.5, 0.0) if rng.random() < 0.25 and not translate else rng.uniform(0, 0.8)
        may_cut = rng.random() < 0.35 and not translate
        longest_gap = rng.choice((0.3, 1.0, 3.0))
        placed: list[tuple[Clip, float]] = []
        while at < end - 0.5:
            clip = rng.choice(clips)
            while translate and not clip.english:
                clip = rng.choice(clips)
            length = clip.word_times[-1][1]
            if at + length > seconds - 0.05 and not (may_cut and at < seconds - 0.5):
                if placed or at + length > seconds:
                    break
            placed.append((clip, at))
            if rng.random() < 0.07:  # the same thing said twice
                again = at + length + 0.2
                if again + length < seconds:
                    placed.append((clip, again))
                    at = again
            at += length + rng.uniform(0.12, longest_gap)
        return placed

    def _mix(self, placed: list[tuple[Clip, float]], frames: int) -> np.ndarray:
        """Mel power of the window: speech with gain, colour and reverb, over a noise floor."""
        rng = self.rng
        power = np.zeros((frames, MELS), np.float32)
        level = 10 ** rng.uniform(-3.0, 0.5)
        colour = 10 ** np.interp(np.arange(MELS), [0, 25, 50, 79], [rng.gauss(0, 0.35) for _ in "abcd"])
        for clip, start in placed:
            mel = 10 ** clip.log_mel.astype(np.float32) * (level * 10 ** rng.uniform(-0.6, 0.6))
            first = round(start * FRAMES_PER_SECOND)
            skip, first = max(-first, 0), max(first, 0)
            part = mel[skip : skip + frames - first]
            power[first : first + len(part)] += part
        if not self.augment:
            return power
        power *= colour.astype(np.float32)
        if rng.random() < 0.3:  # reverberation: every band decays exponentially
            decay = 10 ** (-6 / (rng.uniform(0.15, 0.7) * FRAMES_PER_SECOND))
            wet = rng.uniform(0.02, 0.25)
            tail = lfilter([0.0, 1 - decay], [1.0, -decay], power, axis=0).astype(np.float32)
            power = power + wet * tail
        speech = power.max(axis=1)
        talk = speech > speech.max() * 1e-2
        loud = float(speech[talk].mean()) if talk.any() else level
        if rng.random() < 0.6:
            noise = rng.choice(self._bank)
            at = rng.randrange(len(noise) - frames)
            part = noise[at : at + frames]
            snr = rng.choice((rng.uniform(4, 15), rng.uniform(10, 40)))
            mean = float(power.sum() / talk.sum()) if talk.any() else loud
            power = power + part * (mean / float(part.sum(axis=1).mean()) * 10 ** (-snr / 10))
        if rng.random() < 0.15:  # telephone band
            power[:, :8] *= 1e-4
            power[:, 56:] *= 1e-5
        if rng.random() < 0.5:
            power = power + np.float32(loud * 10 ** rng.uniform(-9, -4))
        if rng.random() < 0.4 and placed:  # what follows is digital silence, as a padded clip has it
            last = round((placed[-1][1] + placed[-1][0].word_times[-1][1] + 0.1) * FRAMES_PER_SECOND)
            power[last + rng.randint(0, 100) :] = 0
        return power

    def _answer(
        self, placed: list[tuple[Clip, float]], language: str, translate: bool, seconds: float, offset: int
    ) -> tuple[list[int], list[int], list[tuple[int, int] | None], list[tuple[int, int] | None]]:
        rng, ids = self.rng, self._ids
        timestamps = rng.random() < 0.65
        prompt: list[int] = []
        if placed and rng.random() < 0.25:
            before = rng.choices(self._by_language[language], k=rng.randint(1, 3))
            text = "".join(" " + (c.english or c.text if translate else c.text) for c in before)
            prompt = [ids["<|startofprev|>"], *self._encode(text)]
        head = [ids["<|startoftranscript|>"], ids[f"<|{language}|>"]]
        head.append(ids["<|translate|>" if translate else "<|transcribe|>"])
        if not timestamps:
            head.append(ids["<|notimestamps|>"])
        body: list[int] = []
        gaze: list[tuple[int, int] | None] = []

        def add(token: int, span: tuple[float, float] | None = None) -> None:
            body.append(token)
            frames = None
            if span is not None:
                first = min(max(int(span[0] * 50), 0), int(seconds * 50) - 1)
                frames = (first, min(max(round(span[1] * 50), first + 1), int(seconds * 50)))
            gaze.append(frames)

        def stamp(time: float, span: tuple[float, float]) -> None:
            if timestamps:
                place = min(max(round(time * 50), 0), int(seconds * 50)) + offset
                add(ids["<|0.00|>"] + place, None if translate else span)

        for index, (clip, start) in enumerate(placed):
            spans = [(start + first, start + last) for first, last in clip.word_times]
            heard = [
                min(last, seconds) - max(first, 0) >= HEARD_SHARE * (last - first) - 1e-6
                for first, last in spans
            ]
            if not any(heard):
                continue
            first_word, last_word = heard.index(True), len(heard) - 1 - heard[::-1].index(True)
            begin, end = spans[first_word][0], spans[last_word][1]
            stamp(begin, (begin - 0.1, begin + 0.06))
            if translate:
                for token in self._encode(" " + clip.english):
                    add(token)
            else:
                self._add_words(clip.text, spans, heard, add)
            if last_word == len(heard) - 1 and end <= seconds:  # a sentence cut at the end stays open
                after = placed[index + 1][1] if index + 1 < len(placed) else end + 0.5
                stamp(end, (end, max(min(after, end + 0.5), end + 0.04)))
        silent = not body
        if silent and timestamps:
            add(ids["<|0.00|>"] + offset)
        add(ids["<|endoftext|>"])
        lead = [*prompt, *head]
        tokens = [*lead, *body[:-1]]
        targets = [IGNORE] * (len(lead) - 1) + body
        start = len(prompt)
        targets[start : start + len(head) - 1] = head[1:]
        if silent:  # Whisper marks a window without speech right at its start
            targets[start] = ids["<|nospeech|>"]
            targets[start + 1 : start + len(head) - 1] = [IGNORE] * (len(head) - 2)
        gazes = [None] * (len(lead) - 1) + gaze
        return tokens, targets, gazes, [None, *gazes[:-1]]

    def _add_words(self, text: str, spans: list[tuple[float, float]], heard: list[bool], add: object) -> None:
        """The heard words' tokens; a mark after a word looks at that word's last moment."""
        word = -1
        for token in self._encode(" " + text):
            piece = self.tokenizer.convert_ids_to_tokens(token)
            if piece.startswith("Ġ"):
                word += 1
            if heard[word]:
                first, last = spans[word]
                add(token, (last - 0.04, last) if piece in ".?" else (first, last))  # type: ignore[operator]

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False).input_ids
        return ids


def scaled(power: np.ndarray) -> np.ndarray:
    """Mel power as Whisper's feature extractor scales it: log10, 8 decades below the peak, (x+4)/4."""
    log = np.log10(np.maximum(power, 1e-10))
    return ((np.maximum(log, log.max() - 8.0) + 4.0) / 4.0).astype(np.float32)


def _noises(rng: np.random.Generator, seconds: int = 60) -> list[np.ndarray]:
    """Noises of one minute: white, pink, brown, hum, chords, bursts."""
    count = seconds * 16_000
    time = np.arange(count) / 16_000
    white = rng.standard_normal(count)
    spectrum, frequency = np.fft.rfft(white), np.fft.rfftfreq(count, 1 / 16_000)
    noises = [white, white.copy()]
    for slope in (0.5, 1.0):
        noises.append(np.fft.irfft(spectrum / np.maximum(frequency, 30) ** slope, count))
    for hum in (50.0, 60.0, 120.0):
        noises.append(sum(np.sin(2 * np.pi * hum * k * time) / k for k in range(1, 9)))
    chord_seconds = 16_000 // 2
    for base in (110.0, 220.0, 330.0):
        steps = 2 ** (rng.integers(0, 12, (count // chord_seconds, 3)) / 12)
        pitch = base * np.repeat(steps, chord_seconds, axis=0)
        phase = 2 * np.pi * np.cumsum(pitch, axis=0) / 16_000
        fade = np.exp(-3 * (np.arange(count) % chord_seconds) / 16_000)
        noises.append((np.sin(phase) + 0.4 * np.sin(2 * phase) + 0.2 * np.sin(3 * phase)).sum(axis=1) * fade)
    clicks = white * (np.repeat(rng.random(count // 400), 400) < 0.05)
    noises.append(clicks + 0.01 * white)
    swell = white * (1.2 + np.sin(2 * np.pi * 0.3 * time))
    noises.append(swell)
    return [(noise / np.abs(noise).max() * 0.5).astype(np.float32) for noise in noises]
