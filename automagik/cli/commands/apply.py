"""`automagik apply`: sources, calendars and schedules as files say."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from automagik.cli import context, known, person
from automagik.cli.options import Yes
from automagik.core.exceptions import ConfigurationError, Conflict, InvalidInput, Unreachable

if TYPE_CHECKING:
    from automagik.core.manifest.values import Manifest, ManifestFile

app = typer.Typer()


@app.command()
def apply(
    files: Annotated[
        list[str],
        typer.Option(
            "--file",
            "-f",
            metavar="FILE|-",
            help="YAML; - reads stdin; repeatable.",
            autocompletion=known.files,
        ),
    ],
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")
    ] = False,
    prune: Annotated[
        bool,
        typer.Option("--prune", help="Delete what came from files of this project and left them."),
    ] = False,
    take_over: Annotated[
        bool,
        typer.Option(
            "--take-over", help="Also change what was made by hand, or is another project's."
        ),
    ] = False,
    only: Annotated[
        Literal["sources", "calendars", "schedules"] | None,
        typer.Option("--only", help="Nothing but these."),
    ] = None,
    yes: Yes = False,
) -> None:
    """Make sources, calendars and schedules what the files say, all of it or nothing.

    What a file does not say of a schedule has its default again; whether it is paused stays.

    Example: automagik apply -f automagik.yaml --dry-run
    """
    from automagik.cli import manifest_report
    from automagik.core.manifest.manager import ManifestManager
    from automagik.core.manifest.plan import Choice
    from automagik.core.manifest.reading import read_manifest
    from automagik.core.manifest.values import Action, Kind

    manifest = read_manifest(
        [_read(file) for file in files],
        timezone=context.settings().timezone,
        environment=os.environ,
    )
    kind = next((kind for kind in Kind if kind.plural == only), None)
    choice = Choice(prune=prune, take_over=take_over, only=kind)
    with _told_anyway(manifest):
        manager = ManifestManager(context.database(), context.settings())
        plan = manager.plan(manifest, choice, is_tried=dry_run)
    manifest_report.show(context.printer(), plan)
    if dry_run or not plan.steps:
        return
    if deleted := plan.count(Action.DELETE):
        person.confirm(f"Apply this, and delete {deleted}?", yes=yes)
    done = manager.apply(manifest, choice, shown=plan)
    context.printer().say(f"✓ Applied: {manifest_report.in_words(done)}.")


@contextmanager
def _told_anyway(manifest: "Manifest") -> Iterator[None]:
    """What is wrong with the files is known without a database, too."""
    from automagik.core.manifest.problems import ManifestInvalid

    try:
        yield
    except (Unreachable, ConfigurationError, Conflict):
        if manifest.problems:
            raise ManifestInvalid(manifest.problems) from None
        raise


def _read(file: str) -> "ManifestFile":
    from automagik.core.manifest.document import LONGEST, read_text
    from automagik.core.manifest.values import ManifestFile

    if file == "-":
        text = sys.stdin.read(LONGEST + 1).removeprefix("\ufeff")
        return ManifestFile(name="stdin", text=text, folder=Path())
    path = Path(file)
    try:
        with path.open("rb") as opened:
            raw = opened.read(LONGEST + 1)
    except OSError as error:
        raise InvalidInput(
            f"Cannot read {file}: {error.strerror}.",
            hint="Give a file that can be read, or - for stdin.",
        ) from error
    return ManifestFile(name=file, text=read_text(raw, file=file), folder=path.parent)
