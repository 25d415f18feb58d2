"""Run with the models on its path: says what is wrong with the manifests on stdin, as JSON.

The models forgive fields that they do not know, so what they understood is compared with what was
said.
"""

import json
import sys
from typing import Any


def main() -> None:
    for manifest in json.load(sys.stdin):
        _check(manifest)


def _check(manifest: dict[str, Any]) -> None:
    name = f"{manifest['kind']} {manifest['metadata']['name']}"
    try:
        model = _models()[manifest["kind"]].model_validate(manifest)
    except ValueError as error:
        sys.stdout.write(f"{name}: {error}\n")
        return
    understood = model.model_dump(mode="json", by_alias=True, exclude_unset=True)
    for path in _lost(manifest, understood, ""):
        sys.stdout.write(f"{name}: {path} is unknown\n")


def _models() -> dict[str, Any]:
    from cloudcoil.models.keda.v1alpha1 import ScaledObject  # type: ignore[import-not-found]
    from cloudcoil.models.prometheus_operator.v1 import (  # type: ignore[import-not-found]
        PrometheusRule,
        ServiceMonitor,
    )

    return {each.__name__: each for each in (ScaledObject, PrometheusRule, ServiceMonitor)}


def _lost(said: Any, understood: Any, path: str) -> list[str]:
    if isinstance(said, dict):
        if not isinstance(understood, dict):
            return [path]
        return [
            lost
            for key, value in said.items()
            for lost in _lost(value, understood.get(key), f"{path}.{key}")
        ]
    if isinstance(said, list):
        if len(said) != len(understood or ()):
            return [path]
        pairs = zip(said, understood, strict=True)
        return [lost for i, (a, b) in enumerate(pairs) for lost in _lost(a, b, f"{path}[{i}]")]
    return [path] if understood is None and said is not None else []


if __name__ == "__main__":
    main()
