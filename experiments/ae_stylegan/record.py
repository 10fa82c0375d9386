"""``RESULTS.md``: what the recorded runs say, put together from their result files.

``python -m experiments.ae_stylegan.record --scale cpu`` (from the top of the checkout) writes tables, claims and
figures into ``experiments/ae_stylegan/out/<scale>/`` and ``RESULTS.md`` beside it (``RESULTS_paper.md`` at paper
scale).
Text by hand belongs into ``ANALYSIS.md`` (``ANALYSIS_paper.md``), which is included as it stands; nothing else of the
document is written by hand, and no number in it comes from anywhere but the result files and ``paper.yaml``.
"""

from collections.abc import Sequence

from rich.console import Console

from aestyle.studies.claims import Judgement, cautions, details, in_lines, summary, write_claims
from aestyle.studies.figures import Picture, draw_all
from aestyle.studies.recording import Noted, everything, put_together, read_text, runs_table, shown, write_tables
from aestyle.studies.results import Results
from aestyle.studies.tables import Table
from experiments.ae_stylegan import adam
from experiments.ae_stylegan.claims import judge_all, printed_ratios
from experiments.ae_stylegan.figures import all_pictures
from experiments.ae_stylegan.options import Options, command
from experiments.ae_stylegan.paper import Paper
from experiments.ae_stylegan.tables import all_tables

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
    everything(results).write(options.output, "everything")
    judgements = judge_all(results, paper, options.scale)
    said = printed_ratios(paper)
    write_claims(judgements, said, options.output)
    pictures = all_pictures(results, paper, options.scale)
    _, left_out = draw_all(pictures, options.output)
    adam.write(results, options.output)
    suffix = "" if options.scale == "cpu" else f"_{options.scale}"
    analysis = read_text(options.folder / f"ANALYSIS{suffix}.md")
    target = options.folder / f"RESULTS{suffix}.md"
    claims = summary(judgements, said)
    target.write_text(document(results, options, tables, claims, judgements, pictures, analysis), encoding="utf-8")
    Console().print(*in_lines(judgements), *left_out, f"{target} is written", sep="\n", soft_wrap=True, highlight=False)


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
    holds = (
        "A comparison holds, or does not, where Welch's t-test over seeds gives p < 0.05, and is undecidable "
        "otherwise; a claim holds if all its comparisons do. The rules stand at the top of `claims.py`, the bounds "
        "in `statements.py`."
    )
    where = options.output.relative_to(options.folder).as_posix()
    sections = {
        "What holds": [holds, "", claims.to_markdown(), *(f"{text}\n" for text in cautions(judgements))],
        "Tables": [noted.to_markdown() for noted in tables],
        "Figures": shown(pictures, options.output, where),
        "Behind the claims and the tables": [
            details(judgements).to_markdown(),
            read_text(options.output / f"{adam.NAME}.md"),
            runs_table(results).to_markdown(),
            f"Every metric of every run: [{where}/everything.csv]({where}/everything.csv).",
            "",
        ],
    }
    return put_together("AE-StyleGAN", COMMANDS, results, analysis, sections)


if __name__ == "__main__":
    command(main, __doc__)
