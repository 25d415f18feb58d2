"""Files as people write them, planned and applied."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent

from automagik.core.config import Settings
from automagik.core.database.session import Database
from automagik.core.manifest.manager import ManifestManager
from automagik.core.manifest.plan import Choice
from automagik.core.manifest.problems import ManifestInvalid
from automagik.core.manifest.reading import read_manifest
from automagik.core.manifest.values import Manifest, ManifestFile, Plan


def manifest_of(
    *texts: str,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    timezone: str = "UTC",
) -> Manifest:
    """The files a.yaml, b.yaml and so on."""
    files = [
        ManifestFile(name=f"{letter}.yaml", text=dedent(text), folder=folder or Path())
        for letter, text in zip("abcdef", texts, strict=False)
    ]
    return read_manifest(files, timezone=timezone, environment=environment or {})


@dataclass(frozen=True, kw_only=True)
class Files:
    """What `automagik apply` does, without its words."""

    database: Database
    settings: Settings
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def manager(self) -> ManifestManager:
        return ManifestManager(self.database, self.settings)

    def manifest(self, *texts: str) -> Manifest:
        return manifest_of(*texts, folder=self.folder, environment=self.environment)

    def plan(self, *texts: str, choice: Choice | None = None) -> Plan:
        return self.manager.plan(self.manifest(*texts), choice or Choice())

    def apply(self, *texts: str, choice: Choice | None = None) -> Plan:
        manifest, choice = self.manifest(*texts), choice or Choice()
        shown = self.manager.plan(manifest, choice, is_tried=False)
        return self.manager.apply(manifest, choice, shown=shown)

    def problems(self, *texts: str, choice: Choice | None = None) -> list[str]:
        """Where and what, without the advice."""
        try:
            self.plan(*texts, choice=choice)
        except ManifestInvalid as error:
            return [problem.text.partition("\n")[0] for problem in error.problems]
        return []


def steps(plan: Plan) -> list[tuple[str, str, str]]:
    return [(str(step.action), str(step.kind), step.name) for step in plan.steps]


def changes(plan: Plan) -> dict[str, tuple[object, object]]:
    """Of its only step."""
    [step] = plan.steps
    return {change.field: (change.old, change.new) for change in step.changes}
