"""The roster: enough models in enough countries, everyone's weights present, and no skill in one country's hands."""

import subprocess
import sys

import pytest

from shoal.practice.questions import SKILLS
from shoal.practice.roster import member, members
from shoal.practice.transformer import Model


def test_there_are_at_least_twelve_models_in_eight_countries() -> None:
    assert len(members()) >= 12
    assert len({row.country for row in members().values()}) >= 8


def test_all_weights_together_stay_under_twenty_megabytes() -> None:
    assert sum(row.weights_path().stat().st_size for row in members().values()) <= 20_000_000


@pytest.mark.parametrize("model_id", list(members()))
def test_a_row_says_what_its_weights_are(model_id: str) -> None:
    row, model = member(model_id), Model.load(model_id)
    assert row.id == model_id == model.name
    assert row.params == model.parameters
    assert row.params < 1_000_000
    assert model.shape.thinks or "verifier" not in row.roles


def test_every_row_is_openly_a_practice_model_with_open_weights() -> None:
    for row in members().values():
        assert "Practice" in row.developer and "Practice" in row.operator
        assert row.open_weights and row.licence == "Apache-2.0"
        assert row.price_in_usd > 0 and row.price_out_usd > 0


@pytest.mark.parametrize("skill", SKILLS)
def test_every_skill_is_taught_in_at_least_two_countries(skill: str) -> None:
    assert len({row.country for row in members().values() if skill in row.skills}) >= 2


def test_an_unknown_model_is_refused_with_the_choices() -> None:
    with pytest.raises(KeyError, match="hana-ja"):
        member("nobody")


def test_reading_the_roster_does_not_load_numpy() -> None:
    code = "import sys; from shoal.practice.roster import members; members(); print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
