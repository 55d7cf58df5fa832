"""The sections of shoal.toml: every setting with its type, its default and what it is for.

Shapes only. The descriptions here are the reference: `docs/reference/settings.md` is made from them.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from shoal.catalogue.rows import InputKind, Via

Count = Annotated[int, Meta(ge=1)]
Whole = Annotated[int, Meta(ge=0)]
Positive = Annotated[float, Meta(gt=0)]


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One table of shoal.toml."""


class InstanceSection(Section, frozen=True, kw_only=True):
    """Where this installation stands and keeps its state."""

    country: Annotated[
        str | None,
        Meta(description="Two-letter country this instance runs in; local servers are hosted there. Unknown if unset."),
    ] = None
    state: Annotated[
        str | None,
        Meta(description="Folder for the journal and other state. Unset: `shoal` under the user's data folder."),
    ] = None
    name: Annotated[str, Meta(description="A name for people, shown at the start and in reports.")] = "shoal"


class ServerSection(Section, frozen=True, kw_only=True):
    """The front door."""

    host: Annotated[
        str, Meta(description="Address to listen on; anything but loopback needs at least one of `keys`.")
    ] = "127.0.0.1"
    port: Annotated[int, Meta(description="Port to listen on; 0 takes a free one.", ge=0, le=65535)] = 8400
    max_body_mb: Annotated[float, Meta(description="Largest request body in MB; larger ones get a 413.", gt=0)] = 8
    header_timeout_s: Annotated[
        float, Meta(description="Seconds a client may take to send its request headers.", gt=0)
    ] = 10
    body_timeout_s: Annotated[
        float, Meta(description="Seconds for a body to arrive; every 64 kB that came earn one more.", gt=0)
    ] = 10
    max_connections: Annotated[
        int, Meta(description="Connections held at once; beyond it a 503 is answered.", ge=1)
    ] = 2048
    concurrency: Annotated[int, Meta(description="Requests in work at once; beyond it a 503 is answered.", ge=1)] = 512
    hosts: Annotated[
        tuple[str, ...],
        Meta(description="Further names clients may use in the Host header, beside the address listened on."),
    ] = ()
    keys: Annotated[
        tuple[str, ...],
        Meta(description="Where client keys are kept: names of environment variables, or `file:PATH`."),
    ] = ()


class PolicySection(Section, frozen=True, kw_only=True):
    """Who may see a prompt: selectors, and what holds where none speaks."""

    allow: Annotated[
        tuple[str, ...], Meta(description="Selectors that permit; one that matches is enough unless a `deny` does too.")
    ] = ()
    deny: Annotated[
        tuple[str, ...], Meta(description="Selectors that forbid; a fact they read and do not find forbids as well.")
    ] = ()
    default: Annotated[
        Literal["permit", "deny"], Meta(description="What holds where no rule speaks; printed at the start.")
    ] = "permit"


class TenantSection(Section, frozen=True, kw_only=True):
    """Who stands behind the requests; kept for rules to come, no rule reads it yet."""

    home: Annotated[str | None, Meta(description="Country of the organisation that uses this instance.")] = None
    ultimate_parent: Annotated[str | None, Meta(description="Country of the company that owns it in the end.")] = None
    sector: Annotated[str | None, Meta(description="Its sector, for example `finance`, `health` or `public`.")] = None
    public_body: Annotated[bool | None, Meta(description="Whether it is a public body.")] = None


class BudgetSection(Section, frozen=True, kw_only=True):
    """What one run may use where the request does not say."""

    run_usd: Annotated[
        Decimal | None,
        Meta(description="Dollars one run may cost; endpoints of unknown price are then left out. Unset: no bound."),
    ] = None
    deadline_s: Annotated[float, Meta(description="Seconds one run may take.", gt=0)] = 600


class CoordinatorSection(Section, frozen=True, kw_only=True):
    """What a right answer, a second and a small difference are worth."""

    value_per_success_usd: Annotated[
        Decimal, Meta(description="Dollars a right answer is worth; cost and waiting are weighed against it.")
    ] = Decimal("0.05")
    latency_usd_per_s: Annotated[Decimal, Meta(description="Dollars a second of waiting costs.")] = Decimal("0.0005")
    dead_band: Annotated[
        float,
        Meta(description="Difference in utility, as a part of the value, below which the ranking stays put.", ge=0),
    ] = 0.004


class JournalSection(Section, frozen=True, kw_only=True):
    """How long the texts of requests and answers are kept; events without texts always are."""

    bodies: Annotated[
        Literal["keep", "hash-only"], Meta(description="Whether texts are kept, or only their hashes.")
    ] = "keep"
    days: Annotated[int, Meta(description="Days after which kept texts are forgotten.", ge=1)] = 30


class PracticeSection(Section, frozen=True, kw_only=True):
    """The practice pool."""

    enabled: Annotated[
        Literal["auto"] | bool,
        Meta(
            description="`auto` starts it beside `serve` and steps back once there is a real endpoint; or true, false."
        ),
    ] = "auto"


class DiscoverySection(Section, frozen=True, kw_only=True):
    """Local servers found on their usual ports."""

    enabled: Annotated[bool, Meta(description="Whether to look for local servers at the start.")] = True
    ports: Annotated[
        dict[str, int],
        Meta(description="Further ports by server, for example `{ vllm = 8001 }`; beside the usual ones."),
    ] = {}


class PriceSetting(Section, frozen=True, kw_only=True):
    """A price per million tokens."""

    input: Annotated[Decimal, Meta(description="For a million input tokens.")]
    output: Annotated[Decimal, Meta(description="For a million output tokens.")]
    cached_input: Annotated[Decimal | None, Meta(description="For a million cached input tokens.")] = None
    currency: Annotated[str, Meta(description="Currency, in three letters.")] = "USD"


class ProviderSection(Section, frozen=True, kw_only=True):
    """A provider in the pool, one table each; `shoal add` writes them."""

    id: Annotated[str, Meta(description="The provider's id in the catalogue, or a new one for a service of your own.")]
    places: Annotated[
        tuple[str, ...], Meta(description="Places of the provider to use. Unset: the first one that fits.")
    ] = ()
    models: Annotated[
        tuple[str, ...], Meta(description="Models to use, by native name or catalogue id. Unset: all that are known.")
    ] = ()
    key_env: Annotated[
        str | None, Meta(description="Name of the environment variable with the key. Unset: the customary one.")
    ] = None
    key_file: Annotated[str | None, Meta(description="File that holds the key, readable for you alone (0600).")] = None
    base_url: Annotated[
        str | None, Meta(description="Address of a local server or of a service of your own; elsewhere it is a fact.")
    ] = None
    plain_http: Annotated[bool, Meta(description="Permit `http://` to another machine, for a network you trust.")] = (
        False
    )
    variables: Annotated[
        dict[str, str], Meta(description='What fills the blanks of an address, for example `{ account = "..." }`.')
    ] = {}
    name: Annotated[str | None, Meta(description="For a service of your own: its name.")] = None
    dialect: Annotated[str, Meta(description="For a service of your own: the dialect it speaks.")] = "openai-chat"
    quirks: Annotated[tuple[str, ...], Meta(description="For a service of your own: quirks of the catalogue.")] = ()
    auth: Annotated[str, Meta(description="For a service of your own: `bearer`, `none` or `header:NAME`.")] = "bearer"
    prices: Annotated[
        dict[str, PriceSetting], Meta(description='Prices by native name, `"*"` for all; over the catalogue\'s.')
    ] = {}
    concurrency: Annotated[Count | None, Meta(description="Calls at once.")] = None
    connect_s: Annotated[Positive | None, Meta(description="Seconds to connect.")] = None
    first_byte_s: Annotated[Positive | None, Meta(description="Seconds until the first byte.")] = None
    gap_s: Annotated[Positive | None, Meta(description="Seconds of silence between two bytes.")] = None
    total_s: Annotated[Positive | None, Meta(description="Seconds for a whole call.")] = None
    retries: Annotated[Whole | None, Meta(description="Times a call is tried again where that is safe.")] = None
    host_country: Annotated[str | None, Meta(description="Stated by you: where inference runs.")] = None
    operator: Annotated[str | None, Meta(description="Stated by you: who runs the service.")] = None
    operator_country: Annotated[str | None, Meta(description="Stated by you: under whose law it is run.")] = None
    operator_parent: Annotated[str | None, Meta(description="Stated by you: country of the operator's owner.")] = None
    storage_country: Annotated[str | None, Meta(description="Stated by you: where prompts are kept.")] = None
    retention_days: Annotated[Whole | None, Meta(description="Stated by you: days prompts are kept.")] = None
    trains_on_input: Annotated[bool | None, Meta(description="Stated by you: whether prompts are trained on.")] = None
    human_review: Annotated[bool | None, Meta(description="Stated by you: whether people may read prompts.")] = None
    region_pinned: Annotated[bool | None, Meta(description="Stated by you: whether work stays in the country.")] = None
    accelerator: Annotated[str | None, Meta(description="Stated by you: the kind of accelerator.")] = None
    transfer_bases: Annotated[
        tuple[str, ...] | None, Meta(description="On file with you: grounds for transfers, for example `EU-SCC`.")
    ] = None
    certifications: Annotated[tuple[str, ...] | None, Meta(description="On file with you: certifications.")] = None
    registrations: Annotated[tuple[str, ...] | None, Meta(description="On file with you: registrations.")] = None
    attested: Annotated[
        str | None, Meta(description="Who vouches for the facts you state, for example `provider-contract`.")
    ] = None


class ModelSection(Section, frozen=True, kw_only=True):
    """A model the catalogue does not have, one table each."""

    id: Annotated[str, Meta(description="`DEVELOPER/MODEL`, in small letters.")]
    developer: Annotated[str, Meta(description="Who trained it.")]
    via: Annotated[
        tuple[Via, ...], Meta(description='Who serves it and under what name: `[{ provider = "x", model = "y" }]`.')
    ]
    developer_country: Annotated[str | None, Meta(description="The developer's country.")] = None
    developer_parent: Annotated[str | None, Meta(description="Country of the developer's owner.")] = None
    family: Annotated[str | None, Meta(description="The family it belongs to; its id if unset.")] = None
    base_model: Annotated[str | None, Meta(description="The model it was made from; followed to its origin.")] = None
    base_country: Annotated[
        str | None, Meta(description="Country of the base model, needed where the catalogue does not have that model.")
    ] = None
    open_weights: Annotated[bool | None, Meta(description="Whether the weights are open.")] = None
    licence: Annotated[str | None, Meta(description="The licence, as an SPDX name where there is one.")] = None
    context: Annotated[Count | None, Meta(description="Tokens of context.")] = None
    max_output: Annotated[Count | None, Meta(description="Tokens of output at most.")] = None
    input: Annotated[tuple[InputKind, ...] | None, Meta(description="What it takes in: text, image, ...")] = None
    tools: Annotated[bool | None, Meta(description="Whether it can call tools.")] = None
    reasoning: Annotated[bool | None, Meta(description="Whether it reasons before it answers.")] = None
    reasoning_effort: Annotated[tuple[str, ...], Meta(description="Words it takes for the effort of reasoning.")] = ()
    languages: Annotated[tuple[str, ...], Meta(description="Languages, as ISO 639 codes.")] = ()
    params_total_b: Annotated[Positive | None, Meta(description="Billions of parameters.")] = None
    params_active_b: Annotated[Positive | None, Meta(description="Billions of parameters used per token.")] = None
    price: Annotated[PriceSetting | None, Meta(description="Its price at the providers in `via`.")] = None


class ProfileSection(Section, frozen=True, kw_only=True):
    """A name `shoal/NAME` with its own narrowing and budget, one table each."""

    name: Annotated[str, Meta(description="The name clients use after `shoal/`.")]
    only: Annotated[tuple[str, ...], Meta(description="Selectors an endpoint has to match, all of them.")] = ()
    exclude: Annotated[tuple[str, ...], Meta(description="Selectors an endpoint must not match.")] = ()
    budget_usd: Annotated[Decimal | None, Meta(description="Dollars one run may cost.")] = None
    deadline_s: Annotated[Positive | None, Meta(description="Seconds one run may take.")] = None
    effort: Annotated[
        Literal["fast", "auto", "deep"], Meta(description="As `shoal-fast`, `shoal` or `shoal-deep`.")
    ] = "auto"


class Settings(Section, frozen=True, kw_only=True):
    """Everything an operator may set. What is not written holds by default."""

    instance: InstanceSection = InstanceSection()
    server: ServerSection = ServerSection()
    policy: PolicySection = PolicySection()
    tenant: TenantSection = TenantSection()
    budget: BudgetSection = BudgetSection()
    coordinator: CoordinatorSection = CoordinatorSection()
    journal: JournalSection = JournalSection()
    practice: PracticeSection = PracticeSection()
    discovery: DiscoverySection = DiscoverySection()
    provider: tuple[ProviderSection, ...] = ()
    model: tuple[ModelSection, ...] = ()
    profile: tuple[ProfileSection, ...] = ()
