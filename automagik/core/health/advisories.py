"""Known security holes of LangFlow, so that who runs an old server hears of it.

Only holes that are published with the version that closed them, and that concern whoever can reach
the server: what its own users may do to each other is theirs to weigh.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from packaging.version import InvalidVersion, Version


@dataclass(frozen=True, kw_only=True, slots=True)
class Advisory:
    """A hole, and who can use it for what."""

    cve: str
    fixed_in: str
    """All versions before it have the hole."""
    what: str

    @property
    def link(self) -> str:
        return f"https://nvd.nist.gov/vuln/detail/{self.cve}"


ADVISORIES: Sequence[Advisory] = (
    Advisory(
        cve="CVE-2025-3248",
        fixed_in="1.3.0",
        what="anybody who reaches it can run code by /api/v1/validate/code",
    ),
    Advisory(
        cve="CVE-2025-57760",
        fixed_in="1.5.1",
        what="who can run code in it can make himself its administrator",
    ),
    Advisory(
        cve="CVE-2026-34046",
        fixed_in="1.5.1",
        what="each of its users can read and change the flows of all others",
    ),
    Advisory(
        cve="CVE-2025-34291",
        fixed_in="1.7.0",
        what="a web page can take over the session of whoever visits it, and run code",
    ),
    Advisory(
        cve="CVE-2025-68477",
        fixed_in="1.7.1",
        what="who has an API key can make it ask servers inside of its network",
    ),
    Advisory(
        cve="CVE-2026-33017",
        fixed_in="1.9.0",
        what="anybody who reaches it can run code by building a public flow",
    ),
    Advisory(
        cve="CVE-2026-13448",
        fixed_in="1.10.2",
        what="anybody who reaches it can run code by agents in a public flow",
    ),
)


def advisories_for(version: str | None) -> Sequence[Advisory]:
    """Those that this version has; none for what is no version."""
    try:
        found = Version(version or "")
    except InvalidVersion:
        return ()
    return tuple(each for each in ADVISORIES if found < Version(each.fixed_in))


def safe_version(advisories: Sequence[Advisory]) -> str:
    """The first that has none of these holes."""
    return str(max(Version(each.fixed_in) for each in advisories))
