"""Runs benchmarks several times and puts their medians into one table.

    uv run python -m benchmarks run --into DIR [--times 3] NAME [OPTION ...]
    uv run python -m benchmarks table DIR

`run` keeps the JSON of each run in the folder. `table` prints Markdown: of each figure the median
of all runs that are kept there, ours and the peers', and what was not reached.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.report import Figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)
    run = commands.add_parser("run")
    run.add_argument("--into", type=Path, required=True)
    run.add_argument("--times", type=int, default=3)
    run.add_argument("name")
    run.add_argument("options", nargs=argparse.REMAINDER)
    run.set_defaults(do=run_it)
    table = commands.add_parser("table")
    table.add_argument("folder", type=Path)
    table.set_defaults(do=print_table)
    arguments = parser.parse_args()
    arguments.do(arguments)


def run_it(arguments: argparse.Namespace) -> None:
    arguments.into.mkdir(parents=True, exist_ok=True)
    for _ in range(arguments.times):
        done = subprocess.run(
            [sys.executable, "-m", f"benchmarks.{arguments.name}", *arguments.options],
            stdout=subprocess.PIPE,
            check=True,
        )
        free = next(
            path
            for number in count(1)
            if not (path := arguments.into / f"{arguments.name}-{number}.json").exists()
        )
        free.write_bytes(done.stdout)


def print_table(arguments: argparse.Namespace) -> None:
    print(
        "| measure | runs | ours | peers | ratio | target |\n| --- | --- | --- | --- | --- | --- |"
    )
    for figure, runs in _medians(arguments.folder):
        peers = ", ".join(f"{name} {theirs:.3g}" for name, theirs in figure.peers.items())
        ratios = ", ".join(f"{ratio:.2f}" for ratio in figure.ratios.values())
        ours = f"{figure.ours:.4g} {figure.unit}"
        verdict = "; ".join(figure.missed) or ("reached" if _has_target(figure) else "")
        print(f"| {figure.what} | {runs} | {ours} | {peers} | {ratios} | {verdict} |")


def _medians(folder: Path) -> Iterator[tuple[Figure, int]]:
    told: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(folder.glob("*.json")):
        for figure in json.loads(path.read_text())["figures"]:
            told.setdefault(figure["what"], []).append(figure)
    for figures in told.values():
        first = {
            name: value
            for name, value in figures[0].items()
            if name not in ("ratios", "missed", "ours", "peers")
        }
        peers = {
            name: median(figure["peers"][name] for figure in figures if name in figure["peers"])
            for name in figures[0]["peers"]
        }
        ours = median(figure["ours"] for figure in figures)
        yield Figure(**first, ours=ours, peers=peers), len(figures)


def _has_target(figure: Figure) -> bool:
    targets = (figure.most, figure.least, figure.most_ratio or None, figure.least_ratio or None)
    return any(target is not None for target in targets)


if __name__ == "__main__":
    main()
