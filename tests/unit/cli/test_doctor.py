"""`shoal doctor` on endpoints as they may be: what is wrong with each, and the way out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shoal.cli.doctor import examined, grouped, key_found, missing
from shoal.core.endpoint import Endpoint, Model, Rating
from shoal.core.money import FREE
from shoal.core.verdict import Effect, Verdict
from shoal.pool.probe import Reached

PERMIT = Verdict("acme/one", Effect.PERMIT, ("default permit",))
FORBID = Verdict("acme/one", Effect.FORBID, ("deny host:JP",), reason="policy rule `deny host:JP` forbids it")
WELL = Reached(200, 0.02)


def acme(**facts: object) -> Endpoint:
    model = Model("acme/one", "Acme", developer_country="JP", licence="MIT", context=1000, tools=True)
    one = Endpoint("acme/one", "acme", "one", model, "https://acme.example/v1", key_env="ACME_KEY", price=FREE)
    return replace(one, host_country="JP", operator_country="JP", **facts)  # type: ignore[arg-type]


def ways_out(
    endpoint: Endpoint,
    verdict: Verdict = PERMIT,
    key: tuple[bool, str | None] = (True, None),
    reached: Reached | None = WELL,
    health: str | None = None,
) -> tuple[bool, list[str]]:
    told = examined(endpoint, verdict, key, reached, health)
    return told["able"], [problem["way_out"] for problem in told["problems"]]


def test_a_well_endpoint_has_no_problem_and_every_fact_that_is_missing_is_named() -> None:
    assert ways_out(acme()) == (True, [])
    assert missing(acme()) == ["rating"]
    assert missing(acme(price=None, card={"mixed": (9, 10)})) == ["price"]
    rated = replace(acme().model, ratings={"overall": Rating(1200, 1190, 1210)}, tools=None)
    assert missing(acme(model=rated)) == ["tools"]


def test_each_problem_comes_with_its_way_out() -> None:
    assert ways_out(acme(), key=(False, None)) == (False, ["export ACME_KEY=..."])
    assert ways_out(acme(key_env="file:/k"), key=(False, None)) == (False, ["put the key into /k"])
    assert ways_out(acme(), reached=Reached(401, 0.1)) == (False, ["put a valid key into ACME_KEY"])
    assert ways_out(acme(), verdict=FORBID, reached=None) == (False, ["edit [policy] in shoal.toml to permit it"])
    away = Reached(None, 3.0, "no connection to the endpoint within 3 s")
    assert ways_out(acme(), reached=away) == (False, ["check the network and `base_url`"])
    assert ways_out(acme(auth="none", local=True), reached=away) == (False, ["start its server"])
    assert "practice revive" in ways_out(acme(auth="none", practice=True), reached=away)[1][0]
    able, ways = ways_out(acme(), health="it failed too often, next try in 30 s")
    assert not able and len(ways) == 1


def test_what_does_not_keep_an_endpoint_from_serving_is_told_all_the_same() -> None:
    assert ways_out(acme(), key=(True, "`/k` can be read by others; `chmod 600 /k` closes it"))[0]
    assert ways_out(acme(), reached=Reached(404, 0.1)) == (True, []), "many have no list of models"
    assert ways_out(acme(), health="able") == (True, [])
    assert ways_out(acme(auth="none"), reached=Reached(401, 0.1), key=(False, None)) == (True, [])


def test_problems_are_told_once_for_all_who_have_them() -> None:
    rows = [examined(replace(acme(), id=f"acme/{n}"), PERMIT, (False, None), None, None) for n in "ab"]
    assert grouped(rows) == [("export ACME_KEY=...", "its key is missing", ["acme/a", "acme/b"])]


def test_a_key_is_looked_for_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    assert key_found(acme()) == (False, None)
    monkeypatch.setenv("ACME_KEY", "sk-hidden")
    assert key_found(acme()) == (True, None)
    assert "sk-hidden" not in str(examined(acme(), PERMIT, key_found(acme()), WELL, None))
