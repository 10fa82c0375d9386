"""What the pictures of a task show: the classes of a data set, or the subfolders that pictures lie in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from aestyle.data.sources import ImageSource, folder_classes
from aestyle.errors import UserError


@dataclass(frozen=True)
class Labels:
    """A class for each picture.

    Args:
        numbers: one a picture.
        groups: pictures of one group show the same, so that one must not be tested by the others.
        classes: names of the numbers, where they have any.
    """

    numbers: Sequence[int]
    groups: Sequence[str]
    classes: Mapping[int, str] = field(default_factory=dict)

    def name(self, number: int) -> str:
        """What a class is called."""
        return self.classes.get(number, f"class {number}")


def source_labels(source: ImageSource, names: Sequence[str]) -> Labels:
    """Labels of pictures of a data set.

    Args:
        source: its pictures.
        names: the pictures' names in it, with or without the ending, or the last part of it where that is enough.

    Raises:
        UserError: it has no labels, or not these pictures.
    """
    labels = source.labels
    if labels is None:
        raise UserError(f"{source.name}: its pictures have no labels; give input=<folder with a subfolder a class>")
    keys = [source.key(index) for index in range(len(labels))]
    known: dict[str, list[int]] = {}
    for index, key in enumerate(keys):
        for name in {key, short_name(key), PurePosixPath(key).stem}:
            known.setdefault(name, []).append(index)
    at = []
    for name in names:
        if len(known.get(name, [])) != 1:
            raise UserError(f"{name} names no picture of {source.name}, or several, so that it has no label")
        at += known[name]
    classes = dict(enumerate(getattr(source, "classes", ())))
    return Labels([labels[i] for i in at], [source.group(i) for i in at], classes)


def folder_labels(names: Sequence[str]) -> Labels:
    """Labels of pictures in subfolders of one folder, each a class.

    Args:
        names: the pictures' names relative to the folder.

    Raises:
        UserError: they do not lie in exactly one level of subfolders.
    """
    numbers = folder_classes(names)
    if numbers is None:
        raise UserError("the pictures have no labels; put those of each class into a subfolder of input=<folder>")
    return Labels(numbers, names, {number: name.split("/")[0] for number, name in zip(numbers, names, strict=True)})


def short_name(key: str) -> str:
    """A picture's name without its ending: ``s1/10`` for ``s1/10.pgm``."""
    return str(PurePosixPath(key).with_suffix(""))
