"""The options of a request as Gradio's controls."""

import json
from dataclasses import dataclass
from typing import Any

import gradio as gr

from transcription.config import InferenceConfig

_MOST_SPEAKERS = 20
_TASKS = [("In its own language", "transcribe"), ("In English", "translate")]


@dataclass(frozen=True)
class Option:
    """A parameter of a request and the control that sets it."""

    parameter: str
    control: Any


def controls() -> tuple[Option, ...]:
    """Every control, made where it is called: within the layout."""
    about = {name: field.description for name, field in InferenceConfig.model_fields.items()}
    with gr.Row():
        language = gr.Dropdown(
            [("Detect it", ""), *_languages()], value="", label="Language", info="which is spoken", min_width=220
        )
        task = gr.Radio(_TASKS, value="transcribe", label="Write it down", info="as text in", min_width=220)
    with gr.Row():
        speakers = gr.Dropdown(
            [("Find out", ""), *((str(count), str(count)) for count in range(1, _MOST_SPEAKERS + 1))],
            value="", label="How many people speak", info="if you know it", min_width=220,
        )  # fmt: skip
        keywords = gr.Textbox(
            value="",
            label="Names and rare words",
            info="to expect, separated by commas",
            max_length=2000,
            min_width=220,
        )
    prompt = gr.Textbox(value="", label="What came before", info=about["prompt"], lines=2, max_lines=6, max_length=4000)
    with gr.Row():
        vad = gr.Checkbox(False, label="Leave out long pauses", info=about["vad_filter"], min_width=220)
        channels = gr.Checkbox(
            False, label="Each channel is one person", info="for calls that were recorded in stereo", min_width=220
        )
        apart = gr.Checkbox(True, label="Tell speakers apart", info="where the service can", min_width=220)
    return (
        Option("language", language),
        Option("task", task),
        Option("num_speakers", speakers),
        Option("keywords", keywords),
        Option("prompt", prompt),
        Option("vad_filter", vad),
        Option("multichannel", channels),
        Option("diarize", apart),
    )


def _languages() -> list[tuple[str, str]]:
    """What Whisper knows, by English name."""
    from transformers.models.whisper.tokenization_whisper import LANGUAGES

    return sorted((name.title(), code) for code, name in LANGUAGES.items())


def collected(options: tuple[Option, ...]) -> str:
    """JavaScript that sends the controls' values, by parameter, to our own part of the page."""
    names = json.dumps([option.parameter for option in options])
    return f"""(...values) => document.dispatchEvent(new CustomEvent("transcribe", {{
        detail: Object.fromEntries({names}.map((name, at) => [name, values[at]])) }}))"""
