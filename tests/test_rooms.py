"""Who may import whom, and where weights may change."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "aestyle"
ROOMS = ("nets", "losses", "data", "engine", "metrics", "latents", "methods", "studies", "commands")
"""From the lowest to the highest; the commands are the modules at the top."""

FOR_ALL = {"errors", "processes", "protocol", "resolvers"}
FILES = sorted(PACKAGE.rglob("*.py"))


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


def room_of(module: str) -> str | None:
    """The room of a module; None for the package itself and what all rooms share."""
    top = [*module.split("."), ""][1]
    if top in ROOMS:
        return top
    return None if top in FOR_ALL or not top else "entry" if top == "entry" else "commands"


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of everything of this package that a file imports, also inside of functions."""
    package = module_of(path).split(".") if path.name == "__init__.py" else module_of(path).split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names if alias.name.split(".")[0] == "aestyle")
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            source = ".".join(filter(None, (base, node.module)))
            if source.split(".")[0] == "aestyle":
                yield from ((node.lineno, f"{source}.{alias.name}") for alias in node.names)


def wrong_imports(path: Path) -> Iterator[str]:
    own = room_of(module_of(path))
    for line, name in imports(path):
        other = room_of(name)
        allowed = (
            other is None
            or (own == "commands" and (other == "entry" or other in ROOMS[:-1]))
            or (own in ROOMS and other in ROOMS[: ROOMS.index(own) + 1] and other != "commands")
            or module_of(path) == "aestyle"
        )
        if not allowed:
            yield f"{path.relative_to(PACKAGE.parent)}:{line} ({own}) imports {name} ({other})"


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_a_room_imports_only_from_rooms_below_it(path: Path) -> None:
    assert not list(wrong_imports(path))


@pytest.mark.parametrize(
    ("file", "text", "wrong"),
    [
        ("nets/x.py", "from aestyle.losses.regularizers import r1_penalty", True),
        ("nets/x.py", "from ..engine import ema", True),
        ("engine/x.py", "def f():\n    import aestyle.methods.stylegan2", True),
        ("data/x.py", "from aestyle.entry import entry", True),
        ("studies/x.py", "from aestyle.train import main", True),
        ("train2.py", "from aestyle.entry import entry\nfrom aestyle.studies.training import train", False),
        ("methods/x.py", "from .stylegan2 import StyleGAN2\nfrom aestyle.errors import UserError\nimport torch", False),
    ],
)
def test_this_test_notices(file: str, text: str, wrong: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "PACKAGE", tmp_path / "aestyle")
    path = tmp_path / "aestyle" / file
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert bool(list(wrong_imports(path))) == wrong


def test_what_all_rooms_share_imports_nothing_of_the_package_but_each_other() -> None:
    for name in sorted(FOR_ALL):
        for line, imported in imports(PACKAGE / f"{name}.py"):
            assert room_of(imported) is None, f"{name}.py:{line} imports {imported}"


def calls(path: Path) -> Iterator[tuple[int, str, str]]:
    """Line, object and name of every method call in a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield node.lineno, ast.unparse(node.func.value), node.func.attr


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_weights_change_in_one_place_only(path: Path) -> None:
    """``latents`` may step codes, never networks; everything else steps through the engine's helper."""
    if module_of(path) == "aestyle.engine.module" or room_of(module_of(path)) == "latents":
        return
    steps = [
        (line, f"{owner}.{name}")
        for line, owner, name in calls(path)
        if name in ("backward", "manual_backward", "step")
    ]
    assert not steps


def test_the_place_where_weights_change_is_found() -> None:
    names = [name for _, _, name in calls(PACKAGE / "engine" / "module.py")]
    assert names.count("manual_backward") == names.count("step") == 1


def test_the_command_line_needs_nothing_heavy() -> None:
    code = "import sys, aestyle, aestyle.entry, aestyle.train, aestyle.evaluate, aestyle.sample, aestyle.reconstruct;"
    code += "print([m for m in ('torch', 'pytorch_lightning', 'numpy', 'PIL', 'hydra') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_benchmarks_and_experiments_find_what_they_import() -> None:
    top = PACKAGE.parent
    modules = sorted(
        ".".join(path.relative_to(top).with_suffix("").parts)
        for folder in ("benchmarks", "experiments")
        for path in (top / folder).rglob("*.py")
        if not path.stem.startswith("__")
    )
    code = "import importlib\nfor name in " + repr(modules) + ":\n    importlib.import_module(name)"
    done = subprocess.run([sys.executable, "-c", code], cwd=top, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
