"""What htmx may do on our pages: nothing that the Content-Security-Policy forbids."""

import json
import re
from pathlib import Path

BASE = Path(__file__).parents[2] / "templates" / "base.html"


def test_htmx_copies_no_style_attribute_and_evaluates_no_text():
    """By default it clones ``style`` attributes when it swaps a form that came back: the policy blocks and reports them."""
    found = re.search(r"<meta name=\"htmx-config\" content='([^']+)'>", BASE.read_text(encoding="utf-8"))
    assert found is not None
    config = json.loads(found[1])
    assert config["attributesToSettle"] == ["class"]
    assert (config["allowEval"], config["includeIndicatorStyles"], config["selfRequestsOnly"]) == (False, False, True)
