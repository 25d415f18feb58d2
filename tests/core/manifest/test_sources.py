"""The sources of files: a key goes to the server that it was given for, and to no other."""

import socket
from collections.abc import Iterator

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from automagik.core.config import Settings
from automagik.core.database.session import WAKE
from automagik.core.exceptions import InvalidInput
from automagik.core.flows.sources import SourceManager
from automagik.core.flows.values import Source
from automagik.core.manifest.export import export
from automagik.core.manifest.plan import Choice
from automagik.core.manifest.problems import ManifestInvalid
from automagik.core.manifest.values import SECRET
from automagik.demo.server import DemoServer
from tests.core.manifest.files import Files, changes, steps
from tests.core.records import rows

CANARY = "sk-canary-0123456789"


@pytest.fixture
def server() -> Iterator[DemoServer]:
    with DemoServer(api_key=CANARY) as running:
        yield running


@pytest.fixture
def sources(files: Files, settings: Settings) -> SourceManager:
    return SourceManager(files.database, settings)


@pytest.fixture
def source(sources: SourceManager, server: DemoServer, files: Files) -> Source:
    made = sources.add("prod", server.url, api_key=SecretStr(CANARY))
    rows(files.database, "UPDATE sources SET project = 'shop' RETURNING name")
    return made


def prod(url: str, *lines: str) -> str:
    body = "".join(f"    {line}\n" for line in lines)
    return f"project: shop\nsources:\n  prod:\n    url: {url}\n{body}"


def test_a_stored_key_is_not_sent_to_the_address_that_a_file_names(
    files: Files, source: Source, sources: SourceManager
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        url = f"http://127.0.0.1:{stranger.getsockname()[1]}"
        for each in (url, source.url.replace("127.0.0.1", "localhost"), f"https{source.url[4:]}"):
            with pytest.raises(ManifestInvalid) as refused:
                files.apply(prod(each))
            assert "a.yaml:4: sources.prod.url: The API key of source 'prod'" in str(refused.value)
            assert "api-key: env:NAME" in str(refused.value)
            assert CANARY not in f"{refused.value!r} {refused.value.__dict__}"
        stranger.settimeout(0)
        with pytest.raises(BlockingIOError):  # Nobody has called.
            stranger.accept()

    assert sources.get("prod").url == source.url


def test_a_key_that_the_file_names_goes_along_and_is_nowhere_in_plain(
    files: Files, source: Source, sources: SourceManager
) -> None:
    with DemoServer(api_key="sk-canary-second") as moved:
        files.environment["PROD_KEY"] = "sk-canary-second"
        said = prod(moved.url, "api-key: env:PROD_KEY")
        plan = files.apply(said)

        assert changes(plan) == {"url": (source.url, moved.url), "api-key": (None, SECRET)}
        assert sources.client(source).check_key() == "demo"
    with files.database.transaction() as connection:
        table = str(connection.execute(text("SELECT * FROM sources")).all())
    for key in (CANARY, "sk-canary-second"):
        assert key not in table + repr(plan) + repr(files.manifest(said))


def test_another_path_of_the_same_server_keeps_its_key(
    files: Files, source: Source, sources: SourceManager
) -> None:
    below = prod(f"{source.url}/behind/a/proxy")

    assert changes(files.plan(below)) == {"url": (source.url, f"{source.url}/behind/a/proxy")}


def test_a_key_is_not_sent_elsewhere_even_when_the_address_changes_meanwhile(
    files: Files, source: Source, sources: SourceManager
) -> None:
    """Who asks has read the source before."""
    rows(files.database, "UPDATE sources SET url = 'http://moved.example.com' RETURNING name")

    with pytest.raises(InvalidInput, match="not sent to another server"):
        sources.accepted(source.url, None, of=source)


def test_a_file_says_whether_a_source_is_disabled_or_leaves_it(
    files: Files, source: Source, sources: SourceManager, server: DemoServer
) -> None:
    sources.disable(source, note="by hand")
    assert steps(files.plan(prod(server.url))) == []
    assert steps(files.plan(prod(server.url, "disabled: true"))) == []
    since = sources.get("prod").disabled_at

    moving = prod(server.url, "disabled: true", "note: moving")
    assert changes(files.apply(moving)) == {"note": ("by hand", "moving")}
    assert (sources.get("prod").disabled_at, sources.get("prod").disabled_reason) == (
        since,
        "moving",
    )
    with files.database.listen(WAKE) as beat:
        files.apply(prod(server.url, "disabled: false"))
        assert beat.wait(files.settings.min_interval) != []

    assert (sources.get("prod").disabled_at, sources.get("prod").disabled_reason) == (None, None)
    assert steps(files.plan(prod(server.url, "disabled: false"))) == []
    assert files.problems(prod(server.url, "note: why")) == [
        "a.yaml:5: sources.prod.note: says why it is disabled: disabled: true is missing."
    ]


def test_a_disabled_source_is_exported_as_such_and_made_so_anew(
    files: Files, source: Source, sources: SourceManager
) -> None:
    sources.disable(source, note="upgrade")
    told = export(files.database, files.settings).text
    sources.delete(source)
    files.environment["PROD_KEY"] = CANARY
    url = f"    url: {source.url}\n"

    files.apply(told.replace(url, f"{url}    api-key: env:PROD_KEY\n"))

    assert sources.get("prod").disabled_at is not None
    assert sources.get("prod").disabled_reason == "upgrade"
    assert export(files.database, files.settings).text == told


def test_what_others_own_keeps_its_key_too(files: Files, source: Source) -> None:
    said = prod("http://127.0.0.1:9").replace("shop", "other")

    with pytest.raises(ManifestInvalid, match="not sent to another server"):
        files.apply(said, choice=Choice(take_over=True))
