# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection.

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from .._core.errors import ApiError, CollectionError, ConflictError, IgnoredFieldError, InputError, Json
from .._core.masking import to_diff, to_result
from .._core.result import ItemsFailedError, Result, desired_fields, find_by_name
from . import fields as shared
from .command import predicted_command, with_command
from .create_once import TAKEN, create_once
from .credential_names import missing
from .duplicates import keep_one
from .fields import CONTAINER, DISK, Field, Step
from .ownership import require_ours

if TYPE_CHECKING:
    from .client import Client

PATH = "/templates"

# Documented in runpod_template and, as sub-options, in runpod_templates.
TABLE = {
    "name": Field("name", {"type": "str", "required": True}),
    **CONTAINER,
    "persistent_mount": Field(
        "mounts",
        {
            "type": "dict",
            "options": {"size": {"type": "int"}, "path": {"type": "str"}},
            "required_together": [("size", "path")],
        },
        {},
    ),
    "serverless": Field("serverless", {"type": "bool"}, False),
    "public": Field("public", {"type": "bool"}, False),
    "category": Field("category", {"type": "str", "choices": ["NVIDIA", "AMD", "CPU"]}, "NVIDIA"),
    "start_ssh": Field("startSsh", {"type": "bool"}, True),
    "start_jupyter": Field("startJupyter", {"type": "bool"}, True),
    "allowed_cuda_versions": Field("allowedCudaVersions", shared.STRINGS, []),
}
STATE: Json = {"state": {"type": "str", "choices": ["present", "absent"], "default": "present"}}
OPTIONS: Json = {"name": TABLE["name"].spec, **STATE, **shared.specs(TABLE)}
FIELDS = shared.names(TABLE)
DEFAULTS = shared.defaults(TABLE)


def run(params: Json, check_mode: bool, client: Client) -> Result:
    shared.require_sound(validation_errors(params))
    templates, registries, warnings = read(client, [params], check_mode)
    step = plan(params, templates, registries, credentials_in_use(templates))
    try:
        after = step.after if check_mode else apply(client, step)
    except IgnoredFieldError as error:
        raise ItemsFailedError(str(error), build_result(step, error.thing, warnings)) from error
    return build_result(step, after, warnings)


def build_result(step: Step, after: Json | None, warnings: tuple[str, ...]) -> Result:
    before_shown, after_shown = template_diff(step.current, after)
    results = {"template": template_result(after)}
    return Result(step.action != "unchanged", before_shown, after_shown, results, warnings)


# What may be asked for


def validation_errors(options: Json) -> list[str]:
    """No value of env is repeated."""
    size = (options["persistent_mount"] or {}).get("size")
    found = [
        (options["name"] == "", "name must not be empty"),
        (size is not None and size < 10, "persistent_mount.size must be at least 10 (GB)"),
        (bool(size and options["serverless"]), MOUNT_ON_SERVERLESS),
    ]
    return [
        *(text for wrong, text in found if wrong),
        *shared.container_errors(options),
        *shared.cuda_errors("allowed_cuda_versions", options["allowed_cuda_versions"]),
    ]


MOUNT_ON_SERVERLESS = "persistent_mount is for pods only: leave it unset, or set serverless to false"


def check(template: Mapping[str, Any]) -> None:
    shared.require_sound(validation_errors(shared.check_options(template, OPTIONS)))


# What is there


def read(client: Client, items: Iterable[Json], check_mode: bool) -> tuple[list[Json], list[Json], tuple[str, ...]]:
    """An id that the template refers to needs no look-up: RunPod takes away what is deleted."""
    templates = client.items(PATH, "templates")
    current = {(template.get("name"), template.get("registry")) for template in templates}
    present = [item for item in items if item["state"] == "present" and item["registry"]]
    named = {item["registry"] for item in present if (item["name"], item["registry"]) not in current}
    registries = client.items("/registries", "registries") if named else []
    return templates, registries, missing(named, registries, check_mode)


def credentials_in_use(templates: Iterable[Json]) -> set[str | None]:
    return {template.get("registry") for template in templates}


def complete(template: Mapping[str, Any]) -> Json:
    """Fill what an answer lacks with RunPod's defaults."""
    present = {field: value for field, value in template.items() if value is not None}
    return {**template, **DEFAULTS, **with_command(present)}


# What is to be done


def plan(options: Json, templates: Iterable[Json], registries: Iterable[Json], used: Iterable[str | None] = ()) -> Step:
    """`templates` are those of this name at least, `used` the credentials that any template refers to."""
    name = options["name"]
    found = find_by_name(templates, name, "template")
    current = found and complete(found)
    if options["state"] == "absent":
        return Step(name, current, None, None)
    known = list(registries)
    fields = desired(options, known, current["registry"] if current else None, used)
    if current is None:
        if "image" not in fields:
            raise InputError(f"There is no template named {name!r}: to create it, image is required.")
        fields = {"disk": DISK, **fields}
        return Step(name, None, fields, predicted(DEFAULTS, fields))
    require_ours("template", current, fields, known, bool(options.get("adopt")))
    changes = shared.differing(current, fields)
    after = predicted(current, changes)
    require_possible(name, changes, after)
    return Step(name, current, changes, after)


def desired(
    options: Json, registries: Iterable[Json], current: str | None = None, used: Iterable[str | None] = ()
) -> Json:
    """Return what the user set; `current` and `used` are for credential()."""
    fields = shared.container_fields(desired_fields(options, FIELDS), registries, current, used)
    if "mounts" in fields:
        fields["mounts"] = {"persistent": fields["mounts"]} if fields["mounts"].get("size") else {}
    return fields


def predicted(current: Json, fields: Json) -> Json:
    return {**current, **fields, **predicted_command(current, fields)}


def require_possible(name: str, changes: Json, after: Json) -> None:
    """Raise InputError when RunPod has no way to this template."""
    if changes.get("mounts") == {}:
        raise InputError(
            f"The template {name!r} has a persistent mount, which RunPod cannot take away: "
            "leave persistent_mount unset, or make the template anew under another name."
        )
    if after["mounts"] and after["serverless"] and {"mounts", "serverless"} & changes.keys():
        anew = "make the template anew under another name, without one" if "serverless" in changes else "leave it unset"
        raise InputError(f"The template {name!r} would be serverless and have a persistent_mount: {anew}.")


# What is done


def apply(client: Client, step: Step) -> Json | None:
    after = write(client, step)
    if step.action != "create" or after is None:
        return after
    kept = keep_created(client, {step.name: step}, {step.name: after})[step.name]
    if isinstance(kept, CollectionError):
        raise kept
    return kept


def write(client: Client, step: Step) -> Json | None:
    if step.current and step.fields is None:
        client.delete(f"{PATH}/{step.current['id']}")
        return None
    if not step.fields:
        return step.current
    if step.current:
        return read_back(step, client.patch(f"{PATH}/{step.current['id']}", step.fields))

    def look_up() -> Json | None:
        named = [template for template in client.items(PATH, "templates") if template.get("name") == step.name]
        found = min(named, key=lambda template: str(template["id"]), default=None)
        return brought_up(client, step, found) if found else None

    return read_back(step, create_once(client, PATH, step.fields, look_up, TAKEN))


def keep_created(
    client: Client, steps: Mapping[str, Step], made: Mapping[str, Json]
) -> dict[str, Json | CollectionError]:
    """Return templates that stay when another run made some at the same time."""

    def find_all() -> dict[str, list[Json]]:
        found: dict[str, list[Json]] = {name: [] for name in made}
        for template in client.items(PATH, "templates"):
            found.get(template.get("name", ""), []).append(template)
        return found

    def remove(template: Json) -> None:
        try:
            client.delete(f"{PATH}/{template['id']}")
        except ApiError as error:
            if error.status != 400:
                raise
            raise ConflictError(
                f"Another run made a template {template['name']!r} at the same time, and the one that this run made "
                f"(id {template['id']}) is in use already: delete one of them, then run again. {error}"
            ) from error

    def create(name: str) -> Json:
        return write(client, steps[name]) or {}

    kept = keep_one(client, made, find_all, remove, create)
    return {name: thing if thing is made[name] else tried(client, steps[name], thing) for name, thing in kept.items()}


def tried(client: Client, step: Step, kept: Json | CollectionError) -> Json | CollectionError:
    try:
        return kept if isinstance(kept, CollectionError) else brought_up(client, step, kept)
    except CollectionError as error:
        return error


def brought_up(client: Client, step: Step, found: Json) -> Json:
    """Give a template that another run may have made at the same moment the fields of this one."""
    current, fields = complete(found), step.fields or {}
    require_ours("template", current, fields, (), False)
    changes = shared.differing(current, fields)
    return write(client, step._replace(current=current, fields=changes)) or current


def read_back(step: Step, answer: Json) -> Json:
    """Return the answer once it shows everything that was sent."""
    template = complete(answer)
    lost = shared.differing(template, step.fields or {})
    if lost:
        raise IgnoredFieldError(
            f"RunPod accepted the template {step.name!r} (id {answer['id']}) but holds other values than were sent for "
            f"{shared.lost_options(TABLE, lost)}. Run again; if it goes on, set them in RunPod's console.",
            template,
        )
    return template


# What is shown


def as_options(thing: Json | None) -> Json | None:
    """Return the mount under the name of its option."""
    if thing is None:
        return None
    rest = {key: value for key, value in thing.items() if key != "mounts"}
    return {**rest, "persistent_mount": (thing.get("mounts") or {}).get("persistent")}


def template_result(template: Json | None) -> Json | None:
    return as_options(template and to_result(with_command(template)))


def template_diff(before: Json | None, after: Json | None) -> tuple[Json | None, Json | None]:
    old, new = to_diff(before, after)
    return as_options(old), as_options(new)
