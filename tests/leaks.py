# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Holds what every run of the tests says against the secrets that the sandbox has handed out."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch
from urllib.parse import quote

from moto.iam.models import AccessKey

from tests.sandbox.server import Sandbox

SIGNED = "X-Amz-Signature="  # of an address that opens a layer to whoever has it


class Watch:
    """Knows each secret since it was last asked, and notes where one shows."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._issued: set[str] = set()
        self._shown: list[str] = []

    def handed_out(self) -> set[str]:
        given = self._sandbox.environment
        tokens = set(self._sandbox.aws.logins)
        logins = {base64.b64encode(f"AWS:{token}".encode()).decode() for token in tokens}
        keys = {given["RUNPOD_API_KEY"], given["AWS_SECRET_ACCESS_KEY"], *self._issued}
        return {*tokens, *logins, *keys, *(quote(each, safe="") for each in keys)}

    def look(self, who: str, text: str | bytes | None) -> None:
        said = text.decode(errors="replace") if isinstance(text, bytes) else text or ""
        self._shown += [f"{who} shows {secret[:4]}…" for secret in self.handed_out() if secret in said]
        if SIGNED in said:
            self._shown.append(f"{who} shows a signed address")

    def taken(self) -> list[str]:
        """Return what has shown since the last time, and forget it with the keys that there were."""
        found = list(self._shown)
        self._shown.clear()
        self._issued.clear()
        return found

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Look at what each process says that is waited for, and learn of each key that is made."""
        make, communicate = AccessKey.__init__, subprocess.Popen.communicate

        def making(key: Any, *given: Any, **options: Any) -> None:
            make(key, *given, **options)
            self._issued.add(key.secret_access_key)

        def communicating(process: Any, *given: Any, **options: Any) -> Any:
            said = communicate(process, *given, **options)
            for text in said:
                self.look(" ".join(map(str, process.args))[:200] if isinstance(process.args, list) else "a shell", text)
            return said

        with (
            patch.object(AccessKey, "__init__", making),
            patch.object(subprocess.Popen, "communicate", communicating),
        ):
            yield
