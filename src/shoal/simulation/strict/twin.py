"""Twins: what one provider takes, refuses and sends, as data.

Knows the vocabulary of the rule files and loads them. Knows nothing of our client. A value that no source states is
the plain OpenAI behaviour, and its basis is `assumed`.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from importlib import resources
from typing import Literal

import msgspec

Basis = Literal["documented", "seen", "assumed"]


class ModelRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What holds for the models whose name matches."""

    match: str = "*"
    thinks: Literal["never", "asked", "unless_told", "always"] = "never"
    efforts: tuple[str, ...] | None = None  # accepted words; None: the field is refused where `strict_effort`
    effort_at: Literal["reasoning_effort", "chat_template_kwargs"] = "reasoning_effort"
    thinking_types: tuple[str, ...] = ("enabled", "disabled")
    temperature: Literal["free", "refused", "only_1", "up_to_1"] = "free"
    reasoning_out: str | None = None  # overrides the twin's
    images: bool = True


class Twin(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One provider's rules."""

    id: str
    paths: tuple[str, ...]
    basis: dict[str, Basis] = {}
    note: str = ""
    auth: tuple[str, ...] = ("bearer",)
    one_credential: bool = False
    errors: Literal["openai", "google", "bigmodel", "sarvam", "mistral", "flat", "detail"] = "openai"
    refuse_fields: tuple[str, ...] = ()
    roles: tuple[str, ...] = ("system", "user", "assistant", "tool")
    limit: Literal["max_tokens", "max_completion_tokens", "either"] = "either"
    other_limit: Literal["refused", "ignored"] = "refused"
    seed: str = "seed"
    switch: Literal["none", "effort", "object", "flag", "null"] = "none"
    strict_effort: bool = False
    reasoning_out: Literal["reasoning_content", "reasoning", "think_tags", "typed"] = "reasoning_content"
    echo: Literal["none", "every_turn", "tool_turns", "in_content"] = "none"
    forced: str | None = "required"
    named_tools: bool = True
    tool_types: tuple[str, ...] | None = None
    content: Literal["parts", "string"] = "parts"
    formats: tuple[str, ...] = ("text", "json_object", "json_schema")
    cache_marks: Literal["read", "refused"] = "refused"
    usage_at: Literal["last", "finish", "choice"] = "last"
    inner_usage: bool = False
    filter_status: int = 400
    filter_code: str = "content_filter"
    long_status: int = 400
    long_code: str = "context_length_exceeded"
    filter_finish: str = "content_filter"
    parser: bool = True  # false: a local server may have been started without its tool-call parser
    comments: bool = False
    line_end: Literal["lf", "crlf"] = "lf"
    done: bool = True
    models: tuple[ModelRules, ...] = ()

    def rules_for(self, model: str) -> ModelRules:
        """Return the first rules whose pattern matches."""
        return next((m for m in self.models if fnmatchcase(model.lower(), m.match)), ModelRules())


@lru_cache(maxsize=1)
def load_twins() -> Mapping[str, Twin]:
    """Return every twin by its provider's id.

    Raises:
        ValueError: a rule file is not in the vocabulary.
    """
    found: dict[str, Twin] = {}
    for file in sorted((resources.files(__package__) / "rules").iterdir(), key=lambda f: f.name):
        if not file.name.endswith(".toml"):
            continue
        try:
            twin = msgspec.toml.decode(file.read_bytes(), type=Twin)
        except msgspec.ValidationError as error:
            raise ValueError(f"{file.name}: {error}") from error
        if f"{twin.id}.toml" != file.name:
            raise ValueError(f"{file.name}: `id` is `{twin.id}`; the file has to be named after it")
        found[twin.id] = twin
    return found
