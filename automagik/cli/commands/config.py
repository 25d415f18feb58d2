"""`automagik config`: the settings, where they come from, and the files that hold them."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from automagik.cli import context, known
from automagik.cli.context import printer, settings
from automagik.cli.person import text_from
from automagik.cli.printer import Column, Output
from automagik.core.exceptions import InvalidInput

if TYPE_CHECKING:
    from automagik.core.settings.origins import SettingOrigin

app = typer.Typer()

_Key = Annotated[
    str,
    typer.Argument(
        metavar="KEY",
        help="As in the files: timezone, database_url …",
        autocompletion=known.setting_keys,
    ),
]
_ToUser = Annotated[bool, typer.Option("--user", help="In your own config.toml.")]
_ToProject = Annotated[
    bool, typer.Option("--project", help="In automagik.toml, here or above; made here.")
]


def _origin_style(place: Any) -> str:
    return "dim" if place == "default" else ""


_SETTINGS = (Column("key", "Setting"), Column("value"))
_ORIGINS = (
    Column("place", "From", style=_origin_style),
    Column("name", "Variable", wide=True),
)
_FILES = (Column("file"), Column("path"), Column("is_read", "Read"), Column("note"))


@app.command()
def show(
    *,
    origin: Annotated[bool, typer.Option("--origin", help="Also who says so, and where.")] = False,
    chosen: Annotated[
        bool, typer.Option("--set", help="Only those that somebody has set.")
    ] = False,
) -> None:
    """Show every setting. Secrets are masked.

    Example: automagik config show --origin --set
    """
    from automagik.core.settings.origins import origins

    found = [each for each in origins(settings()) if not chosen or each.origin != "default"]
    columns = (*_SETTINGS, *_ORIGINS) if origin else _SETTINGS
    printer().items([asdict(each) for each in found], columns, empty="Nothing is set.")


@app.command()
def path() -> None:
    """Show which files settings are read from.

    The strongest comes first; those that are not there are shown, too.

    Example: automagik config path
    """
    from automagik.core.config import Settings
    from automagik.core.settings import files

    items = [_file_item(".env", Path(".env").absolute())]
    name = str(Settings.PROJECT_FILE)
    items += [_file_item("project", found, ours) for found, ours in files.candidates(name)][:3]
    if len(items) == 1:
        items.append(_file_item("project", Path(name).absolute()))
    items.append(_file_item("user", files.user_file()))
    printer().items(_first_of_each(items), _FILES, empty="")


@app.command()
def get(key: _Key) -> None:
    """Print the value of one setting.

    When it is not set: nothing, and the exit code is 1.

    Example: automagik config get timezone
    """
    from automagik.core.settings.change import known_key
    from automagik.core.settings.origins import origins

    wanted = known_key(key)
    found: SettingOrigin = next(each for each in origins(settings()) if each.key == wanted)
    if printer().output not in (None, Output.TABLE, Output.WIDE, Output.TSV, Output.NAME):
        printer().item(asdict(found), _SETTINGS)
    elif found.value is not None:
        printer().raw(f"{found.value}\n")
    if found.value is None:
        raise typer.Exit(1)


@app.command("set")
def set_(
    key: _Key,
    value: Annotated[
        str,
        typer.Argument(
            metavar="VALUE|-", help="- reads it from stdin; a secret may be env:NAME or file:PATH."
        ),
    ],
    *,
    user: _ToUser = False,
    project: _ToProject = False,
) -> None:
    """Write one setting into a file.

    By default into the project's file where there is one, else into your own; with --profile into
    that profile. Comments and order stay.

    Example: automagik config set timezone Europe/Berlin
    """
    from automagik.core.settings import change
    from automagik.core.settings.files import shown

    wanted, file = change.known_key(key), _file(user=user, project=project)
    given = (text_from(value) or "").strip() if value == "-" else value
    change.put(file, wanted, change.checked_value(wanted, given), profile=context.chosen_profile())
    printer().say(f"✓ {wanted} is set in {shown(file)}{_in_profile()}.")
    _say_who_wins(wanted)


@app.command()
def unset(key: _Key, *, user: _ToUser = False, project: _ToProject = False) -> None:
    """Take one setting out of a file.

    With --profile: out of that profile.

    Example: automagik config unset timezone
    """
    from automagik.core.settings import change
    from automagik.core.settings.files import shown

    wanted, file = change.known_key(key), _file(user=user, project=project)
    was_there = change.drop(file, wanted, profile=context.chosen_profile())
    what = "is not set any more" if was_there else "was not set"
    printer().say(f"✓ {wanted} {what} in {shown(file)}{_in_profile()}.")


@app.command()
def use(
    name: Annotated[
        str | None,
        typer.Argument(metavar="PROFILE", help="Its name.", autocompletion=known.profiles),
    ] = None,
    *,
    none: Annotated[bool, typer.Option("--none", help="No profile any more.")] = False,
) -> None:
    """Choose the profile that counts from now on.

    It is written into your own file; --profile and AUTOMAGIK_PROFILE beat it.

    Example: automagik config use prod
    """
    from automagik.core.settings import change, files

    if (name is None) is not none:
        raise InvalidInput("Name a profile, or say --none.", hint=_names())
    if none or name is None:
        change.drop(files.user_file(), files.CHOICE)
        printer().say("✓ No profile is used.")
    else:
        if name not in _profiles():
            raise InvalidInput(f"There is no profile {name!r}.", hint=_names())
        change.put(files.user_file(), files.CHOICE, name)
        printer().say(f"✓ The profile {name} is used from now on.")
    _say_who_wins(files.CHOICE)


def _file_item(kind: str, path: Path, is_trusted: bool = True) -> dict[str, Any]:  # noqa: FBT001, FBT002
    from automagik.core.settings.files import about

    exists = about(path) is not None
    note = None if exists else "not there"
    if not is_trusted:
        note = "ignored: it belongs to somebody else"
    return {"file": kind, "path": str(path), "is_read": exists and is_trusted, "note": note}


def _first_of_each(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Above the first file that counts, no other is read."""
    shown, seen = [], set()
    for item in items:
        if item["file"] not in seen:
            shown.append(item)
        if item["is_read"]:
            seen.add(item["file"])
    return shown


def _file(*, user: bool, project: bool) -> Path:
    from automagik.core.config import Settings
    from automagik.core.settings import files

    if user and project:
        raise InvalidInput("--user and --project name two files.", hint="Choose one of them.")
    name = str(Settings.PROJECT_FILE)
    found = None if user else files.project_file(name)
    if found is not None:
        return found
    return Path(name).absolute() if project else files.user_file()


def _profiles() -> list[str]:
    from automagik.core.config import Settings
    from automagik.core.settings.layers import read_layers

    return list(read_layers(Settings, {}).profiles)


def _names() -> str:
    names = _profiles()
    if names:
        return f"The profiles are: {', '.join(names)}."
    return "Make one: automagik --profile prod config set database_url env:PROD_DATABASE_URL"


def _in_profile() -> str:
    profile = context.chosen_profile()
    return f", profile {profile}" if profile else ""


def _say_who_wins(key: str) -> None:
    """What was written may not be what counts."""
    from automagik.core.config import Settings
    from automagik.core.settings.layers import Origin, read_layers

    given = {"profile": context.chosen_profile()} if context.chosen_profile() else {}
    winner = read_layers(Settings, given).winners.get(key)
    if winner and winner.origin in (Origin.ENVIRONMENT, Origin.SECRET_FILE, Origin.DOTENV):
        printer().say(f"! {winner.place} wins over it.")
