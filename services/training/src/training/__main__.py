"""python -m training --out models: train digits and write its model package."""

import argparse
import sys
from pathlib import Path

from training.classifier import Recipe
from training.dataset import Dataset, load_rows
from training.errors import TrainingError
from training.pipeline import run
from training.report import table


def main(arguments: list[str] | None = None) -> int:
    """Run one training; 1 and one sentence when it cannot be done."""
    options = _parser().parse_args(arguments)
    recipe = Recipe(seed=options.seed, epochs=options.epochs)
    try:
        result = run(Dataset.split(load_rows()), recipe, models=options.out, say=_say)
    except TrainingError as error:
        print(f"training: {error}", file=sys.stderr)
        return 1
    print(table(result))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder that holds digits/model.yaml, as models/")
    parser.add_argument("--seed", type=_positive, default=Recipe().seed, help="same seed, same digest")
    parser.add_argument("--epochs", type=_positive, default=Recipe().epochs, help="passes over the augmented rows")
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1, not '{text}'")
    return int(text)


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
