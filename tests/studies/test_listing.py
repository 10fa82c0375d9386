"""The list of what there is to choose from is that of the files."""

import pytest

from aestyle.entry import CONF
from aestyle.studies.listing import COMMAND, GROUPS, SHIPPED, catalogue, first_sentence
from tests.helpers import answer, choices


def test_every_file_has_a_line_of_its_own_words() -> None:
    lines = answer("list").out.splitlines()
    options = dict(line.split("  ", 1) for line in lines if "=" in line)
    for group in [group for groups in GROUPS.values() for group in groups if group not in ("ckpt", COMMAND)]:
        for name in choices(group):
            sentence = options[f"{group}={name}"].strip()
            comment = " ".join(
                line.removeprefix("#").strip() for line in (CONF / group / f"{name}.yaml").read_text().splitlines()
            )
            assert len(sentence) > 5
            assert sentence in comment
    assert [line.partition(" ")[0] for line in catalogue("models")] == [
        f"ckpt={path.stem}" for path in sorted(SHIPPED.glob("*.safetensors"))
    ]


@pytest.mark.parametrize("what", GROUPS)
def test_one_kind(what: str) -> None:
    lines = catalogue(what)
    assert [line.startswith(GROUPS[what]) for line in lines] == [True] * len(lines)


def test_every_command_says_what_it_does() -> None:
    lines = dict(line.split("  ", 1) for line in catalogue("commands"))
    assert {name.removeprefix(f"{COMMAND}.") for name in lines} == {path.stem for path in CONF.glob("*.yaml")}
    assert lines[f"{COMMAND}.replay"].strip() == "Repeat the iteration that ended a training"


def test_another_kind() -> None:
    assert "what=foods: choose one of all, commands, methods, " in answer("list", "what=foods").line


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("# One (A et al., 2020), 1.5 of\n# them. Two.\nname: x", "One (A et al., 2020), 1.5 of them."),
        ("# @package _global_\n# One\nname: x", "One"),
        ("# Only a comment\n", "Only a comment"),
        ("# title\n\nA model\nof faces. It is small.\n\nMore.", "A model of faces."),
        ("name: x", ""),
    ],
)
def test_first_sentence(text: str, sentence: str) -> None:
    assert first_sentence(text) == sentence
