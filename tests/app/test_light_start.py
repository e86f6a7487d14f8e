"""What a process loads before its first page: nothing heavy that most of its requests never need."""

import json
import subprocess
import sys

HEAVY = ("redis", "rq", "ldap3", "xlsxwriter", "openpyxl", "reportlab", "pypinyin", "chinese_calendar", "email._header_value_parser")


def test_the_application_is_made_without_libraries_of_single_pages():
    script = "import json, sys, metaloom.app; print(json.dumps(sorted(sys.modules)))"
    loaded = json.loads(subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120).stdout)
    print(f"{len(loaded)} modules")
    assert "flask_appbuilder" in loaded and "metaloom.web.security" in loaded
    assert [name for name in HEAVY if name in loaded] == []
