"""``RESULTS.md``: what the recorded runs say, put together from their result files.

``python -m experiments.ae_stylegan.record --scale cpu`` (from the top of the checkout) writes tables, claims and
figures into ``experiments/ae_stylegan/out/<scale>/`` and ``RESULTS.md`` beside it (``RESULTS_paper.md`` at paper
scale).
Text by hand belongs into ``ANALYSIS.md`` (``ANALYSIS_paper.md``), which is included as it stands; nothing else of the
document is written by hand, and no number in it comes from anywhere but the result files and ``paper.yaml``.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from aestyle.studies.results import Results
from aestyle.studies.tables import MISSING, Cell, Table
from experiments.ae_stylegan import adam
from experiments.ae_stylegan.claims import Judgement, cautions, details, in_lines, judge_all, summary, write_claims
from experiments.ae_stylegan.figures import Picture, all_pictures, draw_all
from experiments.ae_stylegan.options import Options, command
from experiments.ae_stylegan.paper import Paper
from experiments.ae_stylegan.tables import Layout, Noted, all_tables, write_tables

COMMANDS = """```
python -m aestyle.study path=experiments/ae_stylegan scale={scale}      # runs what is missing
python -m experiments.ae_stylegan.record --scale {scale}                # this file, tables, claims, pictures
python -m experiments.ae_stylegan.tables --scale {scale}                # the tables alone; likewise claims, figures
```
"""


def main(options: Options) -> None:
    """Writes everything that can be made from the results that are there."""
    results, paper = options.results(), Paper.load()
    tables = all_tables(results, paper, options.scale)
    write_tables(tables, options.output)
    Layout(results, paper, options.scale).everything().write(options.output, "everything")
    judgements = judge_all(results, paper, options.scale)
    write_claims(judgements, paper, options.output)
    pictures = all_pictures(results, paper, options.scale)
    _, left_out = draw_all(pictures, options.output)
    adam.write(results, options.output)
    suffix = "" if options.scale == "cpu" else f"_{options.scale}"
    analysis = read_text(options.folder / f"ANALYSIS{suffix}.md")
    target = options.folder / f"RESULTS{suffix}.md"
    claims = summary(judgements, paper)
    target.write_text(document(results, options, tables, claims, judgements, pictures, analysis), encoding="utf-8")
    said = [*in_lines(judgements), *left_out, f"{target} is written"]
    Console().print(*said, sep="\n", soft_wrap=True, highlight=False)


def document(
    results: Results,
    options: Options,
    tables: Sequence[Noted],
    claims: Table,
    judgements: Sequence[Judgement],
    pictures: Sequence[Picture],
    analysis: str,
) -> str:
    """The text of ``RESULTS.md``.

    Args:
        results: the recorded runs.
        options: where things are.
        tables: Tables 1 to 5.
        claims: one row a claim.
        judgements: the claims.
        pictures: those whose PNG is there are shown, also where this machine could not draw it again.
        analysis: what people wrote about it; may be empty.
    """
    missing = results.missing()
    absent = f"Missing: {', '.join(missing)}." if missing else "Every run of the study is there."
    shown = [p for p in pictures if (options.output / f"{p.name}.png").exists()]
    where = options.output.relative_to(options.folder).as_posix()
    return "\n".join(
        [
            f"# AE-StyleGAN at scale={options.scale}: what the runs say",
            "",
            "<!-- Written by experiments/ae_stylegan/record.py; text by hand belongs into ANALYSIS.md. -->",
            "",
            COMMANDS.format(scale=options.scale),
            f"{cost(results)} {absent} Entries are mean ± standard deviation over seeds (how many seeds). "
            "How these runs differ from the paper's: [PROTOCOL.md](PROTOCOL.md).",
            "",
            *([analysis.strip(), ""] if analysis.strip() else []),
            "## What holds",
            "",
            "A comparison holds, or does not, where Welch's t-test over seeds gives p < 0.05, and is undecidable "
            "otherwise; a claim holds if all its comparisons do. The rules stand at the top of `claims.py`, the bounds "
            "in `statements.py`.",
            "",
            claims.to_markdown(),
            *(f"{text}\n" for text in cautions(judgements)),
            "## Tables",
            "",
            *(noted.to_markdown() for noted in tables),
            "## Figures",
            "",
            *(f"**{p.caption}**\n\n![{p.caption}]({where}/{p.name}.png)\n" for p in shown),
            *([] if shown else ["None has been drawn yet.\n"]),
            "## Behind the claims and the tables",
            "",
            details(judgements).to_markdown(),
            read_text(options.output / f"{adam.NAME}.md"),
            runs_table(results).to_markdown(),
            f"Every metric of every run: [{where}/everything.csv]({where}/everything.csv).",
            "",
        ]
    )


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


if __name__ == "__main__":
    command(main, __doc__)
