"""The wheel holds the configuration, so that the commands work from any folder."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from tests.helpers import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(build, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(folder / "unpacked")
    return folder / "unpacked"


def files(folder: Path, ending: str) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob(f"*{ending}")}


def test_everything_is_inside_and_nothing_else(unpacked: Path) -> None:
    package = unpacked / "aestyle"
    assert files(package / "conf", ".yaml") == files(ROOT / "conf", ".yaml")
    assert files(package, ".py") == files(ROOT / "aestyle", ".py")
    assert {path.name.partition("-")[0] for path in unpacked.iterdir()} == {"aestyle"}


def test_the_commands_work_from_any_folder(unpacked: Path, tmp_path: Path) -> None:
    """The unpacked wheel comes before an editable install of this checkout."""
    done = subprocess.run(
        [sys.executable, "-m", "aestyle.train", "--cfg", "job", "--resolve", "scale=cpu", "method=stylegan2"],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(unpacked)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    cfg = yaml.safe_load(done.stdout)
    assert cfg["method"]["name"] == "stylegan2"
    assert cfg["resolution"] == 32
    where = [sys.executable, "-c", "import aestyle.entry; print(aestyle.entry.CONF)"]
    env = {**os.environ, "PYTHONPATH": str(unpacked)}
    said = subprocess.run(where, capture_output=True, text=True, cwd=tmp_path, env=env, check=True, timeout=60).stdout
    assert Path(said.strip()) == unpacked / "aestyle" / "conf"
