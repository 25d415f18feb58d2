"""Settings: where they come from, and what somebody may have meant otherwise."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from automagik.core.config import Settings
from automagik.core.health.check import Check, error, ok, warning
from automagik.core.settings.exceptions import SettingProblem
from automagik.core.settings.files import did_you_mean
from automagik.core.settings.layers import Origin, variable
from automagik.core.settings.origins import layers_of, origins, overruled

_PREFIX = "AUTOMAGIK_"


def check_settings(settings: Settings) -> Iterator[Check]:
    counts = Counter(setting.origin for setting in origins(settings))
    words = [f"{counts[origin]} from {origin}" for origin in Origin if counts[origin]]
    yield ok("Settings", ", ".join(words).replace("from default", "by default"))
    if settings.profile is not None:
        layers = layers_of(settings)
        yield profile_check(settings.profile, [(k, f.place) for k, f in overruled(layers)])
    yield from variable_checks(os.environ)


def problem_checks(problems: Sequence[SettingProblem]) -> Iterator[Check]:
    """All that is wrong, when the settings cannot be used."""
    for problem in problems:
        fix = problem.hint or f"Correct it there: {problem.place}"
        yield error("Settings", str(problem), fix=fix)


def profile_check(name: str, overruled_by: Sequence[tuple[str, str]]) -> Check:
    """The rule for what a profile says and somebody stronger says, too: its key and the place."""
    if not overruled_by:
        return ok("Profile", name)
    words = ", ".join(f"{key} ({place})" for key, place in overruled_by)
    return warning(
        "Profile",
        f"{name}, but not in all it says: {words} wins over it",
        fix="If the profile shall count, unset these.",
    )


def variable_checks(names: Iterable[str]) -> Iterator[Check]:
    """Variables that look like ours and are none: nobody reads them."""
    ours = {variable(Settings, field) for field in Settings.model_fields}
    for name in sorted(names):
        if not name.startswith(_PREFIX) or name in ours:
            continue
        if meant := _meant(name):
            yield warning("Environment", f"{name} is no setting of ours", fix=meant)


def _meant(name: str) -> str | None:
    near = did_you_mean(name, Settings.model_fields)
    if near is None:
        return None
    # Some variables of ours are no settings, so only what is very near is complained of.
    keys = [field for field in Settings.model_fields if repr(field) in near]
    close = [key for key in keys if _differ_by_little(name, variable(Settings, key))]
    return f"Did you mean {variable(Settings, close[0])}?" if close else None


def _differ_by_little(one: str, other: str) -> bool:
    from difflib import SequenceMatcher

    return SequenceMatcher(a=one, b=other).ratio() > 0.92
