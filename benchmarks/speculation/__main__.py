"""Speculative decoding with a real pair: `python -m benchmarks.speculation distil`, then `… measure`.

distil: make an assistant for a Whisper checkpoint from recordings, without their texts: the checkpoint's own text is
what the assistant learns. It has the checkpoint's encoder and a few of its decoder's layers. What is computed is kept
in the assistant's folder, and an interrupted run goes on where it stopped. Other recordings need another folder.
measure: compare `assisted: true` and `auto` with `assisted: false`, with one slot and with eight, on recordings that
the assistant was trained on (heard) and on others (unheard).
"""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.speculation.examples import Examples, make_examples
from benchmarks.speculation.measuring import head, measure, row
from benchmarks.speculation.training import Plan, distil
from benchmarks.speculation.windows import Spoken, cut, matches, training_windows
from benchmarks.speech.recordings import Recording, read_manifest

UNHEARD = "unheard.json"
"""File names of the recordings that an assistant was not trained on, in its folder."""
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def options_of(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options of the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(dest="part", required=True)
    for name in ("distil", "measure"):
        part = parts.add_parser(name)
        part.add_argument("--model", type=Path, required=True, help="checkpoint of the main model")
        part.add_argument("--recordings", type=Path, required=True, help="manifest, see benchmarks.speech")
        part.add_argument("--assistant", type=Path, required=True, help="folder of the assistant")
        part.add_argument(
            "--left-out", nargs="*", default=[], metavar="PATTERN",
            help="recordings that are not used, for example those that were put together from the others",
        )  # fmt: skip
    distilling, measuring = parts.choices["distil"], parts.choices["measure"]
    distilling.add_argument("--layers", type=int, default=2, help="of its decoder (default: %(default)s)")
    distilling.add_argument("--unheard", nargs="*", default=[], metavar="PATTERN", help="recordings to keep apart")
    distilling.add_argument("--passes", type=int, default=2, help="over the recordings, cut and joined in other ways")
    distilling.add_argument("--steps", type=int, default=600, help="default: %(default)s")
    distilling.add_argument("--batch", type=int, default=4, help="examples of a step (default: %(default)s)")
    measuring.add_argument("--slots", type=int, nargs="*", default=[1, 8], help="default: 1 8")
    measuring.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    measuring.add_argument("--limit", type=int, help="recordings of each kind")
    measuring.add_argument("--clock", choices=list(CLOCKS), default="wall", help="default: %(default)s")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    options = options_of(arguments)
    recordings = [one for one in read_manifest(options.recordings) if not matches(one.file, options.left_out)]
    if options.part == "distil":
        run_distil(options, recordings)
    else:
        run_measure(options, recordings)


def run_distil(options: argparse.Namespace, recordings: Sequence[Recording]) -> None:
    """Make the examples unless they are there, and train."""
    folder: Path = options.assistant
    folder.mkdir(parents=True, exist_ok=True)
    unheard = [one for one in recordings if matches(one.file, options.unheard)]
    heard = [one for one in recordings if not matches(one.file, options.unheard)]
    (folder / UNHEARD).write_text(json.dumps([one.file for one in unheard]))
    parts: dict[str, list[Spoken]] = {
        "unheard": list(cut(unheard)),
        f"heard-{options.passes}": training_windows(heard, options.passes),
    }
    for name, windows in parts.items():
        make_examples(options.model, windows, folder / name)
    examples = {name.split("-")[0]: Examples.load(folder / name) for name in parts}
    plan = Plan(options.steps, options.batch)
    distil(options.model, options.layers, examples["heard"], examples["unheard"], plan, folder)


def run_measure(options: argparse.Namespace, recordings: Sequence[Recording]) -> None:
    """Measure and print the table."""
    unheard = set(json.loads((options.assistant / UNHEARD).read_text()))
    groups = {
        name: [one.load() for one in recordings if (one.file in unheard) == (name == "unheard")][: options.limit]
        for name in ("unheard", "heard")
    }
    clock = CLOCKS[options.clock]
    print(head(), flush=True)
    for result in measure(options.model, options.assistant, groups, options.slots, options.rounds, clock):
        print(row(result), flush=True)


if __name__ == "__main__":
    main()
