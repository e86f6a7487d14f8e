"""A call of another system that says no length beforehand, as many senders do."""

import io
from types import SimpleNamespace

import pytest
from flask import Flask, g

from metaloom.api import outside
from metaloom.plugin.signed_notice import BODY_MAX


class Sipping(io.BytesIO):
    """Gives a few bytes at a time, as a slow line does."""

    def read(self, size=-1):
        return super().read(min(size, 7_000) if size >= 0 else 7_000)


@pytest.mark.parametrize(("size", "stream", "status"), [
    (20, io.BytesIO, 200), (BODY_MAX, io.BytesIO, 200), (BODY_MAX, Sipping, 200), (BODY_MAX + 1, io.BytesIO, 413), (BODY_MAX * 3, Sipping, 413)])
def test_a_call_in_chunks_is_taken_whole_up_to_the_limit(monkeypatch, size, stream, status):
    taken = []
    monkeypatch.setattr(outside, "receive_call", lambda *given, **more: taken.append(given[3].body) or outside.said((200, "done")))
    app = Flask("outside")
    app.register_blueprint(outside.blueprint)
    app.before_request(lambda: setattr(g, "metaloom", SimpleNamespace(release=lambda: None, tenant=None, clock=None, request_id="")))
    answer = app.test_client().post("/hook/till", input_stream=stream(b"x" * size), environ_overrides={
        "wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"})
    assert answer.status_code == status
    assert taken == ([b"x" * size] if status == 200 else [])
