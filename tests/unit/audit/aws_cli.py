# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""As much of the AWS CLI as remedies use: options become members of a request, by the models of botocore.

It is also a program, for remedies that are typed into a shell; then the environment tells who calls what.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import boto3


def carry_out_by_api(client: Callable[[str, str], Any], words: list[str]) -> None:
    """Do what a command does, whose first word is the program's name."""
    options: dict[str, object] = {}
    rest, region = words[3:], "us-east-1"
    while rest:
        name, given = rest.pop(0), []
        while rest and not rest[0].startswith("--"):
            given.append(rest.pop(0))
        if name == "--region":
            [region] = given
            continue
        options["".join(map(str.capitalize, name[2:].split("-")))] = value_of(given)
    operation = words[2].replace("-", "_")
    service = client(words[1], region)
    members = service.meta.service_model.operation_model(
        service.meta.method_to_api_mapping[operation]
    ).input_shape.members
    named = {next(each for each in members if each.lower() == key.lower()): one for key, one in options.items()}
    getattr(service, operation)(**named)


def value_of(given: list[str]) -> object:
    """Return what the AWS CLI takes the words behind an option for."""
    if not given:
        return True
    if all("=" in each and each.startswith("Key=") for each in given):
        pairs = [dict(part.split("=", 1) for part in each.split(",", 1)) for each in given]
        return [{"Key": each["Key"], "Value": each["Value"]} for each in pairs]
    return given[0]


if __name__ == "__main__":
    carry_out_by_api(lambda service, region: boto3.client(service, region_name=region), sys.argv)
