"""A provider of OpenID Connect as a small application: it gives codes, signs tokens, and lies where it is told to."""

from __future__ import annotations

import secrets
import threading
import time
from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from flask import Flask, jsonify, request
from werkzeug.serving import make_server

CLIENT, SECRET = "metaloom", "a secret of the provider"


class Provider:
    """``person`` is who sits before it; ``lie(claims, head)`` changes the next token; ``key`` signs it."""

    def __init__(self) -> None:
        self.key, self.other = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
        self.person: dict[str, Any] = {}
        self.lie: Any = lambda claims, head: None
        self.described: dict[str, Any] = {}
        self.signed_by, self.codes, self.away = self.key, {}, 0
        self.asked, self.kid, self.slow = [], "one", 0.0
        app = Flask("provider")
        app.add_url_rule("/.well-known/openid-configuration", view_func=self._describe)
        app.add_url_rule("/keys", view_func=self._keys)
        app.add_url_rule("/token", view_func=self._token, methods=["POST"])
        self.server = make_server("127.0.0.1", 0, app, threaded=True)
        self.issuer = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def _describe(self) -> Any:
        self.asked.append("description")
        time.sleep(self.slow)
        if self.away:
            return "", self.away
        return jsonify({"issuer": self.issuer, "authorization_endpoint": f"{self.issuer}/authorize", "token_endpoint": f"{self.issuer}/token",
                        "jwks_uri": f"{self.issuer}/keys", **self.described})

    def _keys(self) -> Any:
        self.asked.append("keys")
        return jsonify({"keys": [{**jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True), "kid": self.kid, "use": "sig", "alg": "RS256"}]})

    def authorize(self, asked: dict[str, str]) -> str:
        """The person agrees: a code that serves once."""
        assert asked["response_type"] == "code" and asked["code_challenge_method"] == "S256" and "openid" in asked["scope"].split()
        code = secrets.token_urlsafe(12)
        self.codes[code] = dict(asked)
        return code

    def _token(self) -> Any:
        asked = self.codes.pop(request.form["code"], None)
        right = asked is not None and request.form["client_secret"] == SECRET and request.form["redirect_uri"] == asked["redirect_uri"] and \
            urlsafe_b64encode(sha256(request.form["code_verifier"].encode()).digest()).rstrip(b"=").decode() == asked["code_challenge"]
        if not right:
            return jsonify({"error": "invalid_grant"}), 400
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": asked["nonce"], **self.person}
        head: dict[str, Any] = {"kid": self.kid, "alg": "RS256", "key": self.signed_by}
        self.lie(claims, head)
        token = jwt.encode(claims, head.pop("key"), algorithm=head.pop("alg"), headers=head)
        return jsonify({"id_token": token, "access_token": "x", "token_type": "Bearer"})
