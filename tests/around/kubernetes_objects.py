"""Strict reading of Kubernetes objects: what the API of the cluster would refuse is refused here.

The shapes are those of lightkube-models, which is made from the published OpenAPI document of Kubernetes.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any, Final

import msgspec

#: apiVersion -> the module of its models.
_MODULES: Final = {
    "v1": "core_v1",
    "apps/v1": "apps_v1",
    "policy/v1": "policy_v1",
    "networking.k8s.io/v1": "networking_v1",
}
#: KEDA's ScaledObject (https://keda.sh/docs/latest/reference/scaledobject-spec/): the fields of `spec`, and those of a trigger.
SCALED_OBJECT: Final = {
    "scaleTargetRef",
    "pollingInterval",
    "cooldownPeriod",
    "minReplicaCount",
    "maxReplicaCount",
    "fallback",
    "triggers",
}
PROMETHEUS: Final = {"serverAddress", "query", "threshold"}


def problems(one: dict[str, Any]) -> list[str]:
    """What is wrong with an object: an unknown field, a value of another type, a field that is missing."""
    if one["kind"] == "ScaledObject":
        spec, triggers = one["spec"], [each["metadata"] for each in one["spec"]["triggers"]]
        odd = sorted(spec.keys() ^ SCALED_OBJECT) + sorted(name for each in triggers for name in each.keys() ^ PROMETHEUS)
        return odd + [f"{value!r} is no text" for each in triggers for value in each.values() if type(value) is not str]
    model = getattr(import_module(f"lightkube.models.{_MODULES[one['apiVersion']]}"), one["kind"])
    try:
        known = msgspec.to_builtins(msgspec.convert(one, model))
    except msgspec.ValidationError as error:
        return [str(error)]
    return list(_unknown(one, known, one["kind"]))


def _unknown(given: Any, known: Any, where: str) -> Iterator[str]:
    """The fields of `given` that the model has dropped."""
    if isinstance(given, dict):
        for name, value in given.items():
            if name in known:
                yield from _unknown(value, known[name], f"{where}.{name}")
            else:
                yield f"{where}.{name} is unknown"
    elif isinstance(given, list):
        for place, (one, other) in enumerate(zip(given, known, strict=True)):
            yield from _unknown(one, other, f"{where}.{place}")
