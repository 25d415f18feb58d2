"""One session for all calls of a process."""

from requests import Request

from automagik.core.flows.transport import session


def test_what_urllib3_keeps_of_a_source_is_still_there_after_calls_to_fifty_others() -> None:
    """To make it anew takes longer than a call."""

    def kept(source: int) -> object:
        request = Request("POST", f"http://source-{source}.example").prepare()
        adapter = session().get_adapter("http://")
        return adapter.get_connection_with_tls_context(request, verify=True)  # type: ignore[attr-defined]

    first = kept(0)
    others = [kept(source) for source in range(1, 51)]

    assert kept(0) is first
    assert first not in others
