"""The documents: every method has its page, links lead somewhere, and what commands name is there."""

import re
from functools import cache
from pathlib import Path

from tests.helpers import CONF, ROOT, choices

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "experiments").rglob("*.md"))]
GROUPS = {folder.relative_to(CONF).as_posix() for folder in CONF.rglob("*") if folder.is_dir()}
OWN = {"scale": {"auto"}, "method": {"vae"}, "dataset": {"pets"}}
"""What may be named without a file: a word of the commands, and the examples of a method and a data set to add."""


@cache
def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


@cache
def known(group: str) -> set[str]:
    return {*choices(group), *OWN.get(group, ())}


def named(page: Path) -> set[tuple[str, str]]:
    """Every choice of a configuration group that a page names, as in ``method=aae,age`` or ``metrics=[rec_mse]``."""
    options = re.findall(r"(?<![\w./])([a-z_]+(?:/[a-z_]+)?)=([\w,\[\]]+)", text(page))
    return {(group, name) for group, names in options if group in GROUPS for name in re.findall(r"\w+", names)}


def leads_nowhere(page: Path, target: str) -> bool:
    path = target.partition("#")[0]
    return bool(path) and "://" not in path and not (page.parent / path).exists()


def test_every_method_has_a_page_and_is_in_the_index() -> None:
    folder = ROOT / "docs" / "methods"
    titles = " ".join(text(page).partition("\n")[0] for page in folder.glob("*.md"))
    index = text(ROOT / "docs" / "README.md")
    assert not [method for method in choices("method") if f"`{method}`" not in titles]
    assert not [method for method in choices("method") if f"`{method}`" not in index]
    assert not [page.name for page in folder.glob("*.md") if f"(methods/{page.name})" not in index]


def test_links_lead_somewhere() -> None:
    lost = []
    for page in PAGES:
        prose = re.sub(r"^```.*?^```", "", text(page), flags=re.MULTILINE | re.DOTALL)
        lost += [f"{page}: {to}" for to in re.findall(r"\]\(([^)\s]+)\)", prose) if leads_nowhere(page, to)]
    assert not lost


def test_commands_and_their_choices_exist() -> None:
    wrong = []
    for page in PAGES:
        commands = set(re.findall(r"-m aestyle\.(\w+)", text(page)))
        wrong += [f"{page}: {name}" for name in commands if not (ROOT / "aestyle" / f"{name}.py").exists()]
        wrong += [f"{page}: {group}={name}" for group, name in named(page) if name not in known(group)]
    assert not wrong
