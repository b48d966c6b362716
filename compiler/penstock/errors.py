"""What the compiler says when the user's input can't be worked with."""

LONGEST = 1000
"""Characters of each part of an error: a name in a damaged file can be of any length."""


class PenstockError(Exception):
    """A fault in what the user gave: what is wrong, where, and what to try.

    Faults of Penstock itself are ordinary exceptions with a traceback.
    """

    def __init__(self, what: str, where: str = "", hint: str = "") -> None:
        self.what, self.where, self.hint = map(_shortened, (what, where, hint))
        super().__init__(self.line())

    def line(self) -> str:
        """The whole message on one line, as the command line prints it after ``error:``."""
        where = f" ({self.where})" if self.where else ""
        hint = f"; hint: {self.hint}" if self.hint else ""
        return f"{self.what}{where}{hint}"


def _shortened(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    return f"{text[: LONGEST // 2]} ... {text[-LONGEST // 2 :]}"
