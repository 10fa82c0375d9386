"""The one exception that a user is meant to read."""


class UserError(Exception):
    """Something the user can mend: one line that names the file or option and the fix.

    The commands print it without a traceback and end with exit code 2.
    """


class NotOffered(UserError):  # noqa: N818 (says what the model is like)
    """The model has no such part or space: what was asked for has no meaning for it."""


class TrainingAborted(RuntimeError):  # noqa: N818 (a state, not a mistake of the caller)
    """Training cannot go on (non-finite gradients K times in a row); the last good checkpoint is intact."""
