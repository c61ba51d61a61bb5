# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lets runs share the archives that Ansible makes of modules, each compiled once: else every task compiles its own."""

from __future__ import annotations

import marshal
import os
import zipfile
from hashlib import sha256
from importlib.util import MAGIC_NUMBER, source_hash
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ansible import constants
from ansible.executor import module_common
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: archives
type: aggregate
short_description: Share the archives of modules between runs
description:
  - Ansible finds those of earlier runs in the folder that E(ARCHIVES) names, if it is set, and puts its own there.
"""


UNCHECKED = (1).to_bytes(4, "little")  # bytecode by a hash of its source which nobody compares


class Archive(zipfile.ZipFile):
    """Holds the bytecode of each source, beside it."""

    def writestr(self, zinfo_or_arcname: Any, data: Any, *rest: Any, **more: Any) -> None:
        super().writestr(zinfo_or_arcname, data, *rest, **more)
        name = getattr(zinfo_or_arcname, "filename", zinfo_or_arcname)
        if name.endswith(".py"):
            super().writestr(f"{name}c", bytecode(name, data.encode() if isinstance(data, str) else bytes(data)))


def bytecode(name: str, source: bytes) -> bytes:
    """Return what Python would cache of a source; most archives have most sources in common."""
    known = Path(os.environ["ARCHIVES"], f"{sha256(name.encode() + source).hexdigest()}.pyc")
    if not known.exists():
        code = marshal.dumps(compile(source, name, "exec", dont_inherit=True))
        own = known.with_suffix(f".{os.getpid()}")
        own.write_bytes(MAGIC_NUMBER + UNCHECKED + source_hash(source) + code)
        own.replace(known)  # whole for whoever reads it meanwhile
    return known.read_bytes()


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "archives"

    def v2_playbook_on_start(self, playbook: object) -> None:
        if folder := os.environ.get("ARCHIVES"):
            module_common.zipfile = SimpleNamespace(**{**vars(zipfile), "ZipFile": Archive})
            os.symlink(folder, os.path.join(constants.DEFAULT_LOCAL_TMP, "ansiballz_cache"))
