"""Training windows of 4 to 30 s: mixed sentences, the decoder's labels, and the word of every encoder frame."""

import random
from dataclasses import dataclass, field

import numpy as np
from transformers import WhisperTokenizerFast

from benchmarks.scores import words_of
from tools.corpus import FRAMES_PER_SECOND, Clip
from tools.mixing import Mixer, normalize
from tools.sentences import VOCABULARY

IGNORE = -100
FRAME_CLASSES = {
    word: index for index, word in enumerate(sorted({w.lower() for v in VOCABULARY.values() for w in v}), start=1)
}  # class 0: no speech
MIN_AUDIBLE_SHARE = 0.7  # of a word at the window's edge; the decoder omits a word of which less is inside


Span = tuple[int, int]
"""Encoder frames first ≤ i < last, 20 ms each."""


@dataclass
class DecoderExample:
    """Input tokens and labels of the decoder, built token by token.

    prompt, sot_sequence: given tokens. output: tokens to write, with the frames that each is aligned to.
    is_silent: the window has no speech. Whisper predicts `no_speech` for it right after the start token.
    """

    seconds: float
    prompt: list[int]
    sot_sequence: list[int]
    no_speech: int
    output: list[int] = field(default_factory=list)
    output_spans: list[Span | None] = field(default_factory=list)
    is_silent: bool = False

    def add(self, token: int, span: tuple[float, float] | None = None) -> None:
        """Append an output token; `span` in seconds."""
        self.output.append(token)
        frames = int(self.seconds * 50)
        if span is None:
            self.output_spans.append(None)
            return
        first = min(max(int(span[0] * 50), 0), frames - 1)
        self.output_spans.append((first, min(max(round(span[1] * 50), first + 1), frames)))

    @property
    def tokens(self) -> list[int]:
        """Input tokens of the decoder."""
        return [*self.prompt, *self.sot_sequence, *self.output[:-1]]

    @property
    def labels(self) -> list[int]:
        """Expected next token after each input token; IGNORE in the prompt."""
        sot_labels = self.sot_sequence[1:]
        if self.is_silent:
            sot_labels = [self.no_speech, *[IGNORE] * (len(self.sot_sequence) - 2)]
        return [*[IGNORE] * len(self.prompt), *sot_labels, *self.output]

    @property
    def spans(self) -> list[Span | None]:
        """Frames of the expected next token, for each input token."""
        return [*[None] * (len(self.prompt) + len(self.sot_sequence) - 1), *self.output_spans]

    @property
    def previous_spans(self) -> list[Span | None]:
        """Frames of the token before the expected one, for each input token."""
        return [None, *self.spans[:-1]]


@dataclass(frozen=True)
class Window:
    """One training example.

    mel: (2·frames, 80), scaled as Whisper's feature extractor does. frame_words: class of the word in each 20 ms frame.
    offset: frames between the start of the 30 s and the start of the window.
    """

    mel: np.ndarray
    decoder: DecoderExample
    frame_words: np.ndarray
    offset: int


@dataclass
class WindowGenerator:
    """Makes random windows from clips."""

    clips: list[Clip]
    tokenizer: WhisperTokenizerFast
    rng: random.Random

    def __post_init__(self) -> None:
        self._by_language = {code: [clip for clip in self.clips if clip.language == code] for code in ("en", "de")}
        self._ids = self.tokenizer.get_vocab()
        self._mixer = Mixer(self.rng)

    def window(self, seconds: float) -> Window:
        """Return a random window of the given length."""
        rng, frames = self.rng, int(seconds * 50)
        offset = rng.choice((0, rng.randint(0, 1500 - frames)))
        language = rng.choice(("en", "de"))
        translate = language == "de" and rng.random() < 0.3
        clips = [] if rng.random() < 0.06 else self._choose_clips(language, seconds, translate)
        power = self._mixer.mix(clips, int(seconds * FRAMES_PER_SECOND))
        decoder = self._decoder_example(clips, language, translate, seconds, offset)
        words = np.zeros(frames, np.int64)
        for clip, start in clips:
            for word, span in zip(words_of(clip.text), clip.word_times, strict=True):
                first, last = (round((start + edge) * 50) for edge in span)
                words[max(first, 0) : max(last, 0)] = FRAME_CLASSES[word]
        return Window(normalize(power), decoder, words, offset)

    def _choose_clips(self, language: str, seconds: float, translate: bool) -> list[tuple[Clip, float]]:
        """Return clips with their starts; the window's edges may cut the first and the last clip."""
        rng = self.rng
        clips = self._by_language[language]
        end = seconds if rng.random() < 0.5 else rng.uniform(min(2.0, seconds), seconds)
        now = rng.uniform(-1.5, 0.0) if rng.random() < 0.25 and not translate else rng.uniform(0, 0.8)
        may_cut = rng.random() < 0.35 and not translate
        max_gap = rng.choice((0.3, 1.0, 3.0))
        chosen: list[tuple[Clip, float]] = []
        while now < end - 0.5:
            clip = rng.choice(clips)
            while translate and not clip.english:
                clip = rng.choice(clips)
            length = clip.word_times[-1][1]
            too_long = now + length > seconds - (0.05 if chosen else 0)
            if too_long and not (may_cut and now < seconds - 0.5):
                break
            chosen.append((clip, now))
            if rng.random() < 0.07:  # the same sentence twice
                repeated = now + length + 0.2
                if repeated + length < seconds:
                    chosen.append((clip, repeated))
                    now = repeated
            now += length + rng.uniform(0.12, max_gap)
        return chosen

    def _decoder_example(
        self, clips: list[tuple[Clip, float]], language: str, translate: bool, seconds: float, offset: int
    ) -> DecoderExample:
        """Return the decoder's part; 65 % of windows have timestamps, a quarter has a prompt."""
        rng, ids = self.rng, self._ids
        timestamps = rng.random() < 0.65
        sot_sequence = ["<|startoftranscript|>", f"<|{language}|>", "<|translate|>" if translate else "<|transcribe|>"]
        if not timestamps:
            sot_sequence.append("<|notimestamps|>")
        prompt = self._prompt(language, translate) if clips and rng.random() < 0.25 else []
        example = DecoderExample(seconds, prompt, [ids[name] for name in sot_sequence], ids["<|nospeech|>"])
        window_start = ids["<|0.00|>"] + offset
        for index, (clip, start) in enumerate(clips):
            next_start = clips[index + 1][1] if index + 1 < len(clips) else None
            self._add_clip(example, clip, start, next_start, window_start if timestamps else None, translate)
        example.is_silent = not example.output
        if example.is_silent and timestamps:
            example.add(window_start)
        example.add(ids["<|endoftext|>"])
        return example

    def _add_clip(
        self, example: DecoderExample, clip: Clip, start: float, next_start: float | None,
        window_start: int | None, translate: bool,
    ) -> None:  # fmt: skip
        """Add the audible words of a clip between two timestamps.

        window_start: the timestamp token of the window's start; None for a window without timestamps.
        """
        seconds = example.seconds

        def add_timestamp(time: float, span: tuple[float, float]) -> None:
            if window_start is not None:
                index = min(max(round(time * 50), 0), int(seconds * 50))
                example.add(window_start + index, None if translate else span)

        spans = [(start + begin, start + end) for begin, end in clip.word_times]
        audible = [
            min(end, seconds) - max(begin, 0) >= MIN_AUDIBLE_SHARE * (end - begin) - 1e-6 for begin, end in spans
        ]
        if not any(audible):
            return
        first_word, last_word = audible.index(True), len(audible) - 1 - audible[::-1].index(True)
        begin, end = spans[first_word][0], spans[last_word][1]
        add_timestamp(begin, (begin - 0.1, begin + 0.06))
        if translate:
            for token in self._encode(" " + clip.english):
                example.add(token)
        else:
            self._add_words(example, clip.text, spans, audible)
        if last_word == len(audible) - 1 and end <= seconds:  # a segment that the window cuts has no end timestamp
            pause_end = end + 0.5 if next_start is None else min(next_start, end + 0.5)
            add_timestamp(end, (end, max(pause_end, end + 0.04)))  # the end timestamp is aligned to the pause

    def _prompt(self, language: str, translate: bool) -> list[int]:
        """Return one to three random sentences as previous text."""
        previous = self.rng.choices(self._by_language[language], k=self.rng.randint(1, 3))
        text = "".join(" " + (clip.english or clip.text if translate else clip.text) for clip in previous)
        return [self._ids["<|startofprev|>"], *self._encode(text)]

    def _add_words(
        self, example: DecoderExample, text: str, spans: list[tuple[float, float]], audible: list[bool]
    ) -> None:
        """Add the tokens of the audible words; punctuation is aligned to the last 40 ms of its word."""
        word = -1
        for token in self._encode(" " + text):
            piece = self.tokenizer.convert_ids_to_tokens(token)
            if piece.startswith("Ġ"):
                word += 1
            if audible[word]:
                begin, end = spans[word]
                example.add(token, (end - 0.04, end) if piece in ".?" else (begin, end))

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False).input_ids
        return ids
