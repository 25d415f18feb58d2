"""`automagik sources …`: the LangFlow servers that flows come from."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from automagik.cli import context, known, person
from automagik.cli.api_key import ApiKeyFile, ApiKeyStdin, asked_key, configured_key, given_key
from automagik.cli.options import DryRun, Note, Yes
from automagik.cli.printer import Column
from automagik.core.exceptions import Conflict
from automagik.core.flows.values import Breaker, SourceOption

if TYPE_CHECKING:
    from automagik.core.flows.sources import SourceManager
    from automagik.core.flows.values import Source, SourceCheck

app = typer.Typer()

Name = Annotated[
    str, typer.Argument(metavar="SOURCE", help="Its name or id.", autocompletion=known.sources)
]
MaxParallel = Annotated[
    int | None, typer.Option("--max-parallel", min=1, help="How many runs it gets at a time.")
]
MaxPerMinute = Annotated[
    int | None,
    typer.Option("--max-per-minute", min=1, help="How many runs it gets a minute, evenly spread."),
]

_BREAKER_STYLES = {Breaker.OPEN: "red", Breaker.PROBING: "yellow"}
_COLUMNS = [
    Column("name"),
    Column("url", "URL"),
    Column("version", "LangFlow"),
    Column("has_api_key", "Key"),
    Column("max_parallel_runs", "Parallel"),
    Column("max_runs_per_minute", "Per minute", wide=True),
    Column("breaker", style=lambda breaker: _BREAKER_STYLES.get(breaker, "")),
    Column("flows"),
    Column("checked_at", "Checked", wide=True),
    Column("disabled_at", "Disabled", style="yellow", wide=True),
]
_ALL = [
    Column("id", "ID"),
    *_COLUMNS,
    Column("breaker_reason"),
    Column("breaker_opened_at", "Down since"),
    Column("breaker_probe_at", "Tried next"),
    Column("disabled_reason", "Note"),
    Column("created_at"),
    Column("updated_at"),
]
_CHECK = [
    Column("name"),
    Column("url", "URL"),
    Column("reachable"),
    Column("version", "LangFlow"),
    Column("key_valid"),
    Column("latency_seconds", "Answers in", format=lambda seconds: f"{seconds * 1000:.0f}ms"),
    Column("flows"),
    Column("error", format=lambda error: error["detail"]),
]


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="What to call it.")],
    url: Annotated[str, typer.Argument(help="The address of LangFlow.", metavar="URL")],
    *,
    api_key_file: ApiKeyFile = None,
    api_key_stdin: ApiKeyStdin = False,
    max_parallel: MaxParallel = None,
    max_per_minute: MaxPerMinute = None,
) -> None:
    """Add a LangFlow server, once it has accepted the API key.

    The key comes from a file, from stdin, from LANGFLOW_API_KEY, or is asked for.

    Example: automagik sources add prod https://langflow.example.com --api-key-file key.txt
    """
    from automagik.core.flows.sources import DEFAULT_MAX_PARALLEL_RUNS

    sources = open_sources()
    key = given_key(api_key_file, stdin=api_key_stdin) or configured_key(url) or asked_key()
    source = sources.add(
        name,
        url,
        api_key=key,
        max_parallel_runs=max_parallel or DEFAULT_MAX_PARALLEL_RUNS,
        max_runs_per_minute=max_per_minute,
    )
    context.printer().item(asdict(source), _ALL)
    context.printer().say(f"✓ Source {source.name} added.")
    context.printer().say(f"  Next: automagik flows sync --source {source.name}")


@app.command("list")
def list_sources() -> None:
    """List the sources.

    Example: automagik sources list
    """
    sources = open_sources()
    ensure_default(sources)
    context.printer().items(
        [asdict(source) for source in sources.list()],
        _COLUMNS,
        empty="There are no sources yet. Add one with: automagik sources add NAME URL",
    )


@app.command()
def show(name: Name) -> None:
    """Show one source. Its API key is never shown.

    Example: automagik sources show prod
    """
    context.printer().item(asdict(open_sources().get(name)), _ALL)


@app.command("test")
def check(name: Name = "default") -> None:
    """Ask a source for its version, and whether the key is valid.

    Example: automagik sources test prod
    """
    sources = open_sources()
    found = sources.test(sources.get(name))
    columns = _CHECK if found.error else _CHECK[:-1]
    context.printer().item(
        _check_record(found), columns if context.printer().for_people else _CHECK
    )
    if found.error:
        raise found.error


@app.command()
def update(
    name: Name,
    *,
    url: Annotated[str | None, typer.Option("--url", help="Its new address.")] = None,
    new_name: Annotated[str | None, typer.Option("--name", help="Its new name.")] = None,
    api_key_file: ApiKeyFile = None,
    api_key_stdin: ApiKeyStdin = False,
    ask_api_key: Annotated[
        bool, typer.Option("--ask-api-key", help="Ask for a new API key, hidden.")
    ] = False,
    max_parallel: MaxParallel = None,
    max_per_minute: MaxPerMinute = None,
    unset: Annotated[
        list[SourceOption] | None, typer.Option("--unset", help="Leave it open again; repeatable.")
    ] = None,
) -> None:
    """Change a source. A new address or key is stored only after the server has accepted it.

    Another server needs the key once more: the stored one is not sent there.

    Example: automagik sources update prod --api-key-file new-key.txt
    """
    from automagik.core.flows.sources import needs_key

    key = given_key(api_key_file, stdin=api_key_stdin) or (asked_key() if ask_api_key else None)
    if not any((url, new_name, key, max_parallel, max_per_minute, unset)):
        raise typer.BadParameter("nothing to change; give --url, --name, a key or a limit")
    sources = open_sources()
    source = sources.get(name)
    if url and key is None and SourceOption.API_KEY not in (unset or ()) and needs_key(source, url):
        key = asked_key()
    source = sources.update(
        source,
        name=new_name,
        url=url,
        api_key=key,
        max_parallel_runs=max_parallel,
        max_runs_per_minute=max_per_minute,
        unset=unset or (),
    )
    context.printer().item(asdict(source), _ALL)
    context.printer().say(f"✓ Source {source.name} updated.")


@app.command()
def delete(
    name: Name,
    *,
    with_flows: Annotated[
        bool,
        typer.Option("--with-flows", help="Delete its flows, with their schedules and tasks, too."),
    ] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Delete a source that has no flows, or delete it with them.

    Example: automagik sources delete staging --with-flows --dry-run

    Example: automagik sources delete staging --with-flows --yes
    """
    sources = open_sources()
    source = sources.get(name)
    if dry_run and source.flows and not with_flows:
        raise Conflict(
            f"The source {source.name!r} has {source.flows} flows.",
            hint="Delete them too, with their schedules and tasks: --with-flows",
        )
    what = f"the source {source.name!r}"
    if with_flows:
        baggage = sources.weigh(source)
        what += (
            f" with {source.flows} flows, {baggage.schedules} schedules, {baggage.tasks} tasks"
            f" and {baggage.log_lines} log lines"
        )
        if baggage.followers:
            what += f", and the schedules that follow these: {', '.join(baggage.followers)}"
    if dry_run:
        context.printer().say(f"This would delete {what}. Nothing was changed.")
        return
    person.confirm(f"Delete {what}?", yes=yes)
    sources.delete(source, with_flows=with_flows)
    context.printer().say(f"✓ Deleted the source {source.name!r}.")


@app.command()
def disable(
    name: Name,
    *,
    note: Note = None,
) -> None:
    """Give a source no runs until it is enabled; those under way go on.

    Runs that are asked for wait. What its schedules would start meanwhile is skipped.

    Example: automagik sources disable prod --note "upgrade of LangFlow"
    """
    sources = open_sources()
    source = sources.disable(sources.get(name), note=note)
    context.printer().say(f"✓ Source {source.name} disabled.")
    context.printer().say(f"  Go on with: automagik sources enable {source.name}")


@app.command()
def enable(name: Name) -> None:
    """Let a disabled source get runs again; what waits for it may start at once.

    Example: automagik sources enable prod
    """
    sources = open_sources()
    source = sources.enable(sources.get(name))
    context.printer().say(f"✓ Source {source.name} enabled.")


def open_sources() -> "SourceManager":
    from automagik.core.flows.sources import SourceManager

    return SourceManager(context.database(), context.settings())


def ensure_default(sources: "SourceManager") -> "Source | None":
    """The source of LANGFLOW_API_URL, if it is set. That it does not answer is only said."""
    from automagik.core.flows.exceptions import RemoteError

    try:
        return sources.ensure_default()
    except RemoteError as error:
        context.printer().say(f"The source of LANGFLOW_API_URL was not stored: {error.message}")
        return None


def _check_record(check: "SourceCheck") -> Mapping[str, Any]:
    error = check.error
    return {
        "name": check.source.name,
        "url": check.source.url,
        "reachable": check.version is not None,
        "version": check.version,
        "key_valid": check.key_valid,
        "latency_seconds": check.latency.total_seconds() if check.latency else None,
        "flows": check.flows,
        "error": error and {"code": error.code, "detail": error.message, "hint": error.hint},
    }
