# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: who has the rights to pull. The calls for IAM's users and roles differ in that word alone.

from __future__ import annotations

from typing import Any, NamedTuple

from .._aws.answer import Answer
from .._aws.client import Aws

USER, ROLE = "user", "role"
INLINE_LIMITS = {USER: 2048, ROLE: 10240}  # characters of all inline policies; IAM does not count white space


class Principal(NamedTuple):
    kind: str
    name: str

    @property
    def inline_limit(self) -> int:
        return INLINE_LIMITS[self.kind]

    @property
    def suffix(self) -> str:
        """Return what tells its managed policy from that of a user or role of the same name."""
        return self.name if self.kind == USER else f"{ROLE}-{self.name}"

    @property
    def owner(self) -> str:
        """Return what the tag of its managed policy says."""
        return self.name if self.kind == USER else f"{ROLE}/{self.name}"

    @property
    def _named(self) -> dict[str, Any]:
        return {f"{self.kind.title()}Name": self.name}

    def call(self, aws: Aws, operation: str, **request: Any) -> Answer:
        """An operation has {} where its name says user or role."""
        return aws.call("iam", operation.format(self.kind), **self._named, **request)

    def pages(self, aws: Aws, operation: str, key: str) -> list[Any]:
        return aws.pages("iam", operation.format(self.kind), key, **self._named)
