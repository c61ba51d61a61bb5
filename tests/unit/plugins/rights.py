# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rights that calls of AWS need, and those that a module's page lists: in its notes that begin with IAM actions."""

from __future__ import annotations

import importlib
import re
import sys
from functools import cache
from typing import Any

import botocore
import botocore.session
import yaml

from ansible_collections.gpuops.runpod.tests.sandbox.policies import TAGGING, TOGETHER

MODULES = "ansible_collections.gpuops.runpod.plugins.modules."
FOR_EVERYBODY = {"sts:GetCallerIdentity"}  # needs no permission
PULL_USER = {"ecr:GetAuthorizationToken", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"}  # by its policy
CONDITION_KEYS = {"iam:PolicyARN", "iam:PermissionsBoundary"}


@cache
def operations(service: str) -> dict[str, str]:
    """Return AWS' own names of a service's operations, by those in boto3."""
    model = botocore.session.get_session().get_service_model(service)
    return {botocore.xform_name(operation): operation for operation in model.operation_names}


def needed(service: str, operation: str, request: dict[str, Any]) -> set[str]:
    """Return the IAM actions that one call needs."""
    action = f"{service}:{operations(service)[operation]}"
    tagged = request.get("Tags") or request.get("tags")
    tagging = {TAGGING[action]} if tagged and action in TAGGING else set()
    return ({action} | tagging | TOGETHER.get(action, set())) - FOR_EVERYBODY


@cache
def listed(module: str, beginning: str = "IAM actions") -> frozenset[str]:
    """Return the IAM actions that the notes of a module's page list that begin so."""
    documentation = yaml.safe_load(importlib.import_module(MODULES + module).DOCUMENTATION)
    return named(" ".join(note for note in documentation["notes"] if note.startswith(beginning)))


def named(text: str) -> frozenset[str]:
    """Return the actions that a text of a page names. A condition key beside them is none."""
    return frozenset(re.findall(r"C\(([a-z-]+:[A-Z][A-Za-z]+)\)", text)) - CONDITION_KEYS


def calling_module() -> str | None:
    """Return the module that is being run, if any."""
    frame = sys._getframe()
    while frame := frame.f_back:
        name = frame.f_globals.get("__name__", "")
        if name.startswith(MODULES):
            return name.removeprefix(MODULES)
        if name.startswith("_pytest."):  # which called the test
            return None
    return None
