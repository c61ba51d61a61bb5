# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import Json
from ansible_collections.gpuops.runpod.plugins.module_utils._oci.secret_scan import Suspect, suspected_secrets

KEY = "AKIAIOSFODNN7EXAMPLE"
TOKEN = "hf_" + 34 * "a"


def env(*entries: str) -> Json:
    return {"config": {"Env": list(entries)}}


def steps(*texts: str) -> Json:
    return {"history": [{"created_by": text} for text in texts]}


@pytest.mark.parametrize(
    "configuration",
    [
        {},
        {"config": None, "history": None},
        {"history": [{}, {"created_by": None}]},
        env("PATH=/usr/bin:/bin", "LANG=C.UTF-8", "GPG_KEY=7169605F62C751356D054A26A821E680E5FA6305"),
        env("PYTHON_SHA256=" + 64 * "a", "TOKENIZERS_PARALLELISM=false", "AWS_WEB_IDENTITY_TOKEN_FILE=/var/run/token"),
        env(
            "HF_TOKEN=", "API_KEY=$KEY", "API_KEY=${KEY}", "PASSWORD_FILE=x", "SECRET=/run/secrets/x", "MAX_TOKENS=4096"
        ),
        env("DB_PASSWORD=<yours>", "SECRET=true", 'TOKEN=""', "NO_EQUALS_TOKEN"),
        steps(
            "ARG HF_TOKEN",
            "RUN /bin/sh -c pip install x # buildkit",
            "RUN --mount=type=secret,id=token cat /run/secrets/token",
            'RUN TOKEN="$(cat /run/secrets/token)" curl https://example.com:8080/x@y',
        ),
    ],
)
def test_what_is_no_secret(configuration: Json) -> None:
    assert suspected_secrets(configuration) == []


@pytest.mark.parametrize(
    ("configuration", "suspect"),
    [
        (env("HF_TOKEN=abcdefgh"), Suspect("Env", "HF_TOKEN", "by its name")),
        (env("DB_PASSWORD=hunter22"), Suspect("Env", "DB_PASSWORD", "by its name")),
        (env("PGPASSWORD=hunter22"), Suspect("Env", "PGPASSWORD", "by its name")),
        (env("apikey=x1y2z3"), Suspect("Env", "apikey", "by its name")),
        (env("SECRET_ACCESS_KEY=/x1y2z3" + 33 * "a"), Suspect("Env", "SECRET_ACCESS_KEY", "by its name")),
        (env("SECRET_KEY_BASE=x1y2z3"), Suspect("Env", "SECRET_KEY_BASE", "by its name")),
        (env(f"AWS_ACCESS_KEY_ID={KEY}"), Suspect("Env", "AWS_ACCESS_KEY_ID", "AWS access key")),
        (env(f"HARMLESS={TOKEN}"), Suspect("Env", "HARMLESS", "Hugging Face token")),
        (env("URL=postgres://me:hunter22@db/x"), Suspect("Env", "URL", "password in an address")),
        (env("PEM=-----BEGIN RSA PRIVATE KEY-----\nx"), Suspect("Env", "PEM", "private key")),
        ({"config": {"Labels": {"token": "abcdefgh"}}}, Suspect("Labels", "token", "by its name")),
        (steps("FROM x", f"|1 HF_TOKEN={TOKEN} /bin/sh -c x"), None),
        (steps("x", f"/bin/sh -c login {TOKEN}"), Suspect("history, step 2", "", "Hugging Face token")),
        (steps("x", "RUN PASSWORD='two words' x"), Suspect("history, step 2", "PASSWORD", "by its name")),
        (steps("x", "curl https://me:hunter22@example.com"), Suspect("history, step 2", "", "password in an address")),
    ],
)
def test_what_looks_like_one(configuration: Json, suspect: Suspect | None) -> None:
    expected = suspect or Suspect("history, step 2", "HF_TOKEN", "Hugging Face token")
    found = suspected_secrets(configuration)
    assert found == [expected]
    shown = str(found[0])
    assert expected.kind in shown and expected.name in shown
    for secret in (KEY, TOKEN, "hunter22", "abcdefgh", "two words", "x1y2z3"):
        assert secret not in shown


def test_each_is_told_once() -> None:
    assert len(suspected_secrets(env("TOKEN=abcdefgh", "TOKEN=ijklmnop"))) == 1
