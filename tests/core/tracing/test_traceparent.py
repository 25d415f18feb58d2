"""What is taken from the environment as the parent of a run, and what is not."""

import pytest

from automagik.core.tracing.traceparent import inherited, read, trace_id_of

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
VALID = f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize(
    "given, read_as",
    [
        (VALID, VALID),
        (f"  {VALID}\n", VALID),
        (f"00-{TRACE}-{SPAN}-00", f"00-{TRACE}-{SPAN}-00"),
        (f"00-{TRACE}-{SPAN}-03", f"00-{TRACE}-{SPAN}-03"),
        # Of a later version only what this one knows.
        (f"cc-{TRACE}-{SPAN}-09-what-will-be", VALID),
        (f"cc-{TRACE}-{SPAN}-08", f"00-{TRACE}-{SPAN}-00"),
    ],
)
def test_what_the_standard_allows_is_taken(
    given: str, read_as: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACEPARENT", given)

    assert inherited() == read(given) == read_as
    assert trace_id_of(read(given)) == TRACE


@pytest.mark.parametrize(
    "given",
    [
        "",
        "0",
        VALID.upper(),
        f"{VALID}-more",
        f"{VALID}0",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}",
        f"00_{TRACE}_{SPAN}_01",
        f"00-{TRACE}-{SPAN}-01\r\nx-api-key: 1",
    ],
)
def test_what_it_does_not_allow_is_left_out(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACEPARENT", given)

    assert inherited() is None


def test_without_one_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRACEPARENT", raising=False)

    assert inherited() is None
    assert trace_id_of(None) is None
