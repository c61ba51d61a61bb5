# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for the AWS CLI: it takes the arguments apart by botocore's models, and calls what AWS_ENDPOINT_URL names.

It knows the options of every operation, their JSON and the short form of structures, `--region`, and of a value that
begins with a dash that it must be joined to its option. It is stricter than the real one where that is more lenient.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

import boto3
import botocore.session
from botocore import xform_name
from botocore.validate import ParamValidator

OF_NO_REGION = {"iam"}
SHORT = re.compile(r"[\w./:@+\\-][\w./:@+=\\-]*", re.ASCII)


class UsageError(Exception):
    """The AWS CLI takes no such arguments."""


class Command(NamedTuple):
    service: str
    operation: str
    region: str | None
    parameters: dict[str, Any]


@cache
def _model(service: str) -> Any:
    session = botocore.session.get_session()
    if service not in session.get_available_services():
        raise UsageError(f"argument command: Invalid choice: {service}")
    return session.get_service_model(service)


def parse(words: Sequence[str], region: str | None = None) -> Command:
    """Take the words behind `aws` apart. Raises UsageError."""
    if len(words) < 2:
        raise UsageError("the following arguments are required: command")
    service, name, *rest = words
    model = _model(service)
    operations = {xform_name(each, "-"): each for each in model.operation_names}
    if name not in operations:
        raise UsageError(f"argument operation: Invalid choice: {name}")
    operation = model.operation_model(operations[name])
    members = dict(operation.input_shape.members) if operation.input_shape else {}
    known = {f"--{xform_name(member, '-')}": member for member in members}
    parameters: dict[str, Any] = {}
    for option, given in _options(rest):
        if option == "--region":
            region = _one(option, given)
        elif option in known:
            parameters[known[option]] = _value(option, members[known[option]], given)
        elif _negated(option, known, members):
            parameters[known[option.replace("--no-", "--", 1)]] = False
        else:
            raise UsageError(f"Unknown options: {option}")
    if service not in OF_NO_REGION and not region:
        raise UsageError("You must specify a region.")
    if operation.input_shape:
        report = ParamValidator().validate(parameters, operation.input_shape)
        if report.has_errors():
            raise UsageError(report.generate_report())
    return Command(service, operations[name], region, parameters)


def _negated(option: str, known: dict[str, str], members: dict[str, Any]) -> bool:
    member = known.get(option.replace("--no-", "--", 1))
    return member is not None and members[member].type_name == "boolean"


def _options(words: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield each option with its values, as argparse takes words apart."""
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not re.match(r"--[a-z]", word):
            raise UsageError(f"Unknown options: {word}")
        option, joined, value = word.partition("=")
        given = [value] if joined else []
        while not joined and rest and not rest[0].startswith("-"):
            given.append(rest.pop(0))
        yield option, given


def _one(option: str, given: list[str]) -> str:
    if len(given) != 1:
        raise UsageError(f"argument {option}: expected one argument, got {given}")
    if given[0].startswith(("file://", "fileb://")):
        raise UsageError(f"argument {option}: a file would be read: {given[0]}")
    return given[0]


def _value(option: str, shape: Any, given: list[str]) -> Any:
    kind = shape.type_name
    if kind == "boolean":
        if given:
            raise UsageError(f"argument {option}: takes no value: {given}")
        return True
    if kind == "list":
        return _listed(option, shape, given)
    text = _one(option, given)
    if kind in ("integer", "long"):
        return int(text)
    if kind in ("structure", "map"):
        return json.loads(text) if text.startswith("{") else _short(option, shape, text)
    return text


def _listed(option: str, shape: Any, given: list[str]) -> list[Any]:
    if len(given) == 1 and given[0].startswith("["):
        whole: list[Any] = json.loads(given[0])
        return whole
    if not given:
        raise UsageError(f"argument {option}: expected at least one argument")
    if shape.member.type_name == "structure":
        return [json.loads(each) if each.startswith("{") else _short(option, shape.member, each) for each in given]
    return [_one(option, [each]) for each in given]


def _short(option: str, shape: Any, text: str) -> dict[str, str]:
    """Read the short form of a structure of texts."""
    found = {}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        if not equals or not SHORT.fullmatch(value) or name not in shape.members:
            raise UsageError(f"Error parsing parameter {option!r}: {text}")
        found[name] = value
    return found


def call(command: Command, client: Any) -> Any:
    return getattr(client, xform_name(command.operation))(**command.parameters)


def main() -> int:
    try:
        command = parse(sys.argv[1:], os.environ.get("AWS_REGION"))
    except (UsageError, ValueError) as error:
        print(f"aws: error: {error}", file=sys.stderr)
        return 252
    session: Any = boto3.session.Session()
    client = session.client(command.service, region_name=command.region or "us-east-1")
    try:
        answer = call(command, client)
    except client.exceptions.ClientError as error:
        print(f"aws: {error}", file=sys.stderr)
        return 254
    answer.pop("ResponseMetadata", None)
    print(json.dumps(answer, default=str))
    return 0


if __name__ == "__main__":
    sys.exit(main())
