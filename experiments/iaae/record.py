"""``RESULTS.md``: what the recorded runs say, put together from their result files.

``python -m experiments.iaae.record --scale cpu`` (from the top of the checkout) writes tables, claims and figures into
``experiments/iaae/out/<scale>/`` and ``RESULTS.md`` beside it (``RESULTS_paper.md`` at paper scale).
Text by hand belongs into ``ANALYSIS.md`` (``ANALYSIS_paper.md``), which is included as it stands; nothing else of the
document is written by hand, and no number in it comes from anywhere but the result files and ``paper.yaml``.
"""

from rich.console import Console

from aestyle.studies.claims import cautions, details, in_lines, summary, write_claims
from aestyle.studies.figures import draw_all
from aestyle.studies.recording import everything, put_together, read_text, runs_table, shown, write_tables
from aestyle.studies.showing import Options, command
from experiments.iaae.claims import judge_all, printed_ratios
from experiments.iaae.figures import all_pictures
from experiments.iaae.paper import FOLDER, Paper
from experiments.iaae.tables import all_tables

COMMANDS = """```
python -m aestyle.study path=experiments/iaae scale={scale}      # runs what is missing
python -m experiments.iaae.record --scale {scale}                # this file, tables, claims, pictures
python -m experiments.iaae.tables --scale {scale}                # the tables alone; likewise claims, figures
```
"""

RULES = (
    "A comparison holds, or does not, where Welch's t-test over seeds gives p < 0.05, and is undecidable otherwise; a "
    "claim holds if all its comparisons do. The rules stand at the top of `aestyle/studies/claims.py`, the bounds in "
    "`statements.py`, which was fixed before the runs. The answer to which models differ from AAE by more than noise, "
    "with a correction for their number, is in the tables below."
)


def main(options: Options) -> None:
    """Writes everything that can be made from the results that are there."""
    results, paper = options.results(), Paper.load()
    tables, judgements, said = (
        all_tables(results, paper),
        judge_all(results, paper),
        printed_ratios(paper, options.scale),
    )
    write_tables(tables, options.output)
    everything(results).write(options.output, "everything")
    write_claims(judgements, said, options.output)
    pictures = all_pictures(results, paper)
    _, left_out = draw_all(pictures, options.output)
    suffix = "" if options.scale == "cpu" else f"_{options.scale}"
    where = options.output.relative_to(options.folder).as_posix()
    sections = {
        "What holds": [RULES, "", summary(judgements, said).to_markdown(), *(f"{c}\n" for c in cautions(judgements))],
        "Tables": [noted.to_markdown() for noted in tables],
        "Figures": shown(pictures, options.output, where),
        "Behind the claims and the tables": [
            details(judgements).to_markdown(),
            runs_table(results).to_markdown(),
            f"Every metric of every run: [{where}/everything.csv]({where}/everything.csv).",
            "",
        ],
    }
    analysis = read_text(options.folder / f"ANALYSIS{suffix}.md")
    target = options.folder / f"RESULTS{suffix}.md"
    target.write_text(put_together("IAAE", COMMANDS, results, analysis, sections), encoding="utf-8")
    Console().print(*in_lines(judgements), *left_out, f"{target} is written", sep="\n", soft_wrap=True, highlight=False)


if __name__ == "__main__":
    command(main, __doc__, FOLDER)
