# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: what a template is and how one becomes another, for the modules of one and of many
# templates, and for the role. All of it is pure but read() and write().

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from .._core.errors import CollectionError, InputError, Json
from .._core.masking import to_diff, to_result
from .._core.result import Result, changed_fields, desired_fields, find_by_name
from .create_once import TAKEN, create_once
from .credential_replacement import credential, missing

if TYPE_CHECKING:
    from .client import Client

PATH = "/templates"
CUDA_VERSION = re.compile(r"\d+\.\d+")

# The options of one template, documented in runpod_template and, as sub-options, in runpod_templates.
OPTIONS: Json = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "image": {"type": "str"},
    "args": {"type": "str"},
    "disk": {"type": "int"},
    "env": {"type": "dict", "no_log": False},
    "ports": {"type": "list", "elements": "str"},
    "registry": {"type": "str"},
    "persistent_mount": {
        "type": "dict",
        "options": {"size": {"type": "int"}, "path": {"type": "str"}},
        "required_together": [("size", "path")],
    },
    "serverless": {"type": "bool"},
    "public": {"type": "bool"},
    "category": {"type": "str", "choices": ["NVIDIA", "AMD", "CPU"]},
    "start_ssh": {"type": "bool"},
    "start_jupyter": {"type": "bool"},
    "allowed_cuda_versions": {"type": "list", "elements": "str"},
}

# Option -> field of the API.
FIELDS = {
    "name": "name",
    "image": "image",
    "args": "args",
    "disk": "disk",
    "env": "env",
    "ports": "ports",
    "registry": "registry",
    "persistent_mount": "mounts",
    "serverless": "serverless",
    "public": "public",
    "category": "category",
    "start_ssh": "startSsh",
    "start_jupyter": "startJupyter",
    "allowed_cuda_versions": "allowedCudaVersions",
}

# What RunPod gives a new template for what was not asked for. It documents none for the disk, so that is always sent.
DISK = 50
DEFAULTS: Json = {
    "args": "",
    "disk": DISK,
    "env": {},
    "ports": [],
    "registry": None,
    "mounts": {},
    "serverless": False,
    "public": False,
    "category": "NVIDIA",
    "startSsh": True,
    "startJupyter": True,
    "allowedCudaVersions": [],
}


class IgnoredFieldError(CollectionError):
    """RunPod accepted a write and did not do all of it. `template` is what it holds now."""

    def __init__(self, message: str, template: Json) -> None:
        super().__init__(message)
        self.template = template


class Step(NamedTuple):
    """What is to be done about one template: `fields` are what the API gets to see, None when it is to be gone."""

    name: str
    current: Json | None
    fields: Json | None

    @property
    def action(self) -> str:
        """One of create, change, delete and unchanged."""
        if self.fields is None:
            return "delete" if self.current else "unchanged"
        if self.current is None:
            return "create"
        return "change" if self.fields else "unchanged"

    @property
    def prediction(self) -> Json | None:
        """The template after the step, as far as it can be known before; a new one has no id yet."""
        if self.fields is None:
            return None
        return {**(DEFAULTS if self.current is None else self.current), **self.fields}


def run(params: Json, check_mode: bool, client: Client) -> Result:
    wrong = validation_errors(params)
    if wrong:
        raise InputError("; ".join(wrong) + ".")
    templates, registries, warnings = read(client, [params], check_mode)
    step = plan(params, templates, registries, [template["registry"] for template in templates])
    after = step.prediction if check_mode else write(client, step)
    before_shown, after_shown = template_diff(step.current, after)
    results = {"template": template_result(after)}
    return Result(step.action != "unchanged", before_shown, after_shown, results, warnings)


def validation_errors(options: Json) -> list[str]:
    """Return what is wrong with the options of one template beyond their types. No value of env is repeated."""
    size = (options["persistent_mount"] or {}).get("size")
    found = [
        (options["name"] == "", "name must not be empty"),
        (options["image"] == "", "image must not be empty"),
        (options["disk"] is not None and options["disk"] < 1, "disk must be at least 1 (GB)"),
        (size is not None and size < 10, "persistent_mount.size must be at least 10 (GB)"),
    ]
    own = [text for wrong, text in found if wrong]
    return own + cuda_errors("allowed_cuda_versions", options["allowed_cuda_versions"]) + env_errors(options["env"])


def cuda_errors(option: str, versions: Iterable[str] | None) -> list[str]:
    """Return what is wrong with the CUDA versions of an option."""
    wrong = [version for version in versions or () if not CUDA_VERSION.fullmatch(version)]
    return [f"{option}: {version!r} is not of the form '12.8'" for version in wrong]


def env_errors(env: Mapping[str, Any] | None) -> list[str]:
    """Return what is wrong with the option env. No value of it is repeated."""
    return [
        f"env.{key} must be a string: quote it"
        for key, value in (env or {}).items()
        if isinstance(value, bool) or not isinstance(value, str | int | float)
    ]


def strings(env: Mapping[str, Any]) -> dict[str, str]:
    """Return the option env as RunPod takes it."""
    return {key: str(value) for key, value in env.items()}


def check(template: Mapping[str, Any]) -> None:
    """Raise InputError that tells everything wrong with a template's options as somebody wrote them."""
    result = ArgumentSpecValidator(OPTIONS).validate(dict(template))
    wrong = result.error_messages or validation_errors(result.validated_parameters)
    if wrong:
        raise InputError("; ".join(wrong) + ".")


def desired(
    options: Json, registries: Iterable[Json], current: str | None = None, used: Iterable[str | None] = ()
) -> Json:
    """Return the API fields that the user set; `current` and `used` are for credential()."""
    fields = desired_fields(options, FIELDS)
    if "env" in fields:
        fields["env"] = strings(fields["env"])
    if "registry" in fields:
        fields["registry"] = credential(fields["registry"], registries, current, used)
    if "mounts" in fields:
        fields["mounts"] = {"persistent": fields["mounts"]} if fields["mounts"].get("size") else {}
    return fields


def field_changes(current: Json, fields: Json) -> Json:
    """Return the fields whose value differs from the current one. The order of a list has no meaning."""

    def unordered(values: Json) -> Json:
        return {key: frozenset(value) if isinstance(value, list) else value for key, value in values.items()}

    return {key: fields[key] for key in changed_fields(unordered(current), unordered(fields))}


def plan(options: Json, templates: Iterable[Json], registries: Iterable[Json], used: Iterable[str | None] = ()) -> Step:
    """Return what is to be done about one template, given what the account holds.

    `templates` are those of this name at least, `used` the credentials that any template refers to.
    """
    name = options["name"]
    current = find_by_name(templates, name, "template")
    if options["state"] == "absent":
        return Step(name, current, None)
    fields = desired(options, registries, current["registry"] if current else None, used)
    if current is None:
        if "image" not in fields:
            raise InputError(f"There is no template named {name!r}: to create it, image is required.")
        return Step(name, None, {"disk": DISK, **fields})
    fields = field_changes(current, fields)
    if fields.get("mounts") == {}:
        raise InputError(
            f"The template {name!r} has a persistent mount, which RunPod cannot take away: "
            "leave persistent_mount unset, or make the template anew under another name."
        )
    return Step(name, current, fields)


def read(client: Client, items: Iterable[Json], check_mode: bool) -> tuple[list[Json], list[Json], tuple[str, ...]]:
    """Return the account's templates, its registry credentials if they are needed, and warnings about those.

    An id that the template refers to already needs no look-up: RunPod takes away what is deleted.
    """
    templates = client.items(PATH, "templates")
    current = {(template["name"], template["registry"]) for template in templates}
    present = [item for item in items if item["state"] == "present" and item["registry"]]
    named = {item["registry"] for item in present if (item["name"], item["registry"]) not in current}
    registries = client.items("/registries", "registries") if named else []
    return templates, registries, missing(named, registries, check_mode)


def write(client: Client, step: Step) -> Json | None:
    """Take one step and return the template afterwards, read back from RunPod's answer."""
    if step.current and step.fields is None:
        client.delete(f"{PATH}/{step.current['id']}")
        return None
    if not step.fields:
        return step.current
    if step.current:
        return read_back(step, client.patch(f"{PATH}/{step.current['id']}", step.fields))

    def look_up() -> Json | None:
        return find_by_name(client.items(PATH, "templates"), step.name, "template")

    return read_back(step, create_once(client, PATH, step.fields, look_up, TAKEN))


def read_back(step: Step, answer: Any) -> Json:
    """Return the answer to a write once it shows everything that was sent."""
    if not isinstance(answer, dict) or "id" not in answer:
        raise CollectionError(f"RunPod did not answer with the template {step.name!r} that it was sent: run again.")
    lost = field_changes(answer, step.fields or {})
    if lost:
        options = ", ".join(option for option, field in FIELDS.items() if field in lost)
        raise IgnoredFieldError(
            f"RunPod accepted the template {step.name!r} (id {answer['id']}) but holds other values than were sent for "
            f"{options}. Run again; if it goes on, set them in RunPod's console.",
            answer,
        )
    return answer


def as_options(thing: Json | None) -> Json | None:
    """Return a template, as shown, with the mount under the name of its option."""
    if thing is None:
        return None
    rest = {key: value for key, value in thing.items() if key != "mounts"}
    return {**rest, "persistent_mount": (thing.get("mounts") or {}).get("persistent")}


def template_result(template: Json | None) -> Json | None:
    """Return a template as results show it."""
    return as_options(template and to_result(template))


def template_diff(before: Json | None, after: Json | None) -> tuple[Json | None, Json | None]:
    """Return a template before and after as diffs show it."""
    old, new = to_diff(before, after)
    return as_options(old), as_options(new)
