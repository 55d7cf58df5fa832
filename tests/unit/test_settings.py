"""shoal.toml: what it may say, how it is refused, and how it is written."""

from __future__ import annotations

import importlib.util
import warnings
from decimal import Decimal
from pathlib import Path

import pytest

from shoal.catalogue.loader import load_facts
from shoal.catalogue.snapshot import build_snapshot
from shoal.core.errors import SetupError
from shoal.core.request import Effort
from shoal.settings import (
    Loaded,
    SecretWarning,
    Settings,
    add_provider,
    check_text,
    config_dir,
    data_dir,
    doubts,
    find_file,
    load,
    new_file,
    secret,
    write_starter,
)

FILE = Path("shoal.toml")
KEY_LIKE = "sk-abcdEFGH1234abcdEFGH1234"

WHOLE = """
[instance]
country = "KR"
name = "lab"

[server]
port = 9000
keys = ["SHOAL_KEY", "file:keys/second"]

[policy]
allow = ["country:KR"]
deny = ["developer:deepseek", "!open-weights"]
default = "deny"

[budget]
run_usd = 0.25

[practice]
enabled = false

[[provider]]
id = "deepseek"
places = ["cn"]
models = ["deepseek-flash"]
concurrency = 4
transfer_bases = ["KR-28-8-consent"]

[[provider]]
id = "acme"  # our own
base_url = "https://llm.acme.kr/v1"
key_file = "keys/acme"
operator_country = "KR"
host_country = "KR"

[[model]]
id = "acme/law"
developer = "Acme"
developer_country = "KR"
base_model = "alibaba/qwen3-32b"
via = [{ provider = "acme", model = "law-7b" }]
price = { input = 1, output = 2.5, currency = "KRW" }

[[profile]]
name = "home"
only = ["country:KR"]
exclude = ["provider:deepseek"]
budget_usd = 0.1
effort = "deep"
"""


def checked(text: str) -> Loaded:
    return check_text(text, FILE)


def refused(text: str) -> str:
    with pytest.raises(SetupError) as caught:
        checked(text)
    return caught.value.message


def test_nothing_written_means_every_default() -> None:
    assert checked("").settings == Settings()
    settings = Settings()
    assert (settings.server.host, settings.server.port, settings.server.max_body_mb) == ("127.0.0.1", 8400, 8)
    assert settings.policy.default == "permit"
    assert settings.practice.enabled == "auto"


def test_a_whole_file_becomes_a_pool(tmp_path: Path) -> None:
    file = tmp_path / "shoal.toml"
    file.write_text(WHOLE)
    loaded = load(file)
    facts = loaded.facts(load_facts())
    snapshot = build_snapshot(
        facts, loaded.entries(), instance_country=loaded.settings.instance.country, profiles=loaded.profiles()
    )
    deepseek, acme = snapshot.endpoints
    assert deepseek.id == "deepseek@cn/deepseek-flash"
    assert deepseek.limits.concurrency == 4
    assert deepseek.transfer_bases == ("KR-28-8-consent",)
    assert deepseek.key_env == "DEEPSEEK_API_KEY"
    assert acme.id == "acme/law-7b"
    assert acme.key_env == f"file:{tmp_path / 'keys' / 'acme'}"
    assert (acme.host_country, acme.operator_country, acme.attested) == ("KR", "KR", "operator")
    assert (acme.model.developer_country, acme.model.base_country) == ("KR", "CN")
    assert acme.price is not None and acme.price.currency == "KRW"
    profile = snapshot.profiles["home"]
    assert (profile.budget_usd, profile.effort) == (Decimal("0.1"), Effort.DEEP)
    assert loaded.client_keys() == ("SHOAL_KEY", f"file:{tmp_path / 'keys' / 'second'}")
    allow, deny = loaded.rules()
    assert [str(selector) for selector in (*allow, *deny)] == ["country:KR", "developer:deepseek", "!open-weights"]


def test_a_service_on_this_machine_stands_where_the_instance_does() -> None:
    loaded = checked(
        '[[provider]]\nid = "own"\nbase_url = "http://127.0.0.1:5000/v1"\nauth = "none"\n'
        '[[model]]\nid = "own/m"\ndeveloper = "Own"\nvia = [{ provider = "own", model = "m" }]\n'
    )
    (endpoint,) = build_snapshot(loaded.facts(load_facts()), loaded.entries(), instance_country="JP").endpoints
    assert endpoint.local and endpoint.host_country == "JP" and endpoint.auth == "none"


REFUSED = [
    ("x = [", "shoal.toml:1: not TOML: "),
    ("[server]\nport = 1\nport = 2\n", "shoal.toml:3: not TOML: "),
    ("\n[laws]\n", "shoal.toml:2: `laws`: there is no key `laws` here; there are instance, server, policy"),
    ("[server]\n\nprot = 1\n", "shoal.toml:3: `server.prot`: there is no key `prot` here; there are host, port"),
    ('[server]\nport = "9000"\n', "shoal.toml:2: `server.port`: expected `int`, got `str`"),
    ("[server]\nport = 70000\n", "shoal.toml:2: `server.port`: expected `int` <= 65535"),
    ("[server]\nmax_body_mb = 0\n", "shoal.toml:2: `server.max_body_mb`: "),
    ('[server]\nhost = "0.0.0.0"\n', "shoal.toml:2: `server.host`: `0.0.0.0` can be reached from outside"),
    ('[server]\nhost = "::"\n', "shoal.toml:2: `server.host`: `::` can be reached from outside"),
    ('[instance]\ncountry = "Korea"\n', "shoal.toml:2: `instance.country`: `Korea` is no country"),
    ('[instance]\ncountry = "EU"\n', "shoal.toml:2: `instance.country`: `EU` is no country"),
    ('[tenant]\nhome = "XX"\n', "shoal.toml:2: `tenant.home`: `XX` is no country"),
    ('[policy]\ndefault = "maybe"\n', "shoal.toml:2: `policy.default`: invalid enum value 'maybe'"),
    ('[policy]\nallow = ["host:KR"]\ndeny = ["hots:CN"]\n', "shoal.toml:3: `policy.deny[0]`: `hots:CN` is not a sel"),
    ("[budget]\nrun_usd = -1\n", "shoal.toml:2: `budget.run_usd`: an amount is zero or more, found -1"),
    ("[budget]\nrun_usd = nan\n", "shoal.toml:2: `budget.run_usd`: "),
    ("[discovery]\nports = { vllm = 0 }\n", "shoal.toml:2: `discovery.ports.vllm`: a port is 1 to 65535"),
    ('[practice]\nenabled = "often"\n', "shoal.toml:2: `practice.enabled`: "),
    ("[[provider]]\n", "shoal.toml:1: `provider[0].id`: `id` is missing"),
    ('[[provider]]\nid = "a"\n[[provider]]\nid = "b"\nx = 1\n', "shoal.toml:5: `provider[1].x`: there is no key `x`"),
    ('[[provider]]\nid = "shoal"\n', "shoal.toml:2: `provider[0].id`: `shoal` is no provider name"),
    ('[[provider]]\nid = "practice"\n', "shoal.toml:2: `provider[0].id`: `practice` is no provider name"),
    ('[[provider]]\nid = "a"\nconcurrency = 0\n', "shoal.toml:3: `provider[0].concurrency`: expected `int` >= 1"),
    ('[[provider]]\nid = "a"\nkey_env = "A"\nkey_file = "b"\n', "shoal.toml:4: `provider[0].key_file`: a key comes"),
    ('[[provider]]\nid = "a"\nkey_env = "my key"\n', "shoal.toml:3: `provider[0].key_env`: this is the name of an"),
    ('[[provider]]\nid = "a"\nbase_url = "http://a.b"\n', "(or say `plain_http = true`)"),
    ('[[provider]]\nid = "a"\nauth = "basic"\n', "shoal.toml:3: `provider[0].auth`: write `bearer`"),
    ('[[provider]]\nid = "a"\ndialect = "x"\n', "shoal.toml:3: `provider[0].dialect`: `x` is no dialect"),
    ('[[provider]]\nid = "a"\nhost_country = "usa"\n', "shoal.toml:3: `provider[0].host_country`: `usa` is no country"),
    (
        '[[provider]]\nid = "a"\nprices = { m = { input = -1, output = 1 } }\n',
        "shoal.toml:3: `provider[0].prices.m.input`: an amount is zero or more, found -1",
    ),
    ('[[profile]]\nname = "practice"\n', "shoal.toml:2: `profile[0].name`: `shoal/practice` ships with Shoal"),
    ('[[profile]]\nname = "A b"\n', "shoal.toml:2: `profile[0].name`: `A b` is no profile name"),
    ('[[profile]]\nname = "a"\n[[profile]]\nname = "a"\n', "shoal.toml:4: `profile[1].name`: `a` stands here twice"),
    ('[[profile]]\nname = "a"\nonly = ["x"]\n', "shoal.toml:3: `profile[0].only[0]`: `x` is not a selector"),
]


@pytest.mark.parametrize(("text", "reason"), REFUSED)
def test_what_is_wrong_is_named_with_its_line(text: str, reason: str) -> None:
    message = refused(text)
    assert message.startswith("shoal.toml:")
    assert reason in message


@pytest.mark.parametrize(
    "text",
    [
        f'[[provider]]\nid = "a"\napi_key = "{KEY_LIKE}"\n',
        f'[[provider]]\nid = "a"\nkey = "{KEY_LIKE}"\n',
        f'[[provider]]\nid = "a"\ntoken = "{KEY_LIKE}"\n',
        f'[[provider]]\nid = "a"\nkey_env = "{KEY_LIKE}"\n',
        f'[[provider]]\nid = "a"\nname = "{KEY_LIKE}"\n',
        f'[[provider]]\nid = "a"\nvariables = {{ account = "{KEY_LIKE}" }}\n',
        f'[server]\nkeys = ["{KEY_LIKE}"]\n',
        f'[server]\nkeys = "{KEY_LIKE}"\n',
        f'key = "{KEY_LIKE}"\n',
    ],
)
def test_a_key_in_the_file_is_refused_and_never_repeated(text: str) -> None:
    message = refused(text)
    assert KEY_LIKE not in message
    assert "key_env" in message or "environment variable" in message


def test_key_names_may_name_files_and_variables() -> None:
    text = '[server]\nhost = "0.0.0.0"\nkeys = ["SHOAL_KEY", "file:/run/secrets/shoal"]\n'
    assert checked(text).client_keys() == ("SHOAL_KEY", "file:/run/secrets/shoal")


def test_an_own_provider_needs_an_address_and_a_free_name() -> None:
    with pytest.raises(SetupError, match=r"shoal.toml:2: `provider\[0\].id`: there is no provider `nobody`"):
        checked('[[provider]]\nid = "nobody"\n').facts(load_facts())
    model = '[[model]]\nid = "openai/gpt-4o"\ndeveloper = "X"\nvia = [{ provider = "groq", model = "x" }]\n'
    with pytest.raises(SetupError, match="`openai/gpt-4o` is in the catalogue already"):
        checked(model).facts(load_facts())
    stray = '[[model]]\nid = "x/y"\ndeveloper = "X"\nvia = [{ provider = "nobody", model = "x" }]\n'
    with pytest.raises(SetupError, match="there is no provider `nobody`"):
        checked(stray).facts(load_facts())


def test_settings_are_searched_for_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    env = {"XDG_CONFIG_HOME": str(tmp_path / "config"), "HOME": str(tmp_path)}
    assert find_file(None, env) is None
    assert load(None, env) == Loaded(Settings())
    user = tmp_path / "config" / "shoal" / "shoal.toml"
    user.parent.mkdir(parents=True)
    user.write_text("")
    assert find_file(None, env) == user
    Path("shoal.toml").write_text("")
    assert find_file(None, env) == Path("shoal.toml")
    named = tmp_path / "named.toml"
    named.write_text("")
    assert find_file(None, {**env, "SHOAL_CONFIG": str(named)}) == named
    assert find_file(user, {**env, "SHOAL_CONFIG": str(named)}) == user
    with pytest.raises(SetupError, match="SHOAL_CONFIG: there is no file"):
        find_file(None, {**env, "SHOAL_CONFIG": "gone.toml"})
    assert new_file("later.toml", env) == Path("later.toml")


def test_folders_follow_the_users_own(tmp_path: Path) -> None:
    assert config_dir({"HOME": "/h"}) == Path("/h/.config/shoal")
    assert config_dir({"HOME": "/h", "XDG_CONFIG_HOME": "relative"}) == Path("/h/.config/shoal")
    assert data_dir({"XDG_DATA_HOME": str(tmp_path)}) == tmp_path / "shoal"
    assert data_dir({"SHOAL_STATE": str(tmp_path)}) == tmp_path


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "shoal.toml"
    file.write_bytes(b'[instance]\nname = "\xff"\n')
    with pytest.raises(SetupError, match=r"shoal.toml:2: not UTF-8"):
        load(file)
    file.write_bytes(b"#" * 1_000_001)
    with pytest.raises(SetupError, match="this is no settings file"):
        load(file)


def test_a_text_nested_without_end_is_refused() -> None:
    assert "nested too deeply" in refused("x = " + "[" * 5000)


def test_a_secret_is_looked_up_by_name(tmp_path: Path) -> None:
    assert secret("A_KEY", {"A_KEY": " value \n"}) == "value"
    assert secret("A_KEY", {"A_KEY": ""}) is None
    assert secret("A_KEY", {}) is None
    assert secret(f"file:{tmp_path / 'gone'}") is None
    file = tmp_path / "key"
    file.write_text("value\n")
    file.chmod(0o600)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert secret(f"file:{file}") == "value"


def test_a_secret_others_can_read_is_warned_of(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("value")
    file.chmod(0o644)
    with pytest.warns(SecretWarning, match="chmod 600") as caught:
        assert secret(f"file:{file}") == "value"
    assert "value" not in str(caught[0].message)


@pytest.mark.parametrize("content", [b"two\nlines", b"\xff\xfe", b"x" * 20_000])
def test_a_secret_file_with_more_than_a_key_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "key"
    file.write_bytes(content)
    file.chmod(0o600)
    with pytest.raises(SetupError, match="secret file"):
        secret(f"file:{file}")


def test_a_first_file_is_written_once(tmp_path: Path) -> None:
    file = tmp_path / "new" / "shoal.toml"
    assert write_starter(file, country="JP").settings.instance.country == "JP"
    assert load(file).settings.instance.country == "JP"
    with pytest.raises(SetupError, match="there already"):
        write_starter(file)
    assert write_starter(tmp_path / "other.toml").settings == Settings()


def test_a_provider_is_appended_and_nothing_else_changes(tmp_path: Path) -> None:
    file = tmp_path / "shoal.toml"
    before = '# my notes\n[instance]\ncountry = "KR"   # home'
    file.write_text(before)
    file.chmod(0o600)
    add_provider(file, "deepseek", ["cn"], ["deepseek-flash"], key_env="DEEPSEEK_API_KEY")
    loaded = add_provider(file, "cloudflare", variables={"account": "a1"})
    text = file.read_text()
    assert text.startswith(before + "\n\n[[provider]]\n")
    assert [row.id for row in loaded.settings.provider] == ["deepseek", "cloudflare"]
    assert loaded.settings.provider[0].models == ("deepseek-flash",)
    assert load(file).settings == loaded.settings
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [file]


def test_what_would_not_hold_is_not_written(tmp_path: Path) -> None:
    file = tmp_path / "shoal.toml"
    add_provider(file, "deepseek", ["cn"])
    before = file.read_text()
    with pytest.raises(SetupError, match="`deepseek` is there already"):
        add_provider(file, "deepseek", ["cn"])
    with pytest.raises(SetupError, match="is no provider name"):
        add_provider(file, "Not A Name")
    with pytest.raises(SetupError) as caught:
        add_provider(file, "groq", key_env=KEY_LIKE)
    assert KEY_LIKE not in caught.value.message
    assert file.read_text() == before
    assert len(add_provider(file, "deepseek", ["beta"]).settings.provider) == 2


def test_a_linked_file_stays_a_link(tmp_path: Path) -> None:
    real = tmp_path / "real.toml"
    real.write_text("")
    link = tmp_path / "shoal.toml"
    link.symlink_to(real)
    add_provider(link, "groq")
    assert link.is_symlink()
    assert "groq" in real.read_text()


def test_the_reference_is_made_from_the_settings() -> None:
    path = Path(__file__).parents[2] / "tools" / "settings_reference.py"
    spec = importlib.util.spec_from_file_location("settings_reference", path)
    assert spec is not None and spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert tool.PAGE.read_text(encoding="utf-8") == tool.page(), "run tools/settings_reference.py"
    for section in Settings.__struct_fields__:
        assert f"[{section}]" in tool.page()


def test_a_selector_that_names_nobody_is_doubted() -> None:
    deny = 'deny = ["developer:moonshot", "developer:deepseek", "provider:grok", "model:openai/*", "host:CN"]'
    found = doubts(checked(f"[policy]\n{deny}\n").settings, load_facts())
    assert found == (
        "`policy.deny[0]`: `developer:moonshot` names nobody in the catalogue; write `developer:Moonshot*AI`",
        "`policy.deny[2]`: `provider:grok` names nobody in the catalogue; write `provider:groq`",
    )


def test_a_stated_tenant_raises_a_doubt_because_no_rule_reads_it_yet() -> None:
    found = doubts(checked('[tenant]\nsector = "finance"\n').settings, load_facts())
    assert len(found) == 1 and found[0].startswith("`tenant.sector`: no rule reads it yet")
