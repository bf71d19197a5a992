"""Training windows: sentences placed on a time line of 4 to 30 s, mixed with noise in mel power, and
what the model shall answer, token by token and frame by frame."""

import random
from dataclasses import dataclass, field

import numpy as np
from transformers import WhisperTokenizerFast

from tools.corpus import FRAMES_PER_SECOND, Clip
from tools.mixing import Sound, scaled
from tools.sentences import VOCABULARY, words_of

IGNORE = -100
FRAME_CLASSES = {
    word: index for index, word in enumerate(sorted({w.lower() for v in VOCABULARY.values() for w in v}), start=1)
}  # class 0: nobody speaks
HEARD_SHARE = 0.7  # a word cut by the window's edge counts when so much of it is inside


Span = tuple[int, int]
"""Encoder frames first ≤ i < last, 20 ms each."""


@dataclass
class Answer:
    """What the decoder reads and shall write. It is built token by token.

    prompt, head: what it is given. body: what it writes, with the span that each token speaks of.
    silent: Whisper marks a window without speech right after the start token.
    """

    seconds: float
    prompt: list[int]
    head: list[int]
    no_speech: int
    body: list[int] = field(default_factory=list)
    spans: list[Span | None] = field(default_factory=list)
    silent: bool = False

    def add(self, token: int, span: tuple[float, float] | None = None) -> None:
        """One more token; `span` in seconds."""
        self.body.append(token)
        frames = int(self.seconds * 50)
        if span is None:
            self.spans.append(None)
            return
        first = min(max(int(span[0] * 50), 0), frames - 1)
        self.spans.append((first, min(max(round(span[1] * 50), first + 1), frames)))

    @property
    def tokens(self) -> list[int]:
        """What the decoder reads."""
        return [*self.prompt, *self.head, *self.body[:-1]]

    @property
    def targets(self) -> list[int]:
        """What it shall write at each of `tokens`; IGNORE in the prompt."""
        known = [self.no_speech, *[IGNORE] * (len(self.head) - 2)] if self.silent else self.head[1:]
        return [*[IGNORE] * len(self.prompt), *known, *self.body]

    @property
    def gaze(self) -> list[Span | None]:
        """For each of `tokens` the frames that the token to be written speaks of."""
        return [*[None] * (len(self.prompt) + len(self.head) - 1), *self.spans]

    @property
    def glance(self) -> list[Span | None]:
        """The same for the token before it."""
        return [None, *self.gaze[:-1]]


@dataclass(frozen=True)
class Window:
    """One training example.

    mel: (2·frames, 80) as Whisper's feature extractor scales it. frame_words: the word class of each
    20 ms frame. offset: frames that the window stands away from the start of its 30 s.
    """

    mel: np.ndarray
    answer: Answer
    frame_words: np.ndarray
    offset: int


@dataclass
class Mixer:
    """Makes windows from clips. One a process; the noise bank is made at the start."""

    clips: list[Clip]
    tokenizer: WhisperTokenizerFast
    rng: random.Random

    def __post_init__(self) -> None:
        self._by_language = {code: [clip for clip in self.clips if clip.language == code] for code in ("en", "de")}
        self._ids = self.tokenizer.get_vocab()
        self._sound = Sound(self.rng)

    def window(self, seconds: float) -> Window:
        """A random window of the given length."""
        rng, frames = self.rng, int(seconds * 50)
        offset = rng.choice((0, rng.randint(0, 1500 - frames)))
        language = rng.choice(("en", "de"))
        translate = language == "de" and rng.random() < 0.3
        placed = [] if rng.random() < 0.06 else self._place(language, seconds, translate)
        power = self._sound.mix(placed, int(seconds * FRAMES_PER_SECOND))
        answer = self._answer(placed, language, translate, seconds, offset)
        words = np.zeros(frames, np.int64)
        for clip, start in placed:
            for word, span in zip(words_of(clip.text), clip.word_times, strict=True):
                first, last = (round((start + edge) * 50) for edge in span)
                words[max(first, 0) : max(last, 0)] = FRAME_CLASSES[word]
        return Window(scaled(power), answer, words, offset)

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
            too_long = at + length > seconds - (0.05 if placed else 0)
            if too_long and not (may_cut and at < seconds - 0.5):
                break
            placed.append((clip, at))
            if rng.random() < 0.07:  # the same thing said twice
                again = at + length + 0.2
                if again + length < seconds:
                    placed.append((clip, again))
                    at = again
            at += length + rng.uniform(0.12, longest_gap)
        return placed

    def _answer(
        self, placed: list[tuple[Clip, float]], language: str, translate: bool, seconds: float, offset: int
    ) -> Answer:
        """The decoder's part, with time stamps in two windows of three and a prompt in one of four."""
        rng, ids = self.rng, self._ids
        timestamps = rng.random() < 0.65
        head = ["<|startoftranscript|>", f"<|{language}|>", "<|translate|>" if translate else "<|transcribe|>"]
        if not timestamps:
            head.append("<|notimestamps|>")
        prompt = self._prompt(language, translate) if placed and rng.random() < 0.25 else []
        answer = Answer(seconds, prompt, [ids[name] for name in head], ids["<|nospeech|>"])
        first = ids["<|0.00|>"] + offset

        def stamp(time: float, span: tuple[float, float]) -> None:
            if timestamps:
                place = min(max(round(time * 50), 0), int(seconds * 50))
                answer.add(first + place, None if translate else span)

        for index, (clip, start) in enumerate(placed):
            spans = [(start + begin, start + end) for begin, end in clip.word_times]
            heard = [min(end, seconds) - max(begin, 0) >= HEARD_SHARE * (end - begin) - 1e-6 for begin, end in spans]
            if not any(heard):
                continue
            first_word, last_word = heard.index(True), len(heard) - 1 - heard[::-1].index(True)
            begin, end = spans[first_word][0], spans[last_word][1]
            stamp(begin, (begin - 0.1, begin + 0.06))
            if translate:
                for token in self._encode(" " + clip.english):
                    answer.add(token)
            else:
                self._add_words(answer, clip.text, spans, heard)
            if last_word == len(heard) - 1 and end <= seconds:  # a sentence cut at the end stays open
                after = placed[index + 1][1] if index + 1 < len(placed) else end + 0.5
                stamp(end, (end, max(min(after, end + 0.5), end + 0.04)))  # the pause belongs to the stamp
        answer.silent = not answer.body
        if answer.silent and timestamps:
            answer.add(first)
        answer.add(ids["<|endoftext|>"])
        return answer

    def _prompt(self, language: str, translate: bool) -> list[int]:
        """One to three sentences that might have come before."""
        before = self.rng.choices(self._by_language[language], k=self.rng.randint(1, 3))
        text = "".join(" " + (clip.english or clip.text if translate else clip.text) for clip in before)
        return [self._ids["<|startofprev|>"], *self._encode(text)]

    def _add_words(self, answer: Answer, text: str, spans: list[tuple[float, float]], heard: list[bool]) -> None:
        """The heard words' tokens; a mark after a word looks at that word's last moment."""
        word = -1
        for token in self._encode(" " + text):
            piece = self.tokenizer.convert_ids_to_tokens(token)
            if piece.startswith("Ġ"):
                word += 1
            if heard[word]:
                begin, end = spans[word]
                answer.add(token, (end - 0.04, end) if piece in ".?" else (begin, end))

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False).input_ids
        return ids
