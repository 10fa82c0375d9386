"""Which statements of ``PROTOCOL.md`` the recorded runs bear out.

``python -m experiments.pioneer.claims --scale cpu`` (from the top of the checkout) prints them and writes them into
``experiments/pioneer/out/<scale>/``. The comparisons and their bounds stand in ``statements.py``, the rules of their
verdicts in ``aestyle/studies/claims.py``.
"""

from aestyle.studies.claims import Judgement, judge, said_by_paper, show_claims
from aestyle.studies.results import Results
from aestyle.studies.showing import Options, command
from experiments.pioneer.paper import FOLDER, Paper
from experiments.pioneer.statements import all_claims
from experiments.pioneer.values import Values


def judge_all(results: Results, paper: Paper) -> list[Judgement]:
    """Every statement on the recorded runs of a scale."""
    values = Values(results, paper)
    return [judge(claim, values) for claim in all_claims(results.scale)]


def printed_ratios(paper: Paper, scale: str) -> list[str]:
    """How the paper's own numbers stand to each statement."""
    return said_by_paper(all_claims(scale), paper.value)


def main(options: Options) -> None:
    """Prints and writes the verdicts."""
    paper = Paper.load()
    show_claims(judge_all(options.results(), paper), printed_ratios(paper, options.scale), options.output)


if __name__ == "__main__":
    command(main, __doc__, FOLDER)
