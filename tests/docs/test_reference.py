"""The reference is what the code says."""

import pytest

from docs.generate import REFERENCE, pages

PAGES = pages()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_what_the_code_says_now(name: str) -> None:
    """Else: uv run python -m docs.generate."""
    assert (REFERENCE / name).read_text(encoding="utf-8") == PAGES[name]


def test_nothing_else_lies_there() -> None:
    files = {str(path.relative_to(REFERENCE)) for path in REFERENCE.rglob("*") if path.is_file()}
    assert files == set(PAGES)
