"""Files of codes."""

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from aestyle.errors import UserError
from aestyle.latents.codes import Codes, read_codes


@pytest.fixture
def codes(model: Any) -> Codes:
    space = random.choice(list(model.spaces))
    values = torch.randn(2, *model.spaces[space].shape)
    others = {"start": torch.randn(2, 3).double()}
    return Codes(values, space, ["ä.png", "b"], "joint_ae", "some.ckpt", "0123", others, {"steps": "7"})


def test_what_was_written_is_read(codes: Codes, model: Any, tmp_path: Path) -> None:
    found = read_codes(codes.save(tmp_path / "new" / "codes.safetensors"), model)
    assert torch.equal(found.codes, codes.codes)
    assert torch.equal(found.others["start"], codes.others["start"])
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["codes.safetensors"]
    for name in ("space", "names", "method", "model", "checkpoint", "facts"):
        assert getattr(found, name) == getattr(codes, name), name


def test_files_that_hold_no_codes_of_a_model(codes: Codes, models: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "codes.safetensors"
    with pytest.raises(UserError, match="there is no such file"):
        read_codes(path)
    save_file({"codes": codes.codes}, path)
    with pytest.raises(UserError, match="holds no codes"):
        read_codes(path)
    Codes(torch.zeros(1, 3), "w", ["a"]).save(path)
    read_codes(path)
    with pytest.raises(UserError, match="not codes of this model"):
        read_codes(path, models["w"])
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(UserError, match="damaged"):
        read_codes(path)
