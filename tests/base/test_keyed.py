"""HMAC with a kept key is HMAC."""

import hashlib
import hmac

import pytest

from metaloom.base.keyed import Keyed


@pytest.mark.parametrize("name", ["sha1", "sha256"])
@pytest.mark.parametrize("key", [b"", b"k", b"k" * 32, bytes(range(64)), b"longer than a block " * 9])
def test_it_is_what_the_library_makes(name, key):
    keyed = Keyed(key, name)
    for value in (b"", "汉字".encode(), b"x" * 1000):
        for _ in range(2):
            assert keyed.digest(value) == hmac.digest(key, value, getattr(hashlib, name))
