# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re

from .._core.errors import InputError, Json
from .principal import ROLE, USER

TOKEN_HOURS = 12  # how long ECR's tokens live
MOST_DAYS = 36500
MOST_HOURS = 87600
MOST_SECONDS = 86400
NAME = re.compile(r"[\w+=,.@-]{1,64}", re.ASCII)
PATH = re.compile(r"/|/[!-~]{1,510}/")
BOUNDARY = re.compile(r"(?=.{20,2048}$)arn:aws[\w-]*:iam::(\d{12}|aws):policy/[!-~]+", re.ASCII)
PATH_PREFIX = re.compile(r"/[!-~]{0,511}")


def check_number(name: str, value: int | None, least: int, most: int, why: str = "") -> None:
    if value is not None and value < least:
        raise InputError(f"{name} is {value}: it must be at least {least}{why}.")
    if value is not None and value > most:
        raise InputError(f"{name} is {value}: it must be at most {most}.")


def check_name(name: str, kind: str = USER) -> None:
    if not NAME.fullmatch(name):
        raise InputError(f"name {name!r}: an IAM {kind}'s name is 1 to 64 of A-Z, a-z, 0-9 and _+=,.@-.")


def check_path(path: str) -> None:
    if not PATH.fullmatch(path):
        raise InputError(
            f"path {path!r}: it must begin and end with a slash, with printable ASCII without spaces between."
        )


def check_boundary(boundary: str | None) -> None:
    if boundary and not BOUNDARY.fullmatch(boundary):
        raise InputError(
            f"permissions_boundary {boundary!r}: it must be the ARN of a policy, such as "
            "arn:aws:iam::123456789012:policy/NAME, or empty for none."
        )


def check_role_options(params: Json) -> None:
    """Raise InputError for what IAM refuses."""
    check_name(params["name"], ROLE)
    check_path(params["path"])
    check_boundary(params["permissions_boundary"])
    check_number("propagation_timeout", params["propagation_timeout"], 0, MOST_SECONDS)


def check_options(params: Json) -> None:
    """Raise InputError for what IAM refuses, and for ages that would cut off what works."""
    check_name(params["name"])
    check_path(params["path"])
    check_boundary(params["permissions_boundary"])
    check_number("rotate_after_days", params["rotate_after_days"], 0, MOST_DAYS)
    token = ", the life of a token that was minted with the older key"
    check_number("retire_after_hours", params["retire_after_hours"], TOKEN_HOURS, MOST_HOURS, token)
    check_number("propagation_timeout", params["propagation_timeout"], 0, MOST_SECONDS)
