"""The assembly: the only file that names concrete classes and wires them together.

Everything a request needs is made here once, from settings and facts, and handed to whoever asks for it by Protocol.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any

from shoal.catalogue.entries import Entry
from shoal.catalogue.loader import Facts, load_facts
from shoal.catalogue.snapshot import Snapshot, build_snapshot
from shoal.coordinator.coordinator import Coordinator
from shoal.coordinator.utility import Stakes, stakes_of
from shoal.core.clock import Clock
from shoal.core.endpoint import Endpoint
from shoal.core.errors import SetupError
from shoal.core.event import Event
from shoal.core.label import Label
from shoal.core.request import Effort
from shoal.core.selector import Narrowing
from shoal.core.verdict import Verdict
from shoal.labels.labels import Labels
from shoal.ledger.journal import Retention
from shoal.ledger.ledger import Ledger, RunLine
from shoal.ledger.views import view
from shoal.pipeline import Defaults, Journal, Pipeline
from shoal.policy.policy import Policy
from shoal.policy.rules import Rules
from shoal.pool.discovery import PORTS, Found, Port, discover
from shoal.pool.pool import Pool
from shoal.pool.transport import AiohttpTransport, Transport
from shoal.settings import Loaded, data_dir, secret
from shoal.workflow.binding import Binder
from shoal.workflow.workflow import Workflow

log = logging.getLogger("shoal")
JOURNAL = "journal.sqlite"
EXPIRE_EVERY_S = 3600.0


class SystemClock:
    """The machine's own time."""

    def now(self) -> datetime:
        """Return the time of day, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds that never go backwards."""
        return monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


@dataclass(frozen=True, slots=True)
class Gate:
    """Policy as the pool asks it, immediately before bytes leave."""

    policy: Policy

    def permits(self, endpoint: Endpoint, label: Label, narrowing: Narrowing) -> Verdict:
        """Return the verdict on sending this text to this endpoint now."""
        return self.policy.judge(endpoint, label, narrowing)


@dataclass(frozen=True, slots=True)
class Vitals:
    """Who can be asked now: the pool's health, and whether the key is there at all."""

    pool: Pool
    keyless: Mapping[str, str]

    def ailment(self, endpoint_id: str) -> str | None:
        """Return why an endpoint cannot be asked now, or None."""
        name = self.keyless.get(endpoint_id)
        return f"its key is missing; set {name}" if name is not None else self.pool.ailment(endpoint_id)

    def latency(self) -> Mapping[str, float]:
        """Return typical seconds by endpoint."""
        return self.pool.latency()


@dataclass(frozen=True, slots=True)
class Instance:
    """A Shoal that is ready to answer."""

    loaded: Loaded
    facts: Facts
    snapshot: Snapshot
    policy: Policy
    coordinator: Coordinator
    pool: Pool
    ledger: Ledger
    pipeline: Pipeline
    vitals: Vitals
    state: Path

    def models(self) -> Sequence[Mapping[str, Any]]:
        """Return the names a client may use, as `GET /v1/models` lists them."""
        own = [
            {"id": name, "owned_by": "shoal"} for name in self.snapshot.names if name.split("/")[0].startswith("shoal")
        ]
        return [*own, *(self._listed(endpoint) for endpoint in self.snapshot.endpoints)]

    def _listed(self, endpoint: Endpoint) -> Mapping[str, Any]:
        return {
            "id": endpoint.id,
            "owned_by": endpoint.model.developer,
            "shoal": {
                "model": endpoint.model.id,
                "host_country": endpoint.host_country,
                "operator_country": endpoint.operator_country,
                "developer_country": endpoint.model.developer_country,
                "licence": endpoint.model.licence,
                "open_weights": endpoint.model.open_weights,
                "practice": endpoint.practice,
                "health": self.vitals.ailment(endpoint.id) or "able",
            },
        }

    async def run(self, run_id: str) -> Mapping[str, Any] | None:
        """Return one run's view in plain values, or None."""
        found = await self.ledger.run(run_id)
        return None if found is None else {**found.as_dict(), "owner": found.owner}

    async def runs(self, limit: int, owner: str | None = None) -> Sequence[Mapping[str, Any]]:
        """Return the newest runs first; only those of `owner` where one is given."""
        return [line_of(line) for line in await self.ledger.runs(limit, owner=owner)]

    def unready(self) -> str | None:
        """Return why requests cannot be served now, or None."""
        if not self.ledger.healthy:
            return "the journal cannot be written"
        if not self.snapshot.endpoints:
            return "the pool is empty; `shoal add PROVIDER`, start a local server, or enable the practice pool"
        return None


def line_of(line: RunLine) -> dict[str, Any]:
    """Return one line of the list of runs in plain values."""
    plain = asdict(line)
    for name in ("started_at", "ended_at"):
        plain[name] = plain[name] and plain[name].isoformat()
    plain["cost_usd"] = None if line.cost_usd is None else format(line.cost_usd, "f")
    return plain


def state_of(loaded: Loaded, chosen: Path | None = None) -> Path:
    """Return the directory that holds all state, made if it is not there, readable for its owner alone.

    Raises:
        SetupError: there can be no such directory.
    """
    stated = loaded.settings.instance.state
    state = chosen or (Path(stated).expanduser() if stated else data_dir())
    try:
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise SetupError(f"`{state}` cannot hold the state ({error.strerror}); choose another --state") from None
    return state


def facts_of(loaded: Loaded) -> Facts:
    """Return the catalogue's facts with the operator's own added; a few dozen milliseconds, so load them once."""
    return loaded.facts(load_facts())


async def local_entries(loaded: Loaded, facts: Facts, own_ports: Sequence[int] = ()) -> tuple[Entry, ...]:
    """Look for local servers on their usual ports and return them as entries of the pool."""
    discovery = loaded.settings.discovery
    if not discovery.enabled:
        return ()
    stated = {entry.provider for entry in loaded.entries()}
    ports = (*(Port(number, (kind,)) for kind, number in discovery.ports.items()), *PORTS)
    found = await discover(ports, skip=frozenset(own_ports))
    return tuple(_local_entry(row) for row in found if row.kind in facts.providers and row.kind not in stated)


def _local_entry(row: Found) -> Entry:
    return Entry(provider=row.kind, base_url=row.base_url, models=row.models, where=f"local server at {row.base_url}")


def snapshot_of(loaded: Loaded, facts: Facts, local: Sequence[Entry], extra: Sequence[Endpoint]) -> Snapshot:
    """Return the pool that settings, local servers and further endpoints make together."""
    return build_snapshot(
        facts,
        (*loaded.entries(), *local),
        extra,
        instance_country=loaded.settings.instance.country,
        profiles=loaded.profiles(),
    )


def _stakes(loaded: Loaded) -> Mapping[Effort, Stakes]:
    said = loaded.settings.coordinator
    return stakes_of(float(said.value_per_success_usd), float(said.latency_usd_per_s), said.dead_band)


def policy_of(loaded: Loaded) -> Policy:
    """Return the operator's rules, compiled."""
    policy = loaded.settings.policy
    return Policy.compile(Rules(policy.allow, policy.deny, policy.default))


@asynccontextmanager
async def open_instance(
    loaded: Loaded,
    *,
    state: Path,
    facts: Facts | None = None,
    extra: Sequence[Endpoint] = (),
    local: Sequence[Entry] = (),
    transport: Transport | None = None,
) -> AsyncIterator[Instance]:
    """Open an instance for the length of the block: journal, pool, policy and coordinator, wired.

    `facts` are those `facts_of` gives; who has loaded them already hands them in.

    Raises:
        SetupError: settings or facts are wrong, or the journal cannot be opened.
    """
    clock = SystemClock()
    facts = facts_of(loaded) if facts is None else facts
    snapshot = snapshot_of(loaded, facts, local, extra)
    policy = policy_of(loaded)
    coordinator = Coordinator(stakes=_stakes(loaded))
    keys = {name: secret(name) for name in {e.key_env for e in snapshot.endpoints if e.key_env}}
    own_transport = AiohttpTransport() if transport is None else None
    pool = Pool(
        snapshot.endpoints,
        transport=transport or own_transport,  # type: ignore[arg-type]  # one of the two is there
        clock=clock,
        random_for=lambda name: Random(name + str(monotonic())),
        secret=lambda name: keys.get(name),
        gate=Gate(policy),
    )
    keyless = {e.id: e.key_env for e in snapshot.endpoints if e.key_env and not keys[e.key_env] and not e.local}
    vitals = Vitals(pool, keyless)
    journal = loaded.settings.journal
    ledger = Ledger(
        f"sqlite+aiosqlite:///{state / JOURNAL}",
        clock=clock,
        retention=Retention.KEEP if journal.bodies == "keep" else Retention.HASH_ONLY,
        keep_for=timedelta(days=journal.days),
    )
    budget = loaded.settings.budget
    async with ledger:
        pipeline = wire(
            snapshot, policy, coordinator, pool, vitals, ledger, clock, Defaults(budget.run_usd, budget.deadline_s)
        )
        expiring = asyncio.create_task(_expire_forever(ledger, clock), name="retention")
        try:
            yield Instance(loaded, facts, snapshot, policy, coordinator, pool, ledger, pipeline, vitals, state)
        finally:
            expiring.cancel()
            await asyncio.wait([expiring])
            if own_transport is not None:
                await own_transport.close()


def wire(
    snapshot: Snapshot,
    policy: Policy,
    coordinator: Coordinator,
    pool: Pool,
    vitals: Vitals,
    journal: Journal,
    clock: Clock,
    defaults: Defaults,
) -> Pipeline:
    """Return the main path over these parts; a simulation wires the same path over its own world."""
    return Pipeline(
        resolver=snapshot,
        labeller=Labels(),
        policy=policy,
        reader=coordinator,
        runner=Workflow(coordinator, Binder(policy, coordinator, vitals), pool, clock),
        journal=journal,
        clock=clock,
        defaults=defaults,
        view=_explained,
    )


def _explained(events: Sequence[Event], texts: Mapping[str, Any]) -> Mapping[str, Any]:
    return view(events, texts).as_dict()


async def _expire_forever(ledger: Ledger, clock: Clock) -> None:
    while True:
        await ledger.expire(clock.now())
        await clock.sleep(EXPIRE_EVERY_S)
