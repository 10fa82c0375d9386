"""Fluent emoji, with what Unicode says of them."""

import json
from pathlib import Path

from aestyle.data.published.layout import find
from aestyle.data.sources import PictureFiles
from aestyle.errors import UserError

_SKIN_TONES = {f"1f3f{digit}" for digit in "bcdef"}
_JOINERS = {"fe0f", "2640", "2642"}
_NEUTRAL = {
    **dict.fromkeys(("1f468", "1f469"), "1f9d1"),
    **dict.fromkeys(("1f466", "1f467"), "1f9d2"),
    **dict.fromkeys(("1f474", "1f475"), "1f9d3"),
    **dict.fromkeys(("1f46b", "1f46c"), "1f46d"),  # people holding hands
    "1f934": "1f478",  # prince, princess
    "1f936": "1f385",  # Mother Christmas, Father Christmas
}
"""Man and woman become person, boy and girl child, and so on."""


class Emoji(PictureFiles):
    """Fluent 3-D emoji (Microsoft), 256 x 256 RGBA, one file a sequence of code points.

    Skin tones and genders of one emoji are nearly the same picture: they are one group, and so in one split. The
    labels are the groups of the Unicode standard, numbered from 0 in its order (smileys, people, animals, ...).

    Args:
        path: Folder above the unpacked packages: ``<code points>.webp`` and ``data-by-emoji.json``.
        help: What to get and where to put it.

    Raises:
        UserError: If files are missing.
    """

    def __init__(self, path: str, help: str) -> None:
        root = Path(path).expanduser()
        files = sorted(root.rglob("*.webp"), key=lambda file: file.name)
        if not files:
            raise UserError(f"{root}: no emoji there; {help}")
        table = json.loads(find(root, "data-by-emoji.json", help).read_text(encoding="utf-8"))
        names = list(dict.fromkeys(entry["group"] for entry in table.values()))
        self.classes = names
        numbers = {emoji_group(_code_points(emoji)): names.index(entry["group"]) for emoji, entry in table.items()}
        # what Unicode does not list (a few sequences of one vendor) goes with its first code point
        first = {group.partition("-")[0]: label for group, label in reversed(numbers.items())}
        super().__init__(str(root), files[0].parent, files)
        groups = [self.group(index) for index in range(len(files))]
        self._labels = [numbers.get(group, first.get(group.partition("-")[0], 0)) for group in groups]

    def group(self, index: int) -> str:
        """The base code points: without skin tone, gender and variation selector."""
        return emoji_group(self._paths[index].stem)

    @property
    def labels(self) -> list[int]:
        """The Unicode group of each picture, 0 to 8."""
        return self._labels


def emoji_group(code_points: str) -> str:
    """The base of an emoji, such as ``1f9d1-1f680`` for astronauts of any skin tone and gender.

    Args:
        code_points: Lower-case hexadecimal code points, joined by hyphens.
    """
    points = [point for point in code_points.split("-") if point not in _SKIN_TONES | _JOINERS | {"200d"}]
    return "-".join(_NEUTRAL.get(point, point) for point in points)


def _code_points(emoji: str) -> str:
    return "-".join(f"{ord(character):x}" for character in emoji)
