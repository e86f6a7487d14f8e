"""What stands on paper, and the one maker of PDF files: it is given words and knows nothing of records."""

from metaloom.printing.sheet import CELLS_MAX, Block, Facts, Head, Line, Sheet, Signs, Table, Words
from metaloom.printing.template import default_template

__all__ = ["CELLS_MAX", "Block", "Facts", "Head", "Line", "Sheet", "Signs", "Table", "Words", "default_template", "draw"]


def draw(sheet: Sheet) -> bytes:
    """The PDF of ``sheet``; see ``metaloom.printing.pdf``, which a process that prints nothing does not load (0.2 s)."""
    from metaloom.printing import pdf

    return pdf.draw(sheet)
