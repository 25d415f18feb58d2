"""`automagik db`: the schema of the database, and the history in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from automagik.cli import pruning, verification_report
from automagik.cli.context import database, printer, settings
from automagik.cli.options import Yes
from automagik.cli.person import confirm
from automagik.cli.printer import Column
from automagik.core.exceptions import InvalidInput

if TYPE_CHECKING:
    from sqlalchemy import Connection

app = typer.Typer()


def _age(text: str) -> timedelta:
    """With a unit: a forgotten one must not delete the history of all but a few seconds."""
    from automagik.core.scheduler.exceptions import InvalidCadence
    from automagik.core.scheduler.interval import parse_every

    try:
        return parse_every(text)
    except InvalidCadence:
        raise typer.BadParameter(f"{text!r} is no age, such as 30d, 12h or 90m") from None


def _age_option(outcome: str) -> Any:
    what = f"Delete {outcome} tasks that ended longer ago, such as 30d, 12h or 90m."
    return typer.Option(f"--{outcome}", parser=_age, metavar="AGE", help=what)


_COLUMNS = (Column("revision"), Column("head", "Newest"), Column("is_current", "Up to date"))


@app.command()
def init() -> None:
    """Create the database if need be, and bring it up to date.

    Safe to run again: data stays.

    Example: automagik db init
    """
    from automagik.core.database import migrate

    url = settings().require_database_url()
    if migrate.create_database(url):
        printer().say("✓ Database created.")
    _upgrade(url, "head")


@app.command()
def upgrade(
    revision: Annotated[str, typer.Argument(metavar="REVISION", help="How far.")] = "head",
) -> None:
    """Bring the schema to a newer revision.

    Example: automagik db upgrade
    """
    _upgrade(settings().require_database_url(), revision)


@app.command()
def downgrade(
    revision: Annotated[
        str, typer.Argument(metavar="REVISION", help="How far back: 0001, -1, or base for nothing.")
    ],
    *,
    yes: Yes = False,
) -> None:
    """Take the schema back to an older revision. What newer ones stored is lost.

    Example: automagik db downgrade 0001 --yes
    """
    from automagik.core.database import migrate

    confirm(f"Go back to {revision} and lose what newer revisions stored?", yes=yes)
    url = settings().require_database_url()
    with _revision_refused():
        migrate.downgrade(url, revision)
    printer().say(f"✓ The schema is at revision {_found(url) or 'base'}.")


@app.command()
def current() -> None:
    """Show the revision of the database and the newest that is known.

    Example: automagik db current -o json
    """
    from automagik.core.database import migrate

    found, head = _found(settings().require_database_url()), migrate.head()
    item = {"revision": found, "head": head, "is_current": found == head}
    printer().item(item, _COLUMNS)


@app.command()
def check() -> None:
    """Fail unless the schema is current and complete.

    Example: automagik db check && automagik schedules list
    """
    from automagik.core.database import migrate
    from automagik.core.database.exceptions import SchemaOutdated

    url = settings().require_database_url()
    with _connected(url) as connection:
        migrate.require_current(connection)
    if different := migrate.differences(url):
        raise SchemaOutdated(
            f"The tables are not as they should be: {'; '.join(different)}",
            hint="Somebody changed them by hand. Undo that, or restore a backup.",
        )
    printer().say(f"✓ The schema is at revision {migrate.head()} and complete.")


@app.command()
def verify() -> None:
    """Read the whole history and list every promise that was broken; exit 1 if there is one.

    Safe at any time, also while beats and workers run.

    Example: automagik db verify -o json
    """
    from automagik.core import verification

    found = verification.verify(database(), settings())
    verification_report.tell(printer(), found)
    if found.violations:
        raise typer.Exit(1)


@app.command()
def prune(
    *,
    completed: Annotated[timedelta | None, _age_option("completed")] = None,
    failed: Annotated[timedelta | None, _age_option("failed")] = None,
    cancelled: Annotated[timedelta | None, _age_option("cancelled")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would go.")] = False,
    yes: Yes = False,
) -> None:
    """Delete tasks that ended long ago, with their attempts, events and logs.

    Without an age those of the settings count, such as AUTOMAGIK_RETENTION_COMPLETED.

    Example: automagik db prune --completed 30d --failed 90d --dry-run
    """
    from automagik.core.scheduler.retention import ages_set
    from automagik.core.tasks.states import TaskState

    given = {
        TaskState.COMPLETED: completed,
        TaskState.FAILED: failed,
        TaskState.CANCELLED: cancelled,
    }
    ages = {outcome: age for outcome, age in given.items() if age} or ages_set(settings())
    if not ages:
        raise InvalidInput(
            "No age is given, and none is set.",
            hint="For example: automagik db prune --completed 30d, or set"
            " AUTOMAGIK_RETENTION_COMPLETED=30d for the beats, too.",
        )
    pruning.prune(database(), printer(), ages, dry_run=dry_run, yes=yes)


def _upgrade(url: str, revision: str) -> None:
    from automagik.core.database import migrate

    before = _found(url)
    with _revision_refused():
        migrate.upgrade(url, revision)
    after = _found(url)
    steps = f"{before or 'base'} → {after}" if before != after else f"already at {after}"
    printer().say(f"✓ Schema: {steps}.")


def _found(url: str) -> str | None:
    from automagik.core.database import migrate

    with _connected(url) as connection:
        return migrate.current(connection)


@contextmanager
def _connected(url: str) -> Iterator["Connection"]:
    """Unlike context.database() it does not mind an old schema."""
    from automagik.core.database.session import Database

    database = Database(url, pool_size=1)
    try:
        with database.transaction() as connection:
            yield connection
    finally:
        database.dispose()


@contextmanager
def _revision_refused() -> Iterator[None]:
    from alembic.util import CommandError

    try:
        yield
    except CommandError as error:
        raise InvalidInput(
            f"{str(error).rstrip('.')}.",
            hint="A revision is a number such as 0001; or head, base, -1.",
        ) from error
