"""Speakers of real conversations: `python -m benchmarks.speakers --recordings MANIFEST.jsonl --output DIR`.

The words and the turns of each recording are kept in the output folder; what is there is not made again. Then the
assignments of the same turns to the same words are scored. See conversations.read_conversations for the manifest.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks.speakers.cache import cached, read_diarization, read_transcript
from benchmarks.speakers.conversations import Conversation, choose, read_conversations
from benchmarks.speakers.report import Outcome, report
from transcription.config import InferenceConfig, ModelSettings
from transcription.diarization import SpeakerDiarizer
from transcription.transcriber import Transcriber


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    options = parser().parse_args(arguments)
    conversations = choose(read_conversations(options.recordings), options.names, options.limit)
    settings = ModelSettings.from_environment(asr_model=options.model, diarization_model=options.diarization_model)
    transcriber = Transcriber(settings)
    if transcriber.diarizer is None:
        raise SystemExit("no diarization model is loaded: see the log")
    outcomes = [collect(one, transcriber, transcriber.diarizer, options.output) for one in conversations]
    print(f"{len(outcomes)} recordings, {sum(one.transcript.duration for one in outcomes) / 60:.1f} minutes.\n")
    print(report(outcomes))


def parser() -> argparse.ArgumentParser:
    """Return the command's options."""
    options = argparse.ArgumentParser("python -m benchmarks.speakers", description=__doc__)
    options.add_argument("--model", help="Whisper checkpoint (default: $ASR_MODEL)")
    options.add_argument("--diarization-model", help="pipeline (default: $DIARIZATION_MODEL)")
    options.add_argument("--recordings", type=Path, required=True, help="manifest, a JSON line for each recording")
    options.add_argument("--output", type=Path, required=True, help="folder of the words and turns")
    options.add_argument("--names", nargs="+", default=[], help="only recordings whose names begin with one of these")
    options.add_argument("--limit", type=int, help="so many recordings")
    return options


def collect(conversation: Conversation, transcriber: Transcriber, diarizer: SpeakerDiarizer, folder: Path) -> Outcome:
    """Return the words and the turns of a recording, one step after the other. They are kept in a folder."""
    file, audio = f"{conversation.name}.json", conversation.load()
    words, words_cost = cached(
        folder / "words" / file,
        lambda: transcriber.engine.transcribe(audio, InferenceConfig(timestamps="word")),
        read_transcript,
    )
    untold, cost = cached(
        folder / "turns" / file, lambda: diarizer.diarize(audio, InferenceConfig()), read_diarization
    )  # fmt: skip
    told, _ = cached(
        folder / "turns-told" / file,
        lambda: diarizer.diarize(audio, InferenceConfig(num_speakers=conversation.speakers)),
        read_diarization,
    )
    return Outcome(conversation, words, untold, told, {"transcription": words_cost, "diarization": cost})


if __name__ == "__main__":
    main()
