"""Settings from files and the environment of a test alone."""

from collections.abc import Iterator

import pytest

from tests.core.settings.places import Places, empty_places


@pytest.fixture
def places() -> Iterator[Places]:
    with empty_places() as found:
        yield found
