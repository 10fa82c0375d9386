"""NVIDIA's network pickles: the numbers of the networks in them, and nothing of what else they might do."""

import io
import os
import pickle
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch

import aestyle
from aestyle.engine.slim import read_slim
from aestyle.errors import UserError
from aestyle.studies.nvidia import read_network_pickle
from tests.helpers import answer
from tests.nets import parity
from tests.studies.nvidia_pickles import SOURCE, network, nvidia_modules, write_network_pickle

NUMBERS = parity.load("stylegan2_ada_32")
G, D, Z = NUMBERS["checkpoint"]["G"], NUMBERS["checkpoint"]["D"], NUMBERS["inputs"]["z"]
IMAGES = NUMBERS["outputs"]["image_const_fused"]
SMALL = {"mapping.fc0.weight": torch.ones(2, 2), "mapping.fc0.bias": torch.zeros(2)}
"""Enough of a network for what is refused before anything is built."""


def snapshot(path: Path, protocol: int = 4, **changes: Any) -> Path:
    """A file of the reference's networks, whose source code would leave a trace if it were run."""
    source = SOURCE.format(trap=str(path.parent / "executed"))
    other = {key: value + torch.rand_like(value) * (key[-6:] != "filter") for key, value in G.items()}
    networks = {
        "G": network("Generator", other, source, **changes),
        "D": network("Discriminator", D, source, **changes),
        "G_ema": network("Generator", G, source, **changes),
    }
    return write_network_pickle(path, protocol, **networks)


# -- the numbers of the reference ------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", [pytest.param(3, marks=pytest.mark.slow), 4])
def test_the_networks_give_the_numbers_of_the_reference(tmp_path: Path, protocol: int) -> None:
    file = snapshot(tmp_path / "network-snapshot-000012.pkl", protocol)
    done = answer("convert", f"input={file}", f"output={tmp_path / 'run'}")
    assert done.code == 0, done
    assert "4 samples (4, 3, 32, 32): mean" in done.out
    model = aestyle.load(tmp_path / "run")
    parity.assert_values(model.decode(Z, "z"), IMAGES)
    parity.assert_values(model.discriminator(NUMBERS["inputs"]["real"][:4]), NUMBERS["outputs"]["logits_b4"])
    assert model.images_seen == 12_000
    assert not (tmp_path / "executed").exists()
    with nvidia_modules(), pytest.raises(FileExistsError), file.open("rb") as opened:
        pickle.load(opened)  # the trap is a real one: every layer makes the folder
    assert (tmp_path / "executed").exists()


def test_state_dicts_are_those_of_the_networks(tmp_path: Path) -> None:
    found = read_network_pickle(snapshot(tmp_path / "x.pkl", group_size=8))
    for name, state in {"G_ema": G, "D": D}.items():
        assert found[name].keys() == state.keys()
        assert all(torch.equal(found[name][key], value) for key, value in state.items())
    assert found["stddev_group"] == 8


@pytest.mark.slow
def test_a_file_without_discriminator_is_one_small_file(tmp_path: Path) -> None:
    file = write_network_pickle(tmp_path / "x.pkl", G_ema=network("Generator", G))
    done = answer("convert", f"input={file}", f"output={tmp_path / 'small.safetensors'}")
    assert "only g_ema of g and g_ema is in the file" in done.out
    parity.assert_values(aestyle.load(tmp_path / "small.safetensors").decode(Z, "z"), IMAGES)
    assert str(tmp_path) not in read_slim(tmp_path / "small.safetensors")["aestyle"]["config"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"activation": "relu"}, "activation=relu"),
        ({"bias_gain": 1.0}, "lr_multiplier=1.0"),
    ],
)
def test_settings_that_leave_no_trace_in_the_tensors(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        read_network_pickle(write_network_pickle(tmp_path / "x.pkl", G_ema=network("Generator", SMALL, **changes)))


def test_another_filter(tmp_path: Path) -> None:
    state = {**SMALL, "synthesis.b4.resample_filter": torch.full((2, 2), 0.25)}
    with pytest.raises(UserError, match=r"its layer b4 has another resample_filter than \[1, 3, 3, 1\]"):
        read_network_pickle(write_network_pickle(tmp_path / "x.pkl", G_ema=network("Generator", state)))


def test_networks_that_are_no_stylegan2(tmp_path: Path) -> None:
    state = {**G, "mapping.embed.weight": torch.zeros(64, 10)}
    file = write_network_pickle(tmp_path / "labels.pkl", G_ema=network("Generator", state))
    assert "mapping.embed.weight" in answer("convert", f"input={file}", f"output={tmp_path / 'run'}").line
    file = write_network_pickle(tmp_path / "none.pkl")
    assert "holds no networks" in answer("convert", f"input={file}", f"output={tmp_path / 'run'}").line
    assert not (tmp_path / "run").exists()


# -- nothing is run --------------------------------------------------------------------------------------------------


class Evil:
    """Makes a folder when it is unpickled."""

    def __init__(self, target: Path, how: str) -> None:
        self.target = str(target)
        self.how = how

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        if self.how == "system":
            return os.system, (f"mkdir {self.target}",)
        return eval, (f"__import__('os').mkdir({self.target!r})",)


class Reduced:
    """Pickled as a call with arguments and a state."""

    def __init__(self, function: Any, arguments: tuple[Any, ...], state: Any = None) -> None:
        self.parts = (function, arguments, state)

    def __reduce__(self) -> Any:
        return self.parts


def saved(value: Any, zipped: bool) -> bytes:
    file = io.BytesIO()
    torch.save(value, file, _use_new_zipfile_serialization=zipped)
    return file.getvalue()


PLACES: dict[str, Callable[[Any], dict[str, Any]]] = {
    "top": lambda evil: {"extra": evil},
    "attribute": lambda evil: {"G": network("Generator", SMALL, noise=evil)},
    "arguments": lambda evil: {"extra": Reduced(torch._utils._rebuild_parameter, (evil, False, OrderedDict()))},
    "build": lambda evil: {"extra": Reduced(OrderedDict, (), {"a": evil})},
    "slots": lambda evil: {"extra": Reduced(OrderedDict, (), (None, {"a": evil}))},
    "storage": lambda evil: {"extra": Reduced(torch.storage._load_from_bytes, (saved(evil, False),))},
    "zipped storage": lambda evil: {"extra": Reduced(torch.storage._load_from_bytes, (saved(evil, True),))},
    "tensor": lambda evil: {
        "extra": Reduced(
            torch._utils._rebuild_tensor_v2,
            (Reduced(torch.storage._load_from_bytes, (saved([evil], False),)), 0, (1,), (1,), False, OrderedDict()),
        )
    },
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("how", ["system", "eval"])
def test_a_forbidden_name_is_refused_by_name(tmp_path: Path, place: str, how: str) -> None:
    trap = tmp_path / "executed"
    file = write_network_pickle(tmp_path / "evil.pkl", **PLACES[place](Evil(trap, how)))
    with pytest.raises(UserError, match=rf"evil\.pkl: refused, .* names (\w+\.)?{how}"):
        read_network_pickle(file)
    assert not trap.exists()
    with nvidia_modules(), file.open("rb") as opened, suppress(AttributeError, TypeError, FileExistsError):
        pickle.load(opened)  # the trap is a real one
    assert trap.exists()


def test_the_command_says_so_in_one_line(tmp_path: Path) -> None:
    file = write_network_pickle(tmp_path / "evil.pkl", G=Evil(tmp_path / "executed", "system"))
    line = answer("convert", f"input={file}", f"output={tmp_path / 'run'}").line
    name = f"{os.system.__module__}.system"
    assert f"{file}: refused, it names {name}, which is no part of a network; nothing in it was run" in line
    assert [path.name for path in tmp_path.iterdir()] == ["evil.pkl"]


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"(S'true'\nios\nsystem\n.", "os.system"),
        (b"cos\nsystem\n(S'true'\ntR.", "os.system"),
        (
            b"\x80\x04\x8c\x0bcollections\x8c\x1cOrderedDict.fromkeys.__doc__\x93.",
            "collections.OrderedDict.fromkeys.__doc__",
        ),
        (b"\x80\x04\x8c\x05torch\x8c\x04load\x93.", "torch.load"),
        (b"\x80\x04\x8c\x0ctorch._utils\x8c\x07warning\x93.", "torch._utils.warning"),
        (b"\x80\x04\x8c\x08builtins\x8c\x07getattr\x93.", "builtins.getattr"),
        (b"\x80\x02\x82\x01.", ""),
        (b"\x80\x02Pan id\n.", ""),
        (b"\x80\x02K\x01.", ""),
        (b"", ""),
        (b"hello\n", ""),
    ],
)
def test_pickles_written_by_hand(tmp_path: Path, data: bytes, name: str) -> None:
    (tmp_path / "x.pkl").write_bytes(data)
    with pytest.raises(UserError, match=f"refused, it names {name}" if name else "damaged"):
        read_network_pickle(tmp_path / "x.pkl")


def test_nothing_of_the_program_is_changed(tmp_path: Path) -> None:
    """A state may set attributes of whatever a name stands for: it must not be the thing itself."""
    state = b"}\x8c\x0c__defaults__K\x01\x85s\x86b"
    data = b"\x80\x04\x8c\x0ctorch._utils\x8c\x12_rebuild_tensor_v2\x93N" + state + b"0}."
    (tmp_path / "x.pkl").write_bytes(data)
    before = torch._utils._rebuild_tensor_v2.__defaults__
    assert read_network_pickle(tmp_path / "x.pkl") == {}
    assert torch._utils._rebuild_tensor_v2.__defaults__ == before
    pickle.loads(data)
    assert torch._utils._rebuild_tensor_v2.__defaults__ == (1,)
    torch._utils._rebuild_tensor_v2.__defaults__ = before


def test_truncated_and_missing(tmp_path: Path) -> None:
    file = write_network_pickle(tmp_path / "x.pkl", G_ema=network("Generator", SMALL))
    whole = file.read_bytes()
    for size in torch.randint(0, len(whole) - 1, (20,)).tolist():
        file.write_bytes(whole[:size])
        with pytest.raises(UserError, match=r"x\.pkl: damaged"):
            read_network_pickle(file)
    with pytest.raises(UserError, match="No such file"):
        read_network_pickle(tmp_path / "y.pkl")
