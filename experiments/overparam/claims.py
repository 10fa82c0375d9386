"""Which statements of ``PROTOCOL.md`` the recorded runs and inversions bear out.

``python -m experiments.overparam.claims --scale cpu`` (from the top of the checkout) prints them and writes them into
``experiments/overparam/out/<scale>/``. The comparisons and their bounds stand in ``statements.py``, the rules of their
verdicts in ``aestyle/studies/claims.py``.
"""

from aestyle.studies.claims import Judgement, judge, said_by_paper, show_claims
from aestyle.studies.results import Results
from aestyle.studies.showing import Options
from experiments.overparam.options import command
from experiments.overparam.paper import Paper
from experiments.overparam.statements import all_claims
from experiments.overparam.values import Values


def judge_all(results: Results, paper: Paper) -> list[Judgement]:
    """Every statement on the recorded runs of a scale."""
    values = Values(results, paper)
    return [judge(claim, values) for claim in all_claims()]


def printed_ratios(paper: Paper) -> list[str]:
    """How the paper's own numbers stand to each statement."""
    return said_by_paper(all_claims(), paper.value)


def main(options: Options) -> None:
    """Prints and writes the verdicts."""
    paper = Paper.load()
    judgements = judge_all(options.results(), paper)
    show_claims(judgements, printed_ratios(paper), options.output)


if __name__ == "__main__":
    command(main, __doc__)
