"""A provider with a memory of its own in a folder: every call it got is a file, and what it shall do next stands in one."""

import json
import os
import time
import uuid

from metaloom.plugin.data_provider import DataReply


class Oracle:
    def __init__(self, environment):
        self.folder = environment.folder / "oracle"
        self.folder.mkdir(parents=True, exist_ok=True)

    def methods(self):
        return ("credit",)

    def calls(self):
        """Every call as it came: reference and subject, in order."""
        found = [json.loads(file.read_text()) for file in self.folder.glob("call-*.json")]
        return sorted(found, key=lambda call: call["at"])

    def plan(self, *words):
        """What happens with the next calls: found, not_found, lost, slow, nonsense."""
        (self.folder / "plan.json").write_text(json.dumps(list(words)))

    def fetch(self, request):
        (self.folder / f"call-{uuid.uuid4().hex}.json").write_text(json.dumps(
            {"reference": request.reference, "subject": dict(request.subject), "method": request.method, "at": time.time_ns(), "pid": os.getpid()}))
        plan = self.folder / "plan.json"
        words = json.loads(plan.read_text()) if plan.exists() else []
        word = words.pop(0) if words else "found"
        if plan.exists():
            plan.write_text(json.dumps(words))
        if word == "lost":
            raise ConnectionResetError("gone")
        if word == "slow":
            time.sleep(1)
        if word == "nonsense":
            return "<html>"
        if word == "not_found":
            return DataReply(outcome="not_found", reference=request.reference)
        score = 80 if not word.startswith("score") else int(word[5:])
        return DataReply(outcome="found", reference=request.reference, provider_no="O1", values={"score": score})
