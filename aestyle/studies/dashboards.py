"""Layouts of W&B's workspace for a paper's runs: from ``dashboard.yaml`` through W&B's own library to JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from aestyle.errors import UserError

LAYOUT = "dashboard.yaml"
AXIS = "progress/kimg"
KINDS = ("lines", "media", "match")
COLUMNS = 3


@dataclass(frozen=True)
class Panel:
    """One panel of a dashboard.

    Args:
        title: heading.
        lines: names of numbers that it draws over kimg.
        media: names of pictures, films or histograms that it shows.
        match: pattern of names of numbers that it draws.
        log: whether its numbers are on a logarithmic scale.
    """

    title: str
    lines: tuple[str, ...] = ()
    media: tuple[str, ...] = ()
    match: str = ""
    log: bool = False


@dataclass(frozen=True)
class Dashboard:
    """What is shown of a paper's runs.

    Args:
        title: its name.
        method: a method whose runs have everything that is shown.
        sections: panels under their headings.
    """

    title: str
    method: str
    sections: Mapping[str, Sequence[Panel]]

    @classmethod
    def load(cls, folder: Path) -> "Dashboard":
        """Reads ``dashboard.yaml``.

        Args:
            folder: the study's folder.

        Raises:
            UserError: there is no such file, or it cannot be understood.
        """
        path = folder / LAYOUT
        if not path.is_file():
            raise UserError(f"{path}: there is no such file; copy that of another study and say what yours shows")
        content = OmegaConf.to_container(OmegaConf.load(path))
        try:
            sections = {
                str(name): tuple(_panel(panel) for panel in panels)
                for name, panels in content["sections"].items()  # type: ignore[index,call-overload,union-attr]
            }
            return cls(str(content["title"]), str(content["method"]), sections)  # type: ignore[index,call-overload]
        except (KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"{path}: cannot be understood ({error}); it has title, method and sections of panels, each with "
                f"a title and one of {', '.join(KINDS)}"
            ) from error

    @property
    def panels(self) -> list[Panel]:
        """All panels."""
        return [panel for panels in self.sections.values() for panel in panels]

    def workspace(self, entity: str, project: str) -> Any:
        """The dashboard in the words of W&B's library (``wandb_workspaces.workspaces.Workspace``).

        Runs of one group, which are the seeds of one run of a study, are drawn together.

        Args:
            entity: user or team.
            project: project.

        Raises:
            UserError: the library is not installed.
        """
        if find_spec("wandb_workspaces") is None:
            raise UserError("dashboards need W&B's library for them: pip install 'aestyle[dashboards]'")
        import wandb_workspaces.workspaces as ws

        return ws.Workspace(
            entity=entity,
            project=project,
            name=self.title,
            sections=[
                ws.Section(name=name, panels=_placed(panels), is_open=True) for name, panels in self.sections.items()
            ],
            settings=ws.WorkspaceSettings(x_axis=AXIS),
            runset_settings=ws.RunsetSettings(groupby=[ws.Metric("group")]),
        )

    def to_json(self, entity: str, project: str) -> str:
        """The workspace as W&B's library sends it; the same text every time."""
        view = self.workspace(entity, project)._to_model()
        return (
            json.dumps(_steady(view.model_dump(mode="json", by_alias=True, exclude_none=True), count()), indent=1)
            + "\n"
        )


def _panel(content: Mapping[str, Any]) -> Panel:
    plain: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in content.items()}
    panel = Panel(**plain)
    if sum(bool(getattr(panel, kind)) for kind in KINDS) != 1:
        raise TypeError(f"{panel.title} has not exactly one of {', '.join(KINDS)}")
    return panel


def _placed(panels: Sequence[Panel]) -> list[Any]:
    """W&B's panels, three in a row."""
    import wandb_workspaces.reports.v2 as wr

    placed: list[Any] = []
    for i, panel in enumerate(panels):
        layout = wr.Layout(x=8 * (i % COLUMNS), y=6 * (i // COLUMNS), w=8, h=6)
        if panel.media:
            placed.append(
                wr.MediaBrowser(title=panel.title, media_keys=list(panel.media), num_columns=1, layout=layout)
            )
        else:
            plot = wr.LinePlot(title=panel.title, x=AXIS, title_x="kimg", layout=layout, y=list(panel.lines))
            plot.metric_regex = panel.match or None
            plot.log_y = panel.log or None
            placed.append(plot)
    return placed


def _steady(node: Any, numbers: "count[int]") -> Any:
    """Numbers in place of the random identifiers of panels."""
    if isinstance(node, dict):
        return {k: f"panel{next(numbers):02d}" if k == "__id__" else _steady(v, numbers) for k, v in node.items()}
    return [_steady(child, numbers) for child in node] if isinstance(node, list) else node


def write_dashboard(folder: Path, output: Path, entity: str, project: str, upload: bool = False) -> Path:
    """Writes a study's dashboard as JSON, ``<name of the folder>.json``; gives back its path.

    Args:
        folder: the study's folder.
        output: folder for the file.
        entity: user or team in W&B.
        project: project in W&B.
        upload: also saves it as a view of that project, which needs an account and the network.

    Raises:
        UserError: there is no layout, or W&B's library is not installed.
    """
    dashboard = Dashboard.load(folder)
    path = output / f"{folder.resolve().name}.json"
    text = dashboard.to_json(entity, project)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    if upload:
        dashboard.workspace(entity, project).save()
    return path
