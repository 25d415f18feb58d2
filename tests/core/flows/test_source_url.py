"""The address of a source as people paste it."""

import pytest

from automagik.core.exceptions import InvalidInput
from automagik.core.flows.source_url import normalize_source_url


@pytest.mark.parametrize(
    ("pasted", "kept"),
    [
        ("http://localhost:7860", "http://localhost:7860"),
        (" http://localhost:7860/ ", "http://localhost:7860"),
        ("HTTPS://LangFlow.Example.com/api/v1/", "https://langflow.example.com"),
        ("https://example.com/flows/api/v2", "https://example.com/flows"),
        ("https://example.com/Tools/api", "https://example.com/Tools"),
        ("http://[::1]:7860/", "http://[::1]:7860"),
    ],
)
def test_slashes_and_the_api_path_are_dropped(pasted: str, kept: str) -> None:
    assert normalize_source_url(pasted) == kept


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:7860",
        "example.com",
        "ftp://example.com",
        "http://",
        "http://host:99999",
        "http://[::1",
        "http://host/?key=1",
        "http://host/#flows",
        "http://ho st",
        "http://host\r\nx: y",
    ],
)
def test_what_is_no_address_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        normalize_source_url(url)
    assert "http://localhost:7860" in str(caught.value.hint)


def test_a_password_in_the_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(InvalidInput) as caught:
        normalize_source_url("https://user:canary@example.com")
    assert "canary" not in str(caught.value) + str(caught.value.hint)
