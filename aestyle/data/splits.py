"""Which pictures are for training, for validation and for the test: decided by names or labels, never by chance."""

from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import ClassVar

from aestyle.data.keyed import keyed_bits
from aestyle.data.sources import ImageSource
from aestyle.errors import UserError

SPLITS = ("train", "val", "test")
"""Names of the splits."""


class Split(ABC):
    """A rule that divides a source into train, val and test."""

    example: ClassVar[str]
    """A value for ``dataset.split.val`` or ``.test``, for messages."""

    @abstractmethod
    def __call__(self, source: ImageSource) -> dict[str, list[int]]:
        """Picture numbers, ascending, of each of ``SPLITS``; disjoint, together all pictures.

        Raises:
            UserError: If the rule does not fit the source.
        """


class FractionSplit(Split):
    """About these fractions of the pictures are held out, chosen by a hash of their names.

    A picture's split follows from its own name, so it stays when files are added, removed or read in another order;
    pictures that the source puts in one group stay together. Only where a split would be empty does it take the next
    groups in the order of the hash: with three or more, each split that is asked for has at least one.

    Args:
        val: Fraction for validation, in [0, 1).
        test: Fraction for the test, in [0, 1). With 0 and 0 all pictures are for training.

    Raises:
        UserError: If the fractions leave nothing for training.
    """

    example = "0.05"

    def __init__(self, val: float = 0.05, test: float = 0.05) -> None:
        if min(val, test) < 0 or val + test >= 1:
            raise UserError(f"dataset.split.val={val} and .test={test}: must be 0 or more, and less than 1 together")
        self.val = val
        self.test = test

    def __call__(self, source: ImageSource) -> dict[str, list[int]]:
        """Picture numbers, ascending, of each of ``SPLITS``."""
        groups: dict[str, list[int]] = {}
        for index in range(len(source)):
            groups.setdefault(source.group(index), []).append(index)
        share = {group: keyed_bits("split", group) / 2**64 for group in groups}
        order = sorted(groups, key=lambda group: (share[group], group))
        least_val, least_test = (int(part > 0 and len(order) >= 3) for part in (self.val, self.test))
        below_test = sum(value < self.test for value in share.values())
        below_val = sum(value < self.test + self.val for value in share.values())
        test = min(max(below_test, least_test), max(len(order) - least_val - 1, 0))
        end = min(max(below_val, test + least_val), max(len(order) - 1, 0))
        parts = {"train": order[end:], "val": order[test:end], "test": order[:test]}
        return {name: sorted(index for group in part for index in groups[group]) for name, part in parts.items()}


class LabelSplit(Split):
    """Whole classes are held out: with people as labels, nobody is in two splits.

    Args:
        val: Labels for validation.
        test: Labels for the test.

    Raises:
        UserError: If a label is in both.
    """

    example = "[<label>,...]"

    def __init__(self, val: Collection[int] = (), test: Collection[int] = ()) -> None:
        self.val = frozenset(val)
        self.test = frozenset(test)
        if both := self.val & self.test:
            raise UserError(f"dataset.split: label {min(both)} is in val and in test; keep it in one of them")

    def __call__(self, source: ImageSource) -> dict[str, list[int]]:
        """Picture numbers, ascending, of each of ``SPLITS``.

        Raises:
            UserError: If the source has no labels, or not those that are asked for.
        """
        labels = source.labels
        if labels is None:
            raise UserError(f"{source.name}: has no labels to split by; use FractionSplit as dataset.split._target_")
        if missing := (self.val | self.test) - set(labels):
            raise UserError(
                f"dataset.split: {source.name} has no label {min(missing)}; its labels are "
                f"{min(labels)} to {max(labels)}"
            )
        splits: dict[str, list[int]] = {name: [] for name in SPLITS}
        for index, label in enumerate(labels):
            splits["test" if label in self.test else "val" if label in self.val else "train"].append(index)
        return splits


class FolderSplit(Split):
    """The published split, where the first folder of a picture's name says which part it is in.

    Args:
        val: First folders of the names for validation.
        test: First folders of the names for the test; all others are for training.
    """

    example = "[<folder>,...]"

    def __init__(self, val: Collection[str] = (), test: Collection[str] = ()) -> None:
        self.val = frozenset(val)
        self.test = frozenset(test)

    def __call__(self, source: ImageSource) -> dict[str, list[int]]:
        """Picture numbers, ascending, of each of ``SPLITS``."""
        splits: dict[str, list[int]] = {name: [] for name in SPLITS}
        for index in range(len(source)):
            part = source.key(index).partition("/")[0]
            splits["test" if part in self.test else "val" if part in self.val else "train"].append(index)
        return splits
