"""Each kind of bad fact stops the start with file, key path and reason."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from shoal.catalogue.loader import DIRECTORY, load_facts
from shoal.core.errors import SetupError

PROVIDER = """
id = "acme"
name = "Acme"
kind = "vendor-api"
home_country = "KR"
wire = "openai-chat"
auth = { scheme = "bearer" }
env = ["ACME_KEY"]
quirks = ["base_path_not_v1"]
evidence = "primary"
as_of = 2026-11-20
source = ["https://acme.example/docs"]

[[place]]
id = "kr"
base_url = "https://api.acme.example/v1"
country = "KR"
country_basis = "stated"
"""

MODEL = """
[[model]]
id = "acme/law"
family = "Law"
developer = "Acme"
home_country = "KR"
status = "current"
via = [{ provider = "acme", model = "law-1" }]
context = 8192
languages = ["ko"]
evidence = "primary"
as_of = 2026-11-20
source = ["https://acme.example/docs"]
[[model.price]]
at = ["acme"]
currency = "USD"
input = 1
output = 2.5
"""


QUIRK = """
[[quirk]]
id = "base_path_not_v1"
what = "The base path is another."
action = "keep it"
seen_at = ["acme"]
source = ["https://acme.example/docs"]
"""

RATING = """
as_of = 2025-12-17
source = ["https://ratings.example"]
uncertainty = 15
[rating]
"acme/law" = { overall = 1200 }
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A small catalogue of one provider and one model, all of it good."""
    shutil.copy(DIRECTORY / "exchange.toml", tmp_path / "exchange.toml")
    (tmp_path / "quirks.toml").write_text(QUIRK)
    (tmp_path / "ratings.toml").write_text(RATING)
    (tmp_path / "providers").mkdir()
    (tmp_path / "models").mkdir()
    (tmp_path / "providers" / "acme.toml").write_text(PROVIDER)
    (tmp_path / "models" / "acme.toml").write_text(MODEL)
    return tmp_path


def test_a_good_catalogue_loads(directory: Path) -> None:
    facts = load_facts(directory)
    assert list(facts.providers) == ["acme"]
    assert facts.ratings["acme/law"]["overall"].low == 1185


BAD_PROVIDERS = [
    ('name = "Acme"', "title = 1", "acme.toml: `title` (`acme`): there is no key `title` here"),
    ('name = "Acme"', "", "acme.toml: `name` (`acme`): `name` is missing"),
    ('name = "Acme"', "name = 3", "acme.toml: `name` (`acme`): expected `str`, got `int`"),
    ('kind = "vendor-api"', 'kind = "shop"', "acme.toml: `kind` (`acme`): invalid enum value 'shop'"),
    ('id = "acme"', 'id = "other"', "acme.toml: `id`: found `other`, the file's name says `acme`"),
    ('home_country = "KR"', 'home_country = "Korea"', "`home_country` (`acme`): `Korea` is no country"),
    ('home_country = "KR"', 'home_country = "EU"', "`home_country` (`acme`): `EU` is no country"),
    (
        'country = "KR"\ncountry_basis',
        'country = "XX"\ncountry_basis',
        "`place[0].country` (`acme`): `XX` is no country",
    ),
    ('country_basis = "stated"', "", "`place[0].country_basis` (`acme`): a country and its basis"),
    ("base_path_not_v1", "no_such_quirk", "`quirks[0]` (`acme`): there is no quirk `no_such_quirk`"),
    ("https://api.acme", "http://api.acme", "`place[0].base_url` (`acme`): `http://api.acme.example/v1` is plain http"),
    ("https://api.acme", "ftp://api.acme", "`place[0].base_url` (`acme`): `ftp://api.acme.example/v1` is no base URL"),
    ("https://api.acme", "https://u:p@api.acme", "`place[0].base_url` (`acme`): a base URL carries no user name"),
    ('example/v1"', 'example/v1?a=b"', "`place[0].base_url` (`acme`): `https://api.acme.example/v1?a=b` has a query"),
    ('env = ["ACME_KEY"]', 'env = ["sk-123"]', "`env` (`acme`): this is the name of an environment variable"),
    ('wire = "openai-chat"', 'wire = "telepathy"', "`wire` (`acme`): `telepathy` is no dialect"),
    ('wire = "openai-chat"', "", "`wire` (`acme`): a provider with an address says which dialect it speaks"),
    ("as_of = 2026-11-20", 'as_of = "lately"', "`as_of` (`acme`): "),
    ("as_of = 2026-11-20", "as_of = 2026-11-31", "acme.toml: not TOML: "),
    ('source = ["https://acme.example/docs"]', "source = []", "`source` (`acme`): a fact names at least one source"),
    ('scheme = "bearer"', 'scheme = "header"', "`auth.header` (`acme`): the header's name is given for"),
    ('[[place]]\nid = "kr"', '[[place]]\nid = "K R"', "`place[0].id` (`acme`): `K R` is no place name"),
]


@pytest.mark.parametrize(("old", "new", "reason"), BAD_PROVIDERS)
def test_a_bad_provider_is_refused(directory: Path, old: str, new: str, reason: str) -> None:
    assert old in PROVIDER
    (directory / "providers" / "acme.toml").write_text(PROVIDER.replace(old, new, 1))
    with pytest.raises(SetupError) as caught:
        load_facts(directory)
    assert "providers/acme.toml" in caught.value.message
    assert reason in caught.value.message


BAD_MODELS = [
    ('family = "Law"', "familie = 1", "`model[0].familie` (`acme/law`): there is no key `familie` here"),
    ('developer = "Acme"', "", "`model[0].developer` (`acme/law`): `developer` is missing"),
    ("context = 8192", 'context = "8k"', "`model[0].context` (`acme/law`): expected `int"),
    ("context = 8192", "context = 0", "`model[0].context` (`acme/law`): a size is above zero, found 0"),
    ('id = "acme/law"', 'id = "Acme Law"', "`model[0].id` (`Acme Law`): `Acme Law` is no model name"),
    ('id = "acme/law"', 'id = "shoal/law"', "`model[0].id` (`shoal/law`): `shoal/law`: `shoal` and what starts with"),
    (
        'provider = "acme"',
        'provider = "nobody"',
        "`model[0].via[0].provider` (`acme/law`): there is no provider `nobody`",
    ),
    ("input = 1", "input = -1", "`model[0].price[0].input` (`acme/law`): a price is zero or more, found -1"),
    ("input = 1", "input = nan", "`model[0].price[0].input` (`acme/law`): "),
    ("input = 1", 'input = "one"', "`model[0].price[0].input` (`acme/law`): "),
    ('currency = "USD"', 'currency = "XYZ"', "`model[0].price[0].currency` (`acme/law`): `XYZ` has no rate"),
    ('at = ["acme"]', "at = []", "`model[0].price[0].at` (`acme/law`): a price says at which provider it holds"),
    (
        'languages = ["ko"]',
        'languages = ["Korean"]',
        "`model[0].languages[0]` (`acme/law`): `Korean` is no ISO 639 code",
    ),
    ("context = 8192", 'base_model = "x/y"', "`model[0].base_model` (`acme/law`): `x/y` is not in the catalogue"),
    ("context = 8192", 'base_model = "acme/law"', "`base_model` (`acme/law`): a model cannot be made from itself"),
    ('status = "current"', 'status = "fine"', "`model[0].status` (`acme/law`): invalid enum value 'fine'"),
]


@pytest.mark.parametrize(("old", "new", "reason"), BAD_MODELS)
def test_a_bad_model_is_refused(directory: Path, old: str, new: str, reason: str) -> None:
    assert old in MODEL
    (directory / "models" / "acme.toml").write_text(MODEL.replace(old, new, 1))
    with pytest.raises(SetupError) as caught:
        load_facts(directory)
    assert "models" in caught.value.message
    assert reason in caught.value.message


def test_a_model_that_stands_twice_is_refused(directory: Path) -> None:
    (directory / "models" / "more.toml").write_text(MODEL)
    with pytest.raises(
        SetupError, match=r"models/more.toml: `model\[0\].id`: `acme/law` stands in models/acme.toml too"
    ):
        load_facts(directory)


def test_a_quirk_that_stands_twice_is_refused(directory: Path) -> None:
    quirks = directory / "quirks.toml"
    quirks.write_text(quirks.read_text(encoding="utf-8") * 2, encoding="utf-8")
    with pytest.raises(SetupError, match=r"quirks.toml: `quirk\[1\].id`: `base_path_not_v1` stands here twice"):
        load_facts(directory)


def test_a_quirk_seen_nowhere_known_is_refused(directory: Path) -> None:
    quirks = directory / "quirks.toml"
    quirks.write_text(quirks.read_text(encoding="utf-8").replace('["acme"]', '["nobody"]'), encoding="utf-8")
    with pytest.raises(SetupError, match="there is no provider `nobody`"):
        load_facts(directory)


def test_a_rating_of_nobody_is_refused(directory: Path) -> None:
    ratings = directory / "ratings.toml"
    ratings.write_text(ratings.read_text().replace("acme/law", "acme/lore"))
    with pytest.raises(SetupError, match="ratings.toml: `rating`: there is no model `acme/lore`"):
        load_facts(directory)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("USD = 1.0411", "", "`per_eur.USD` is missing"),
        ("USD = 1.0411", "USD = 0", "`per_eur.USD`: a rate is above zero"),
    ],
)
def test_a_bad_rate_is_refused(directory: Path, old: str, new: str, reason: str) -> None:
    rates = directory / "exchange.toml"
    rates.write_text(rates.read_text().replace(old, new))
    with pytest.raises(SetupError) as caught:
        load_facts(directory)
    assert reason in caught.value.message


def test_text_that_is_not_toml_or_utf8_is_refused(directory: Path) -> None:
    file = directory / "models" / "acme.toml"
    file.write_text("[[model\n")
    with pytest.raises(SetupError, match="models/acme.toml: not TOML"):
        load_facts(directory)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(SetupError, match="models/acme.toml: the file is not UTF-8"):
        load_facts(directory)


def test_a_missing_file_is_named(directory: Path) -> None:
    (directory / "ratings.toml").unlink()
    with pytest.raises(SetupError, match="ratings.toml: the file is missing"):
        load_facts(directory)


def test_the_digest_follows_the_content(directory: Path) -> None:
    before = load_facts(directory).digest
    assert load_facts(directory).digest == before
    (directory / "models" / "acme.toml").write_text(MODEL.replace("8192", "8193"))
    assert load_facts(directory).digest != before
