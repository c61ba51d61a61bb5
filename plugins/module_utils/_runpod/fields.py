# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: what templates and endpoints share.

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from .._core.errors import InputError, Json
from .command import LISTS, parsed
from .credential_names import credential

NO_DEFAULT: Any = object()
STRINGS: Json = {"type": "list", "elements": "str"}
CUDA_VERSION = re.compile(r"\d+\.\d+")
PORT = re.compile(r"(?P<number>[0-9]{1,5})/(http|tcp)")
LONGEST_WAIT = 86_400  # seconds


class Field(NamedTuple):
    """`default` is what RunPod gives a new thing that names none."""

    name: str
    spec: Json
    default: Any = NO_DEFAULT


# Fields of templates or endpoints alone go into the table there.
CONTAINER = {
    "image": Field("image", {"type": "str"}),
    "args": Field("args", {"type": "str"}, ""),
    "cmd": Field("cmd", STRINGS, []),
    "entrypoint": Field("entrypoint", STRINGS, []),
    "disk": Field("disk", {"type": "int"}, 50),  # RunPod documents no default, so it is always sent
    "env": Field("env", {"type": "dict", "no_log": False}, {}),
    "ports": Field("ports", STRINGS, []),
    "registry": Field("registry", {"type": "str"}, None),
}
DISK: int = CONTAINER["disk"].default


class Step(NamedTuple):
    """`fields` are what the API gets, None for a deletion; `after` is as far as it can be known: a new thing has no
    id.
    """

    name: str
    current: Json | None
    fields: Json | None
    after: Json | None

    @property
    def action(self) -> str:
        if self.fields is None:
            return "delete" if self.current else "unchanged"
        if self.current is None:
            return "create"
        return "change" if self.fields else "unchanged"


def specs(table: Mapping[str, Field]) -> Json:
    return {option: field.spec for option, field in table.items()}


def names(table: Mapping[str, Field]) -> dict[str, str]:
    return {option: field.name for option, field in table.items()}


def defaults(table: Mapping[str, Field]) -> Json:
    return {field.name: field.default for field in table.values() if field.default is not NO_DEFAULT}


def check_options(given: Mapping[str, Any], spec: Json, **rules: Any) -> Json:
    """Raise InputError that tells everything wrong."""
    wrong = mapping_errors(given, spec)
    if not wrong:
        result = ArgumentSpecValidator(spec, **rules).validate(dict(given))
        wrong = result.error_messages
        if not wrong:
            return result.validated_parameters
    raise InputError("; ".join(wrong) + ".")


def mapping_errors(given: Mapping[str, Any], spec: Mapping[str, Json]) -> list[str]:
    """ansible-core stumbles over numbers and booleans in place of a mapping."""
    return [
        f"{option} must be a dictionary with {', '.join(spec[option]['options'])}, not {value!r}"
        for option, value in given.items()
        if "options" in spec.get(option, {}) and isinstance(value, bool | int | float)
    ]


def require_sound(wrong: Iterable[str]) -> None:
    text = "; ".join(wrong)
    if text:
        raise InputError(f"{text}.")


def container_errors(options: Mapping[str, Any]) -> list[str]:
    """Return what is wrong beyond types. No value of env is repeated."""
    disk, args = options["disk"], options["args"]
    lists = [option for option in LISTS if options[option] is not None]
    found = [
        (options["image"] == "", "image must not be empty"),
        (disk is not None and disk < 1, "disk must be at least 1 (GB)"),
        (args is not None and bool(lists), f"args and {' and '.join(lists)} exclude each other: args stands for both"),
    ]
    return [
        *(text for wrong, text in found if wrong),
        *port_errors(options["ports"] or ()),
        *env_errors(options["env"] or {}),
    ]


def port_errors(ports: Iterable[str]) -> list[str]:
    matches = {port: PORT.fullmatch(port) for port in ports}
    return [
        f"ports: {port!r} is not of the form 8888/http or 22/tcp, with a port from 1 to 65535"
        for port, match in matches.items()
        if match is None or not 1 <= int(match["number"]) <= 65535
    ]


def cuda_errors(option: str, versions: Iterable[str] | None) -> list[str]:
    wrong = [version for version in versions or () if not CUDA_VERSION.fullmatch(version)]
    return [f"{option}: {version!r} is not of the form '12.8'" for version in wrong]


def env_errors(env: Mapping[str, Any]) -> list[str]:
    """No value is repeated."""
    return [
        f"env.{key} must be a string: quote it"
        for key, value in env.items()
        if isinstance(value, bool) or not isinstance(value, str | int | float)
    ]


def container_fields(fields: Json, registries: Iterable[Json], current: str | None, used: Iterable[str | None]) -> Json:
    """`current` and `used` are for credential()."""
    taken = dict(fields)
    if "env" in fields:
        taken["env"] = {key: str(value) for key, value in fields["env"].items()}
    if "registry" in fields:
        taken["registry"] = credential(fields["registry"], registries, current, used)
    return taken


def differing(current: Mapping[str, Any], fields: Json) -> Json:
    return {field: value for field, value in fields.items() if not _same(field, current, value)}


def _same(field: str, current: Mapping[str, Any], value: Any) -> bool:
    is_now = current.get(field)
    if field in LISTS:  # only here the order of a list counts
        return bool(is_now == value)
    if field == "args":
        return bool(is_now == value or parsed(is_now or "") == parsed(value))
    return bool(comparable(is_now) == comparable(value))


def comparable(value: Any) -> Any:
    """Return an equal form for all that mean the same. RunPod's numbers have single precision."""
    if isinstance(value, list):
        return frozenset(comparable(item) for item in value)
    if isinstance(value, dict):
        return frozenset((key, comparable(item)) for key, item in value.items())
    return round(value, 4) if isinstance(value, float) else value


def lost_options(table: Mapping[str, Field], lost: Collection[str]) -> str:
    return ", ".join(option for option, field in table.items() if field.name in lost)
