"""What stands on paper, and the one maker of PDF files: it is given words and knows nothing of records."""

from metaloom.printing.draw import draw
from metaloom.printing.sheet import Block, Facts, Head, Line, Sheet, Signs, Table, Words
from metaloom.printing.template import STAMPS, default_template

__all__ = ["STAMPS", "Block", "Facts", "Head", "Line", "Sheet", "Signs", "Table", "Words", "default_template", "draw"]
