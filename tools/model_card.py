"""The command line of the evaluations, and their results in a model card."""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

MODELS = Path(__file__).parent.parent / "models"


def parse_options(description: str | None, model: str, count: int, unit: str) -> argparse.Namespace:
    """Return the options of an evaluation of `count` recordings by default; unit: what --count counts."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--model", default=str(MODELS / model), help="folder of the model")
    parser.add_argument("--split", choices=("validation", "test"), default="validation", help="voices to evaluate on")
    parser.add_argument("--count", type=int, default=count, help=unit)
    parser.add_argument("--seed", default="look", help="seed of the recordings")
    parser.add_argument("--card", action="store_true", help="write the table into the model card")
    return parser.parse_args()


def report(options: argparse.Namespace, conditions: str, rows: Sequence[tuple[str, str, str]]) -> None:
    """Print a table of (measure, target, reached); with --card write it into the model card below the conditions."""
    table = "\n".join(["| | target | reached |", "|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows)])
    print(table)
    if options.card:
        card = Path(options.model, "README.md")
        results = f"<!-- measured -->\n{conditions}.\n\n{table}\n<!-- end -->"
        card.write_text(re.sub(r"<!-- measured -->.*?<!-- end -->", results, card.read_text(), flags=re.DOTALL))
