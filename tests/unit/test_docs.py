"""What the documents say is what the code does."""

import re
from pathlib import Path

import pytest
from typer.main import get_command

from memsvc.api.app import ROUTERS
from memsvc.cli import app
from memsvc.config import Settings
from memsvc.lifecycle.states import TRANSITIONS
from memsvc.retrieval.own_recipes import SETTINGS, show
from memsvc.retrieval.recipes import BALANCED, RECIPES

ROOT = Path(__file__).parents[2]


def settings_table() -> dict[str, tuple[str, str]]:
    page = (ROOT / "docs/configuration.md").read_text()
    rows = re.findall(r"^\| `MEMSVC_(\w+)` \| (.*?) \| (.*) \|$", page, re.MULTILINE)
    return {name.lower(): (default.strip("`"), meaning) for name, default, meaning in rows if default}


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_documented_with_its_default_and_meaning(name: str) -> None:
    field = Settings.model_fields[name]
    default, meaning = settings_table()[name]
    assert meaning == field.description
    expected = {"data_dir": "the platform's user-data directory"}.get(
        name, "unset" if field.default is None else str(field.default)
    )
    assert default == expected


def test_no_setting_is_documented_that_does_not_exist() -> None:
    documented = set(re.findall(r"^\| `MEMSVC_(\w+)` \| ", (ROOT / "docs/configuration.md").read_text(), re.MULTILINE))
    assert documented - {"ENCODER"} <= {name.upper() for name in Settings.model_fields}


@pytest.mark.parametrize("page", [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")], ids=lambda page: page.name)
def test_links_between_documents_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_documented_transitions_are_those_of_the_code() -> None:
    rows = re.findall(r"^\| `(\w+)`: [^|]+ \| ([^|]+) \|$", (ROOT / "docs/lifecycle.md").read_text(), re.MULTILINE)
    documented = {
        start: frozenset() if targets == "nothing" else frozenset(targets.split(", ")) for start, targets in rows
    }
    assert documented == dict(TRANSITIONS)


def test_every_route_is_documented() -> None:
    """The table of docs/api.md, by method and path; a parameter may have another name there."""
    page = (ROOT / "docs/api.md").read_text()
    cells = re.findall(r"^\| (`.*?`) \| ", page, re.MULTILINE)
    documented = {
        (method, re.sub(r"\{\w+\}", "{}", path.strip("` ")))
        for cell in cells
        for method, paths in re.findall(r"`([A-Z]+) ([^`]+(?:`, `/[^`]+)*)`", cell)
        for path in paths.split(",")
    }
    served = set()
    for module in ROUTERS:
        for route in module.router.routes:
            for method in route.methods:
                if route.include_in_schema:
                    served.add((method, re.sub(r"\{\w+(?::path)?\}", "{}", route.path)))
    assert served <= documented | {("GET", "/metrics")}, sorted(served - documented)


def test_every_recipe_and_every_setting_of_one_is_documented_with_its_default() -> None:
    page = (ROOT / "docs/recipes.md").read_text()
    rows = dict(re.findall(r"^\| `([\w.]+)` \| [^|]* \| ([^|]*) \|", page, re.MULTILINE))
    default = show(BALANCED)
    weights = {f"weights.{stage}": f"{weight:g}" for stage, weight in default["weights"].items()}
    assert {field: said for field, said in rows.items() if field.startswith("weights.")} == weights
    assert set(SETTINGS) - {"weights"} <= set(rows)
    for setting in ("candidates", "nearest_chunks", "lexical_chunks"):
        assert rows[setting] == str(default[setting])
    for setting in ("second_stage", "archived"):
        assert rows[setting] == str(default[setting]).lower()
    for setting in ("bm25", "diversity"):
        assert rows[setting] == ", ".join(f"{value:g}" for value in default[setting].values())
    assert rows["window"] == f"`[{', '.join(f'{weight:g}' for weight in default['window'])}]`"
    assert rows["base"] == "`balanced`"
    built_in = re.findall(r"^\| `(\w+)` \| [^|]* \|$", page, re.MULTILINE)
    assert built_in == list(RECIPES)


COMMANDS = sorted(
    {
        tuple(command.split())
        for page in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]
        for block in re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL)
        for command in re.findall(r"^memsvc ([a-z-]+(?: [a-z-]+)?)", block, re.MULTILINE)
    }
)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_of_the_documents_exists(words: tuple[str, ...]) -> None:
    command = get_command(app)
    assert words[0] in command.commands, words
    below = getattr(command.commands[words[0]], "commands", None)
    if below is not None:
        assert words[1] in below
