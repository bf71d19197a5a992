"""The slots decode the tokens of transformers' generate(), one by one."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from tests.conftest import ASSISTANT, DEMO, SAMPLES
from tests.random_models import MAX_INITIAL, SHAPES, SUPPRESSED, SUPPRESSED_FIRST, TEXT, VOCABULARY, random_model
from transcription.config import ModelSettings
from transcription.engines.batching.beam_search import Beams
from transcription.engines.batching.cuda_graphs import CudaGraphs
from transcription.engines.batching.decoder import Decoder
from transcription.engines.batching.logits_rules import LogitsRules
from transcription.engines.batching.slots import Slots
from transcription.whisper.loading import Checkpoint, load_assistant, load_checkpoint
from transcription.whisper.tokens import Vocabulary


def make_slots(model: Any, count: int, assistant: Any = None, rules: LogitsRules | None = None) -> Slots:
    rules = rules or LogitsRules(
        VOCABULARY, model.config.vocab_size, torch.device("cpu"), SUPPRESSED, SUPPRESSED_FIRST, MAX_INITIAL
    )
    return Slots(Decoder(model, count, 9), rules, None if assistant is None else Decoder(assistant, count, 9))


def decode_all(
    slots: Slots,
    states: Tensor | Sequence[Tensor],
    prompts: Sequence[list[int]],
    timed: bool,
    drafts: Sequence[int] = (0,),
) -> list[list[int]]:
    """Return the tokens of each window; windows start as slots become free. drafts: per round, in turn."""
    found: dict[int, list[int]] = {}
    waiting, rows = list(range(len(prompts))), list[int]()
    for count in itertools.cycle(drafts):
        while waiting and len(rows) < slots.decoder.slots:
            window, here = waiting.pop(0), slice(len(rows), len(rows) + 1)
            slots.write_cross_kv(here, states[window][None])
            slots.prefill(here, [prompts[window]])
            slots.begin(len(rows), prompts[window], timed)
            rows.append(window)
        if not rows:
            return [found[window] for window in range(len(prompts))]
        if count:
            for row in range(len(rows)):
                if not slots.assistant_ready[row]:
                    slots.start_assistant(row)
            slots.speculate(len(rows), count, record_alignment=False, sample=False)
        else:
            slots.step(len(rows), record_alignment=False, sample=False)
        for row in reversed(slots.ended_rows(len(rows))):
            found[rows[row]] = slots.decoded(row, len(prompts[rows[row]]))[0]
            slots.move(len(rows) - 1, row)
            rows[row] = rows[-1]
            rows.pop()
    raise AssertionError


def generated(
    model: Any, features: Tensor, language: str, task: str, timed: bool, previous: list[int], vocabulary: Vocabulary
) -> tuple[list[int], list[list[int]]]:
    """Return the prompt, and the tokens that generate() adds to it."""
    prompt = [*previous, vocabulary.start, vocabulary.languages[language], vocabulary.tasks[task]]
    prompt += [] if timed else [vocabulary.no_timestamps]
    out = model.generate(
        features, language=language, task=task, return_timestamps=timed, num_beams=1, do_sample=False,
        force_unique_generate_call=True, prompt_ids=torch.tensor(previous) if previous else None,
        attention_mask=torch.ones(features.shape[0], features.shape[2]), max_length=model.config.max_target_positions,
        return_dict_in_generate=True,
    )  # fmt: skip
    tokens = []
    for row in out.sequences.tolist():
        assert row[: len(prompt)] == prompt
        text = row[len(prompt) :]
        tokens.append(text[: text.index(vocabulary.end)] if vocabulary.end in text else text)
    return prompt, tokens


CASES = [
    ("tiny", "en", "transcribe", True, 0, 3, (0,)),
    ("tiny", "en", "transcribe", False, 110, 16, (4, 0, 1)),
    ("large-v3", "de", "translate", True, 30, 4, (0,)),
    ("large-v3", "de", "transcribe", False, 0, 3, (2, 0)),
    ("turbo", "de", "transcribe", True, 0, 1, (0,)),
    ("turbo", "en", "translate", True, 50, 2, (8, 2)),
]
"""Shape, language, task, timestamps, tokens of context, slots, drafts per round in turn."""


def decode_both(
    case: tuple[Any, ...], dtype: torch.dtype, windows: int, **sizes: int
) -> tuple[list[list[int]], list[list[int]]]:
    """Return the tokens of the slots and of generate() for some windows of noise.

    sizes: of random_models.random_model.
    """
    name, language, task, timed, before, count, drafts = case
    shape = {**SHAPES[name], **sizes}
    model = random_model(shape, before).to(dtype)
    assistant = random_model({**shape, "decoder_layers": 1}, before).to(dtype)
    features = torch.randn(windows, shape["mels"], 2 * sizes.get("frames", 1500), dtype=dtype)
    previous = [TEXT + 6, *range(20, 20 + before)] if before else []
    with torch.inference_mode():
        prompt, expected = generated(model, features, language, task, timed, previous, VOCABULARY)
        states = model.model.encoder(features).last_hidden_state
        found = decode_all(make_slots(model, count, assistant), states, [prompt] * len(states), timed, drafts)
    return found, expected


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case[:3])))
def test_no_token_differs_from_generate(case: tuple[Any, ...]) -> None:
    """Random models run to the length limit, so that every rule is met; their assistant is mostly wrong.

    In float64, where no machine rounds two tokens into one another; `python -m benchmarks.identity` counts more windows
    in float32. Short windows of few tokens take a quarter of the time; those of TestOnSpeech are whole.
    """
    found, expected = decode_both(case, torch.float64, windows=3, frames=300, positions=224)
    assert found == expected
    assert min(map(len, expected)) > 100


def short_sample(checkpoint: Checkpoint) -> tuple[Tensor, LogitsRules, list[int]]:
    """Return the features of a short sample, the rules of a checkpoint, and the prompt of English."""
    model: Any = checkpoint.model
    vocabulary = Vocabulary.of(checkpoint.tokenizer, model.generation_config)
    samples = SAMPLES["short"].audio.samples
    features = checkpoint.feature_extractor(samples, sampling_rate=16_000, return_tensors="pt").input_features
    rules = LogitsRules(vocabulary, model.config.vocab_size, torch.device("cpu"), [], [], None)
    return features, rules, [vocabulary.start, vocabulary.languages["en"], vocabulary.tasks["transcribe"]]


class TestOnSpeech:
    """The demo model and its assistant, on windows of many lengths that reach the end of text."""

    @pytest.fixture(scope="class")
    def checkpoint(self) -> Checkpoint:
        return load_checkpoint(ModelSettings.from_environment(asr_model=str(DEMO)))

    @pytest.fixture(scope="class")
    def assistant(self, checkpoint: Checkpoint) -> Any:
        return load_assistant(
            ModelSettings.from_environment(asr_model=str(DEMO), assistant_model=str(ASSISTANT)), checkpoint
        )

    @pytest.mark.filterwarnings("ignore")
    @pytest.mark.parametrize("timed", [True, False])
    def test_no_token_differs_from_generate(self, checkpoint: Checkpoint, assistant: Any, timed: bool) -> None:
        model: Any = checkpoint.model
        vocabulary = Vocabulary.of(checkpoint.tokenizer, model.generation_config)
        audio = SAMPLES["long"].audio.samples
        lengths = [1.5, 3, 7, 12, 20, 30]
        windows = [audio[at * 80_000 : at * 80_000 + int(length * 16_000)] for at, length in enumerate(lengths)]
        features = checkpoint.feature_extractor(windows, sampling_rate=16_000, return_tensors="pt").input_features
        rules = LogitsRules(vocabulary, model.config.vocab_size, torch.device("cpu"), [], [], None)
        with torch.inference_mode():
            prompt, expected = generated(model, features, "en", "transcribe", timed, [], vocabulary)
            states = model.model.encoder(features).last_hidden_state
            for count, drafts in ((1, [0]), (4, [0]), (6, [4]), (2, [0, 0, 3])):
                slots = make_slots(model, count, assistant, rules)
                assert decode_all(slots, states, [prompt] * len(windows), timed, drafts) == expected

    def test_most_drafts_of_the_assistant_are_accepted(self, checkpoint: Checkpoint, assistant: Any) -> None:
        model: Any = checkpoint.model
        features, rules, prompt = short_sample(checkpoint)
        with torch.inference_mode():
            slots = make_slots(model, 1, assistant, rules)
            here = slice(0, 1)
            slots.write_cross_kv(here, model.model.encoder(features).last_hidden_state)
            slots.start_assistant(0)
            slots.prefill(here, [prompt])
            slots.begin(0, prompt, True)
            rounds = 0
            while not slots.ended_rows(1):
                slots.speculate(1, 4, record_alignment=False, sample=False)
                rounds += 1
            assert rounds <= (len(slots.decoded(0, len(prompt))[0]) + 1) / 3

    def test_drafts_are_accepted_after_tokens_that_were_decoded_without_them(
        self, checkpoint: Checkpoint, assistant: Any
    ) -> None:
        model: Any = checkpoint.model
        features, rules, prompt = short_sample(checkpoint)
        with torch.inference_mode():
            slots, both, accepted = make_slots(model, 2, assistant, rules), slice(0, 2), list[int]()
            states = model.model.encoder(features).last_hidden_state
            slots.write_cross_kv(both, states.expand(2, -1, -1))
            slots.prefill(both, [prompt, prompt])
            for row in (0, 1):
                slots.start_assistant(row)
                slots.begin(row, prompt, True)
            for steps in (9, 3, 0):  # read alone, together, not at all
                for _ in range(steps):
                    slots.step(2, record_alignment=False, sample=False)
                accepted += slots.speculate(1 if steps == 9 else 2, 1, record_alignment=False, sample=False)
            assert accepted == [1] * 5


class Rounded(CudaGraphs):
    """Round shapes as for a GPU that replays, on any machine."""

    def __call__(self, shape: object, step: Callable[[], None]) -> None:
        step()


def test_rounded_shapes_decode_the_same_tokens() -> None:
    model = random_model(SHAPES["turbo"], 0)
    prompt = [VOCABULARY.start, VOCABULARY.languages["en"], VOCABULARY.tasks["transcribe"]]
    states = torch.randn(3, 1500, 80)
    with torch.inference_mode():
        slots = make_slots(model, 5)
        slots.graphs = Rounded(capture=True)
        assert (slots.graphs.round_rows(3, 5), slots.graphs.round_rows(5, 5), slots.graphs.round_rows(9, 99)) == (
            4,
            5,
            16,
        )
        assert (
            slots.graphs.round_kv_length(1, 457),
            slots.graphs.round_kv_length(65, 457),
            slots.graphs.round_kv_length(457, 457),
        ) == (64, 128, 457)
        rounded = decode_all(slots, states, [prompt] * 3, timed=True)
        assert rounded == decode_all(make_slots(model, 5), states, [prompt] * 3, timed=True)


class HostCopies(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Collect the operations that read a value on the host or copy one from it: a GPU can capture neither."""

    FORBIDDEN = ("_local_scalar_dense", "lift_fresh", "nonzero", "scalar_tensor", "masked_select")

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.found |= {name for name in self.FORBIDDEN if name in func.name()}
        return func(*args, **(kwargs or {}))


def test_collects_what_no_gpu_can_capture() -> None:
    with HostCopies() as copies:
        values = torch.zeros(3)
        torch.where(values > 0, values, 1.0)
        values[[0, 1]].max().item()
    assert copies.found == {"_local_scalar_dense", "lift_fresh", "scalar_tensor"}


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("sample", [False, True])
def test_a_step_copies_nothing_from_or_to_the_host(beams: int, sample: bool) -> None:
    model = random_model(SHAPES["turbo"], 0)
    prompt = [VOCABULARY.start, VOCABULARY.languages["en"], VOCABULARY.tasks["transcribe"]]
    rules = LogitsRules(VOCABULARY, model.config.vocab_size, torch.device("cpu"), SUPPRESSED, SUPPRESSED_FIRST, 50)
    with torch.inference_mode():
        slots = Slots(Decoder(model, 2, 330, [(0, 1), (1, 3)]), rules)
        slots.graphs = Rounded(capture=True)
        for row, size in enumerate((beams, 1)):
            slots.prefill(slice(row, row + 1), [prompt])
            slots.begin(row, prompt, True, 0.5 if sample and size == 1 else 0.0, beams=Beams(size, size))
        with HostCopies() as copies:
            slots.step(2, record_alignment=True, sample=sample)
    assert copies.found == set()


def test_swapped_rows_decode_on_as_before() -> None:
    model = random_model(SHAPES["tiny"], 0)
    prompt = [VOCABULARY.start, VOCABULARY.languages["en"], VOCABULARY.tasks["transcribe"]]
    states = torch.randn(2, 1500, 48)
    with torch.inference_mode():
        alone = decode_all(make_slots(model, 1), states, [prompt] * 2, timed=True)
        slots = make_slots(model, 3)
        slots.write_cross_kv(slice(0, 2), states)
        slots.prefill(slice(0, 2), [prompt] * 2)
        for row in range(2):
            slots.begin(row, prompt, True)
        for _ in range(20):
            slots.step(2, record_alignment=False, sample=False)
        slots.swap(0, 1)
        for _ in range(20):
            slots.step(2, record_alignment=False, sample=False)
        assert [slots.decoded(row, 3)[0] for row in (1, 0)] == [tokens[:40] for tokens in alone]


def test_bytes_per_slot_do_not_depend_on_the_number_of_slots() -> None:
    slots = make_slots(random_model(SHAPES["tiny"], 0), 2)
    each = slots.bytes_per_slot
    slots.resize(5)
    assert slots.bytes_per_slot == each
    assert {len(memory) for memory in (slots.last, *slots.decoder.memory())} == {5}
