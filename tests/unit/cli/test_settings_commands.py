"""`shoal init`, `shoal add` and `shoal config`: what they say before they write, what they write, what they refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from shoal.cli import add, config, init, models
from shoal.cli.main import Shared
from shoal.core.errors import CallerError, SetupError
from shoal.settings import Loaded, Settings, load


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "shoal.toml"


def run(command: click.Command, file: Path, *words: str, **extra: Any) -> Result:
    shared = Shared(config=file, state=file.parent / "state", url=None)
    return CliRunner().invoke(command, words, obj=shared, catch_exceptions=False, **extra)


def offer(file: Path, provider: str, *places: str, **named: str | None) -> dict[str, Any]:
    return add.offer(Loaded(Settings()), provider, places, (), named, {}, file)


# init


def test_init_writes_what_holds_and_says_what_comes_next(file: Path) -> None:
    said = run(init.command, file, "--country", "kr", "--default", "deny")
    assert said.exit_code == 0 and "shoal add" in said.output
    settings = load(file).settings
    assert (settings.instance.country, settings.policy.default) == ("KR", "deny")
    with pytest.raises(SetupError, match="there already; `shoal add PROVIDER`"):
        run(init.command, file, "--country", "KR")


def test_init_leaves_the_country_unknown_only_where_it_is_told_to(file: Path) -> None:
    asked = run(init.command, file)
    assert asked.exit_code == 2 and "--country KR" in asked.output and not file.exists()
    assert json.loads(run(init.command, file, "--yes", "--json").output)["country"] is None
    assert load(file).settings.instance.country is None


@pytest.mark.parametrize("text", ["Korea", "K", "ZZ", "EU"])
def test_init_refuses_what_is_no_country(file: Path, text: str) -> None:
    said = run(init.command, file, "--country", text)
    assert said.exit_code == 2 and "is no country" in said.output and not file.exists()


# add


def test_add_says_who_where_under_whose_law_and_at_what_price_before_it_writes(file: Path) -> None:
    said = run(add.command, file, "deepseek")
    assert said.exit_code == 2 and "--yes" in said.output and not file.exists()
    words = " ".join(said.output.split())
    for part in ("under the law of CN", "inference in CN", "DEEPSEEK_API_KEY, not set now", "USD", "stored in CN"):
        assert part in words


def test_add_writes_the_name_of_the_key_and_never_the_key(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_DEEPSEEK", "sk-very-secret-0123456789abcdef")
    said = run(add.command, file, "deepseek", "--key-env", "MY_DEEPSEEK", "--yes", "--json")
    told = json.loads(said.output)
    assert told["key"] == {"variable": "MY_DEEPSEEK", "needed": True, "found": True, "warning": None}
    assert "very-secret" not in said.output + file.read_text()
    assert load(file).settings.provider[0].key_env == "MY_DEEPSEEK"
    with pytest.raises(SetupError, match="`deepseek` is there already"):
        run(add.command, file, "deepseek", "--yes")


def test_add_asks_and_writes_nothing_on_no(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal:
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(add, "sys", type("Sys", (), {"stdin": Terminal()}))
    assert run(add.command, file, "groq", input="n\n").exit_code == 1
    assert not file.exists()
    assert "written to" in run(add.command, file, "groq", input="y\n").output
    assert load(file).settings.provider[0].id == "groq"


def test_a_key_file_that_others_can_read_is_told_of(file: Path) -> None:
    key = file.parent / "key"
    key.write_text("abc")
    key.chmod(0o644)
    told = offer(file, "groq", key_file=str(key))
    assert told["key"]["found"] and "chmod 600" in told["key"]["warning"]
    assert not offer(file, "groq", key_file=str(file.parent / "none"))["key"]["found"]


def test_unknown_facts_are_said_to_be_unknown(file: Path) -> None:
    lines = dict(add.lines(offer(file, "openrouter")))
    assert "country of inference unknown" in lines["place"]
    assert "? (unknown)" in lines["data"]


@pytest.mark.parametrize(
    ("provider", "reason"),
    [
        ("depseek", "close to it: deepseek"),
        ("zzzzzz", "there are .*deepseek"),
        ("kakao", "has no public API"),
        ("anthropic", "speaks `anthropic-messages`, which this version does not speak yet"),
        ("cloudflare", "--variable account="),
        ("sakura-internet", "name the one that holds your key"),
    ],
)
def test_what_cannot_be_added_is_refused_with_the_reason(file: Path, provider: str, reason: str) -> None:
    with pytest.raises(SetupError, match=reason):
        run(add.command, file, provider, "--yes")
    assert not file.exists()


def test_a_blank_of_an_address_is_filled_from_the_command(file: Path) -> None:
    assert run(add.command, file, "cloudflare", "--variable", "account=a1", "--yes").exit_code == 0
    assert load(file).settings.provider[0].variables == {"account": "a1"}
    assert run(add.command, file, "cloudflare", "--variable", "account", "--yes").exit_code == 2


def test_the_rules_in_force_are_applied_before_anything_is_written(file: Path) -> None:
    file.write_text('[policy]\ndeny = ["country:CN"]\n')
    told = add.offer(load(file), "deepseek", (), (), {}, {}, file)
    assert told["law"]["permitted"] == 0
    assert {rule for row in told["law"]["refused"] for rule in row["rules"]} == {"deny country:CN"}


# config


def test_check_says_what_settings_come_to(file: Path) -> None:
    file.write_text('[policy]\ndeny = ["host:CN"]\n[budget]\nrun_usd = 0.5\n[[provider]]\nid = "deepseek"\n')
    told = json.loads(run(config.command, file, "check", "--json").output)
    assert told["pool"]["by_provider"] == {"deepseek": 3} and told["law"]["permitted"] == 0
    said = run(config.command, file, "check").output
    assert said.startswith("holds") and "deny host:CN" in said and "0.5 USD" in said


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('[policy]\n\ndefault = "maybe"\n', r"shoal\.toml:3: `policy\.default`"),
        ('[policy]\ndeny = ["planet:mars"]\n', r"shoal\.toml:2: `policy\.deny\[0\]`.*`planet:mars` is not a selector"),
        ('[[provider]]\nid = "anthropic"\n', r"shoal\.toml:1: `provider\[0\]`.*anthropic-messages"),
        ("[policy\n", r"shoal\.toml:1: not TOML"),
    ],
)
def test_check_names_file_line_and_key_path(file: Path, text: str, reason: str) -> None:
    file.write_text(text)
    with pytest.raises(SetupError, match=reason):
        run(config.command, file, "check")


def test_show_marks_what_is_a_default(file: Path) -> None:
    file.write_text('[server]\nport = 8400\n[[provider]]\nid = "groq"\n')
    told = json.loads(run(config.command, file, "show", "--json").output)
    rows = {row["key"]: row for row in told["settings"]}
    assert rows["server.port"] == {"key": "server.port", "value": 8400, "default": False}
    assert rows["server.host"]["default"] is True
    assert rows["provider[0].id"] == {"key": "provider[0].id", "value": "groq", "default": False}
    lines = run(config.command, file, "show").output.splitlines()
    assert any(line.startswith("server.host") and line.endswith("default") for line in lines)
    assert any(line.startswith("server.port") and line.endswith("8400") for line in lines)


def test_a_rule_that_names_nobody_is_doubted_aloud(file: Path) -> None:
    file.write_text('[policy]\ndeny = ["developer:moonshot"]\n')
    said = run(config.command, file, "check")
    assert said.exit_code == 0 and "warning: `policy.deny[0]`: `developer:moonshot` names nobody" in said.output
    told = json.loads(run(config.command, file, "check", "--json").output)
    assert len(told["doubts"]) == 1 and "developer:moonshot" in told["doubts"][0]


def test_models_of_another_address_are_not_mistaken_for_the_ones_here(file: Path) -> None:
    shared = Shared(config=file, state=file.parent / "state", url="http://127.0.0.1:1")
    with pytest.raises(CallerError, match="127.0.0.1:1/v1/models"):
        CliRunner().invoke(models.command, [], obj=shared, catch_exceptions=False)
