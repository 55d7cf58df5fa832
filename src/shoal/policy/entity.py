"""Entities: endpoints and labels as the law's engine reads them.

Knows which field of a value is which fact of the schema. An unknown fact is left out, never guessed; a value of the
wrong type is handed on as it is, so that the schema refuses it and the endpoint is forbidden.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shoal.core.endpoint import Endpoint
from shoal.core.label import Label

PLAIN = (
    "host_country",
    "region_pinned",
    "operator_country",
    "operator_parent",
    "storage_country",
    "retention_days",
    "trains_on_input",
    "human_review",
    "accelerator",
    "attested",
)
SETS = ("transfer_bases", "certifications", "registrations", "terms")
OF_MODEL = ("developer_country", "developer_parent", "base_model", "base_country", "open_weights", "export_hold")


def attributes(endpoint: Endpoint) -> dict[str, Any]:
    """Return the known facts of an endpoint by their names in the schema."""
    model = endpoint.model
    facts: dict[str, Any] = {
        "is_known": True,
        "endpoint": _folded(endpoint.id),
        "provider": _folded(endpoint.provider),
        "native_name": _folded(endpoint.native_name),
        "operator": _folded(endpoint.operator),
        "model": _folded(model.id),
        "developer": _folded(model.developer),
        "licence": _folded(model.licence),
        "licence_flags": _listed(model.licence_flags),
        "flop_log10_x100": None if model.flop_log10 is None else round(model.flop_log10 * 100),
    }
    facts |= {name: getattr(endpoint, name) for name in PLAIN}
    facts |= {name: _listed(getattr(endpoint, name)) for name in SETS}
    facts |= {name: getattr(model, name) for name in OF_MODEL}
    return {name: value for name, value in facts.items() if value is not None}


def context(label: Label) -> Mapping[str, Any]:
    """Return a label as the context of a request."""
    return label.as_dict()


def _folded(name: str | None) -> str | None:
    return None if name is None else name.casefold()


def _listed(values: tuple[str, ...] | None) -> list[str] | None:
    return None if values is None else list(values)
