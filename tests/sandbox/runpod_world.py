# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one RunPod account holds, how the open questions about the API are answered, and how the API says no."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timezone
from typing import Any, NamedTuple

from jsonschema import Draft202012Validator

from .runpod_schemas import AVAILABILITY, WORKER, Schema, violations_of

Json = dict[str, Any]
# Account, region and name of a repository -> its policy at AWS, or None when there is none.
PolicyOf = Callable[[str, str, str], str | None]
HasTag = Callable[[str, str, str, str], bool]  # of account, region and name of a repository, and a tag

ACCOUNT = "user_sandbox"
LIST_KEYS = ("registries", "delegations", "templates", "endpoints", "pods", "clusters", "secrets")
# Held beside the answer's fields, and never part of an answer.
INTERNAL = frozenset({"owner", "username", "password", "value", "boundTemplate", "activeWorkers", "releases", "reads"})


class Refusal(Exception):
    """The API says no."""

    def __init__(
        self, status: int, detail: str, errors: Iterable[str] = (), headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = list(errors)
        self.headers = dict(headers or {})


def not_found() -> Refusal:
    return Refusal(404, "resource not found")


def invalid(errors: Iterable[str]) -> Refusal:
    return Refusal(422, "Request validation failed.", errors)


# Switches


class Switch(NamedTuple):
    """One way in which the real API may turn out to behave, or one thing a test wants to set."""

    default: Any
    schema: Schema
    meaning: str


def _one_of(*values: Any) -> Schema:
    return {"enum": list(values)}


_DUPLICATES = _one_of(400, 422, "allowed")
_LIMITS: Schema = {
    "type": ["object", "null"],
    "properties": {name: {"type": "integer", "minimum": 1} for name in ("minute", "hour", "day")},
    "required": ["minute", "hour", "day"],
    "additionalProperties": False,
}
DELEGATION_FORMS = ("arn", "arn_tag", "uri_tag")

SWITCHES = {
    "registry_patch": Switch(
        "present",
        _one_of("present", 405, 404),
        "PATCH of a registry credential: present, or the status it gets",
    ),
    "duplicate_registry_name": Switch(400, _DUPLICATES, "status of a second registry credential with one name"),
    "duplicate_template_name": Switch(400, _DUPLICATES, "status of a second template with one name"),
    "template_name_scope": Switch(
        "account", _one_of("account", "global"), "among whose templates a template's name must be unique"
    ),
    "default_disk": Switch(50, {"type": "integer", "minimum": 1}, "disk of what was created without one, in GB"),
    "delegation_forms": Switch(
        list(DELEGATION_FORMS),
        {"type": "array", "items": _one_of(*DELEGATION_FORMS), "uniqueItems": True},
        "forms of a delegation's resource that are taken: ARN, ARN with tag, image URI with tag",
    ),
    "delegation_refusal": Switch(400, _one_of(400, 422), "status of a delegation whose resource is not taken"),
    "delegation_policy_refusal": Switch(
        400, _one_of(400, 422), "status of a delegation whose repository's policy does not let RunPod pull"
    ),
    "delegation_token_action": Switch(
        True,
        {"type": "boolean"},
        "whether that policy must allow ecr:GetAuthorizationToken too, which has no effect there",
    ),
    "delegation_tag": Switch("any", _one_of("any", "existing"), "tags that a delegation may name"),
    "duplicate_delegation": Switch(
        "record",
        _one_of("record", "error", "upsert"),
        "second delegation of a repository: another record, the refusal above, or the first one with its tag and name",
    ),
    "endpoint_after_registry_delete": Switch(
        "stale", _one_of("stale", "null"), "registry of an endpoint whose credential was deleted: the old id, or null"
    ),
    "rollout_reads": Switch(
        2,
        {"type": ["integer", "null"], "minimum": 0},
        "reads of releases or workers after which the workers are replaced and started; null: on command only",
    ),
    "started_worker": Switch(
        "IDLE", WORKER["properties"]["status"], "what becomes of a worker that starts, as of one that cannot pull"
    ),
    "paging": Switch(
        "full",
        _one_of("full", "short", "repeating", "absent"),
        "listings: full pages; short ones, every other of them empty; a cursor that leads to its own page, which is "
        "never the last; or all at once, without a word about pages, as older answers",
    ),
    "page_size": Switch(
        1000, {"type": "integer", "minimum": 1, "maximum": 1000}, "most items of a page, whatever more is asked for"
    ),
    "template_env": Switch(
        "replaced", _one_of("replaced", "merged"), "env of a template in a PATCH: the whole map, or more keys for it"
    ),
    "other_ecr_hosts": Switch(
        "taken", _one_of("taken", 400, 422), "images on ECR's dual-stack and FIPS hosts: taken, or the status they get"
    ),
    "gpu_availability": Switch(
        {},
        {"type": "object", "additionalProperties": AVAILABILITY},
        "stock of GPU types by their ids, such as NONE; of the others it is HIGH",
    ),
    "scopes": Switch(
        None,
        {"type": ["array", "null"], "items": {"type": "string"}},
        "what the API key may do, such as secrets:write; null: everything",
    ),
    "document": Switch(
        None, {"type": ["object", "null"]}, "what the API shows as its own document; null: it shows none"
    ),
    "rate_limits": Switch(
        {"minute": 180, "hour": 7200, "day": 86400},
        _LIMITS,
        "requests per window; null: the caller is exempt and gets no headers about it",
    ),
}
_SWITCH_VALIDATOR = Draft202012Validator(
    {
        "type": "object",
        "properties": {name: switch.schema for name, switch in SWITCHES.items()},
        "additionalProperties": False,
    }
)


# The world


class Call(NamedTuple):
    """A request that has passed authentication, routing and its schema."""

    id: str
    query: Mapping[str, str]
    body: Json
    worker: str = ""


class Cursor(NamedTuple):
    """Where a listing goes on: behind the items that were given; `paused` is whether the page before was empty."""

    listing: tuple[str, str]
    given: frozenset[str] = frozenset()
    paused: bool = False


class World:
    """Everything that is held, by collection and id, together with the switches and the cursors handed out."""

    def __init__(
        self,
        clock: Callable[[], float],
        new_id: Callable[[], str],
        policy_of: PolicyOf | None = None,
        has_tag: HasTag | None = None,
    ) -> None:
        self._clock = clock
        self._new_id = new_id
        self.policy_of = policy_of
        self.has_tag = has_tag
        self.reset()

    def reset(self) -> None:
        """Forget everything and put every switch back."""
        self.current: dict[str, dict[str, Json]] = {key: {} for key in LIST_KEYS}
        self.cursors: dict[str, Cursor] = {}
        self.switches: Json = {name: switch.default for name, switch in SWITCHES.items()}

    def set_switches(self, changes: Any) -> None:
        if errors := violations_of(_SWITCH_VALIDATOR, changes):
            raise invalid(errors)
        self.switches |= changes

    def now(self) -> str:
        return datetime.fromtimestamp(self._clock(), timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")

    def new_id(self) -> str:
        """Return an id that nothing held bears."""
        taken = {identifier for records in self.current.values() for identifier in records}
        while (fresh := self._new_id()) in taken:
            pass
        return fresh

    def add(self, key: str, record: Json) -> Json:
        identifier = record.get("id") or self.new_id()
        stored = {"owner": ACCOUNT, **record, "id": identifier}
        self.current[key][identifier] = stored
        return stored

    def own(self, key: str) -> list[Json]:
        return [record for record in self.current[key].values() if record["owner"] == ACCOUNT]

    def find_own(self, key: str, identifier: str) -> Json:
        record = self.current[key].get(identifier)
        if record is None or record["owner"] != ACCOUNT:
            raise not_found()
        return record


def answer(record: Json) -> Json:
    """Return what the API shows of a record. The credential of a foreign template is nobody else's business."""
    shown = {field: value for field, value in record.items() if field not in INTERNAL}
    return {**shown, "registry": None} if "registry" in shown and record["owner"] != ACCOUNT else shown
