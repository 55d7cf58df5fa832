"""What the documentation shows is what happens: its commands, programs, settings and links."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from pages import ROOT, Block, agrees, anchors, blocks, commands, links, name_of, pages
from running import Running, command, environment
from shoal.catalogue.loader import DIRECTORY, load_facts
from shoal.settings import check_text

SETTINGS = {"init", "add", "config"}  # these write or read a file, so they run in a folder of the page's own
NO_TEST_AT_MOST = 12
PAGES = pages()
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
SAYS = {
    "budget.py": ("342", "budget_spent"),
    "chat.py": ("三百四十二", "practice/"),
    "explain.py": ("law", "practice/"),
    "forbid_a_country.py": ("403 nothing_permitted", "only country:CL"),
    "nobody_can.py": ("503", "the practice pool only answers number questions"),
    "stream.py": ("삼백사십이", "USD"),
}
UNWANTED = re.compile(
    r"\b(agents?|sessions?|sub-?agents?|compliant)\b|TO" + r"DO|FIX" + r"ME|(?<![\w.])/(work|tmp|root|home)/", re.I
)


def run_python(source: list[str], instance: Running, folder: Path) -> str:
    """Run Python with the address of the instance in `SHOAL_URL` and return what it printed."""
    done = subprocess.run(
        [sys.executable, *source],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(SHOAL_URL=instance.url),
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def of_kind(kind: str) -> list[tuple[Path, Block]]:
    """Return every block whose info string is exactly `kind`, with its page."""
    return [(page, block) for page in PAGES for block in blocks(page) if block.info == kind]


@pytest.mark.parametrize("page", [p for p in PAGES if any(b.info == "console" for b in blocks(p))], ids=name_of)
def test_commands_print_what_the_page_shows(page: Path, instance: Running, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    for block in blocks(page):
        if block.info == "toml shoal.toml":
            (own / "shoal.toml").write_text(block.text)
        for given in commands(block) if block.info == "console" else ():
            where = f"{name_of(page)}:{block.line}: {given.line}"
            program, *args = shlex.split(given.line, comments=True)
            assert program == "shoal", f"{where}: only shoal can be run here; say `console no-test`"
            if args[0] in SETTINGS:
                done = command(*args, state=own / "state", check=False, COLUMNS="100", XDG_CONFIG_HOME=str(own))
            else:
                done = command(*args, state=instance.state, config=instance.config, check=False, COLUMNS="100")
            printed = done.stdout + done.stderr
            refused = any(line.startswith("error:") for line in given.shown)
            assert (done.returncode != 0) == refused, f"{where}: ended with {done.returncode}\n{printed}"
            assert not given.shown or agrees(given.shown, printed), f"{where}\n--- real output\n{printed}"


@pytest.mark.parametrize("page, block", of_kind("python"), ids=lambda v: name_of(v) if isinstance(v, Path) else v.line)
def test_python_on_a_page_runs(page: Path, block: Block, instance: Running, tmp_path: Path) -> None:
    text = block.text.replace("http://127.0.0.1:8400", instance.url)
    assert run_python(["-c", text], instance, tmp_path).strip(), f"{name_of(page)}:{block.line}: it prints nothing"


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_runs_and_says_what_it_is_about(example: Path, instance: Running, tmp_path: Path) -> None:
    printed = run_python([str(example)], instance, tmp_path)
    for part in SAYS[example.name]:
        assert part in printed, printed


def test_examples_are_stories_of_under_60_lines_that_some_page_tells() -> None:
    told = {(page.parent / link).resolve() for page in PAGES for link in links(page)}
    assert len(EXAMPLES) >= 4
    for example in EXAMPLES:
        assert len(example.read_text().splitlines()) < 60, example.name
        assert example in told, f"no page links to {example.name}"


def test_settings_on_pages_hold() -> None:
    found = of_kind("toml")
    assert found
    for page, block in found:
        loaded = check_text(block.text, page)
        assert loaded.file == page


def test_facts_on_pages_are_taken_by_the_catalogue(tmp_path: Path) -> None:
    found = of_kind("toml facts")
    assert found
    for page, block in found:
        folder = tmp_path / str(block.line)
        shutil.copytree(DIRECTORY, folder)
        row = tomllib.loads(block.text)
        (folder / "providers" / f"{row['id']}.toml").write_text(block.text)
        assert row["id"] in load_facts(folder).providers, name_of(page)


def test_json_on_pages_parses() -> None:
    found = of_kind("json")
    assert found
    for page, block in found:
        assert json.loads(block.text), f"{name_of(page)}:{block.line}"


def test_every_block_says_what_it_is_and_few_cannot_be_run() -> None:
    known = {"console", "console no-test", "python", "json", "toml", "toml shoal.toml", "toml facts", "text", ""}
    for page in PAGES:
        for block in blocks(page):
            assert block.info in known, f"{name_of(page)}:{block.line}: {block.info}"
    assert len(of_kind("console no-test")) <= NO_TEST_AT_MOST


def test_every_link_inside_leads_somewhere() -> None:
    for page in PAGES:
        for link in links(page):
            path, _, anchor = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            assert target.exists() and target.is_relative_to(ROOT), f"{name_of(page)}: {link}"
            if anchor and target.suffix == ".md":
                assert anchor in anchors(target), f"{name_of(page)}: {link}"


def test_every_page_can_be_found_from_the_index() -> None:
    index = ROOT / "docs" / "README.md"
    listed = {(index.parent / link.partition("#")[0]).resolve() for link in links(index)}
    rooms = ("tutorial", "how-to", "reference", "explanation")
    missing = [name_of(p) for p in PAGES if p.parent.name in rooms and p not in listed]
    assert not missing, missing


def test_pages_speak_of_shoal_alone() -> None:
    foreign = ROOT / "docs" / "reference" / "catalogue.md"  # facts on others use their words
    for page in [*(p for p in PAGES if p != foreign), *EXAMPLES]:
        found = [m[0] for m in UNWANTED.finditer(page.read_text())]
        assert not found, f"{name_of(page)}: {found}"


def test_the_readme_says_how_to_run_and_test_on_its_first_screen() -> None:
    first = "\n".join((ROOT / "README.md").read_text().splitlines()[:40])
    for line in ("make run", "make run PORT=9000", "make test", 'shoal ask "三百二十五足す十七は？" --explain'):
        assert line in first, line


def test_shown_output_is_compared_line_by_line() -> None:
    shown = ("三百四十二", "...", "├── law 13 permitted, 0 refused", "└── w solver write:ja ...")
    real = "三百四十二\n\nrun_01m7  ok\n├── law 15 permitted, 1 refused\n└── w solver write:ja sees c\n"
    assert agrees(shown, real)
    assert not agrees(shown, real.replace("write:ja", "write:ko"))
    assert not agrees(shown[1:3], real)
    assert not agrees(("342",), "343\n")
