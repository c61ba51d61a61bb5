# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: what a policy says that lets pull, whoever holds it.

from __future__ import annotations

from collections.abc import Iterable

from .._core.errors import Json

PULL = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability"]
IMPORT = "ecr:BatchImportUpstreamImage"  # lets a first pull fill a pull-through cache


def pull_document(arns: Iterable[str], pull_through: bool = False) -> Json:
    """Return the least privilege to pull; without repositories only tokens are allowed."""
    actions = [*PULL, IMPORT] if pull_through else PULL
    statements: list[Json] = [
        {"Sid": "Token", "Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"}
    ]
    resources = sorted(set(arns))
    if resources:
        statements.append({"Sid": "Pull", "Effect": "Allow", "Action": actions, "Resource": resources})
    return {"Version": "2012-10-17", "Statement": statements}
