"""What every ``RESULTS.md`` is put together from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from aestyle.studies.claims import Judgement, cautions, details, in_lines, summary, write_claims
from aestyle.studies.figures import Picture, draw_all
from aestyle.studies.results import Results
from aestyle.studies.showing import Options
from aestyle.studies.tables import MISSING, Cell, Table

PROTOCOL = "How these runs differ from the paper's"


@dataclass(frozen=True)
class Noted:
    """A table, the name of its files, and what has to be known to read it."""

    name: str
    table: Table
    notes: tuple[str, ...]

    def to_markdown(self) -> str:
        """The table with its notes below."""
        return self.table.to_markdown() + "".join(f"\n{note}\n" for note in self.notes)


def write_tables(tables: Sequence[Noted], folder: Path) -> None:
    """Writes ``<name>.md``, with the notes, and ``<name>.csv`` for each."""
    for noted in tables:
        noted.table.write(folder, noted.name)
        (folder / f"{noted.name}.md").write_text(noted.to_markdown(), encoding="utf-8")


def show_tables(tables: Sequence[Noted], results: Results, folder: Path) -> None:
    """Prints tables and writes them, and every metric of every run as ``everything``."""
    write_tables(tables, folder)
    everything(results).write(folder, "everything")
    console = Console()
    console.width = max(console.width, 180)  # a wide table that a terminal wraps is easier to read than a squeezed one
    for noted in tables:
        console.print(noted.table.to_rich(), *noted.notes, sep="\n")


@dataclass(frozen=True)
class Record:
    """All that is shown of a study's results.

    Args:
        title: what is reproduced.
        commands: how to make it, with ``{scale}`` where the scale goes.
        tables: with what has to be known to read them.
        pictures: what can be drawn where the runs are.
        rules: how claims are decided.
        judgements: the claims; a study may have none.
        said: how the paper's numbers stand to each of them.
        behind: more text at the end.
        protocol: what ``PROTOCOL.md`` tells.
    """

    title: str
    commands: str
    tables: Sequence[Noted]
    pictures: Sequence[Picture]
    rules: str = ""
    judgements: Sequence[Judgement] = ()
    said: Sequence[str] = ()
    behind: Sequence[str] = ()
    protocol: str = PROTOCOL

    def write(self, results: Results, options: Options) -> None:
        """Writes tables, claims and figures into the study's ``out/<scale>`` and ``RESULTS.md`` beside it.

        What holds, and what could not be drawn, is printed.
        """
        write_tables(self.tables, options.output)
        everything(results).write(options.output, "everything")
        if self.judgements:
            write_claims(self.judgements, self.said, options.output)
        _, left_out = draw_all(self.pictures, options.output)
        suffix = "" if options.scale == "cpu" else f"_{options.scale}"
        analysis = read_text(options.folder / f"ANALYSIS{suffix}.md")
        target = options.folder / f"RESULTS{suffix}.md"
        sections = self._sections(results, options)
        text = put_together(self.title, self.commands, results, analysis, sections, self.protocol)
        target.write_text(text, encoding="utf-8")
        told = [*in_lines(self.judgements), *left_out, f"{target} is written"]
        Console().print(*told, sep="\n", soft_wrap=True, highlight=False)

    def _sections(self, results: Results, options: Options) -> dict[str, Sequence[str]]:
        where = options.output.relative_to(options.folder).as_posix()
        claims, comparisons = list[str](), list[str]()
        if self.judgements:
            claims = [summary(self.judgements, self.said).to_markdown(), *(f"{c}\n" for c in cautions(self.judgements))]
            comparisons = [details(self.judgements).to_markdown()]
        return {
            **({"What holds": [self.rules, "", *claims]} if claims else {}),
            "Tables": [noted.to_markdown() for noted in self.tables],
            "Figures": shown(self.pictures, options.output, where),
            f"Behind the {'claims and the ' if claims else ''}tables": [
                *comparisons,
                *self.behind,
                runs_table(results).to_markdown(),
                f"Every metric of every run: [{where}/everything.csv]({where}/everything.csv).",
                "",
            ],
        }


def everything(results: Results) -> Table:
    """Every metric of every run."""
    runs = dict.fromkeys(job.run for job in results.jobs)
    rows: list[tuple[str | Cell, ...]] = []
    for run in runs:
        found = [result["metrics"] for (name, _), result in results.found.items() if name == run]
        names = dict.fromkeys(metric for metrics in found for metric in metrics)
        rows += [(run, metric, Cell.of(results.value(run, metric))) for metric in names]
        rows += [] if names else [(run, "", MISSING)]
    return Table("Every metric of every run", ("run", "metric", "value"), tuple(rows))


def put_together(
    paper: str,
    commands: str,
    results: Results,
    analysis: str,
    sections: Mapping[str, Sequence[str]],
    protocol: str = PROTOCOL,
) -> str:
    """The text of ``RESULTS.md``.

    Args:
        paper: what is reproduced.
        commands: how to make it, with ``{scale}`` where the scale goes.
        results: the recorded runs.
        analysis: what people wrote about it; may be empty.
        sections: lines below each heading.
        protocol: what ``PROTOCOL.md`` tells.
    """
    missing = results.missing()
    absent = f"Missing: {', '.join(missing)}." if missing else "Every run of the study is there."
    return "\n".join(
        [
            f"# {paper} at scale={results.scale}: what the runs say",
            "",
            f"<!-- Written by experiments/{results.study.name}/record.py; text by hand belongs into ANALYSIS.md. -->",
            "",
            commands.format(scale=results.scale),
            f"{cost(results)} {absent} Entries are mean ± standard deviation over seeds (how many seeds). "
            f"{protocol}: [PROTOCOL.md](PROTOCOL.md).",
            "",
            *([analysis.strip(), ""] if analysis.strip() else []),
            *(line for heading, lines in sections.items() for line in (f"## {heading}", "", *lines)),
        ]
    )


def shown(pictures: Sequence[Picture], folder: Path, where: str) -> list[str]:
    """Lines that show the pictures whose PNG is there, also where this machine could not draw it again.

    Args:
        pictures: all there may be.
        folder: where the PNG files are.
        where: the same as seen from the document.
    """
    there = [picture for picture in pictures if (folder / f"{picture.name}.png").exists()]
    lines = [f"**{p.caption}**\n\n![{p.caption}]({where}/{p.name}.png)\n" for p in there]
    return lines or ["None has been drawn yet.\n"]


def cost(results: Results) -> str:
    """Machine hours of all runs, in a sentence; a result that two runs share counts once."""
    own = {result["folder"]: result for result in results.found.values()}.values()
    trained, measured = (sum(r[f"{name}_seconds"] for r in own) / 3600 for name in ("train", "evaluate"))
    machines = dict.fromkeys(_machine(result["machine"]) for result in own)
    on = f" on {'; '.join(machines)}" if machines else ""
    return f"{len(own)} trainings took {trained:.1f} hours, their evaluation {measured:.1f} hours{on}."


def runs_table(results: Results) -> Table:
    """One row a run: seeds, length, speed, time, size."""
    rows: list[tuple[str | Cell, ...]] = []
    for run in dict.fromkeys(job.run for job in results.jobs):
        found = [result for (name, _), result in sorted(results.found.items()) if name == run]
        if not found:
            rows.append((run, MISSING, "", Cell(), Cell(), Cell(), ""))
            continue
        seeds = ", ".join(str(result["seed"]) for result in found)
        speed = [r["images_per_second"] for r in found if r["images_per_second"]]
        minutes = [[r[f"{name}_seconds"] / 60 for r in found] for name in ("train", "evaluate")]
        size = f"{sum(found[0]['parameters'].values()):,}"
        rows.append((run, seeds, f"{found[0]['kimg']:g}", Cell.of(speed), *map(Cell.of, minutes), size))
    columns = ("run", "seeds", "kimg", "images/s", "minutes of training", "minutes of evaluation", "parameters")
    return Table("Runs", columns, tuple(rows))


def read_text(path: Path) -> str:
    """The content of a file; nothing if there is none."""
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _machine(facts: dict[str, Any]) -> str:
    """A machine as recorded: GPU, or processor and threads."""
    processor = facts.get("gpu") or f"{facts.get('cpu')} ({facts.get('threads')} threads)"
    return f"{processor}, torch {facts.get('torch')}"
