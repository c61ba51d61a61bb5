# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection. An account is kind -> what RunPod lists of it, for the kinds that were read. A new finding
# is a new row, and what yields it.

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from .._core.errors import InputError, Json
from .._core.finding import MISSED, Rule, module_call, worst_first
from .._core.masking import printable
from .._core.time import parse_timestamp
from .._oci.reference import repository_of
from .delegation_target import by_repository
from .references import KINDS, Account, credential_users, in_use, repository_used, users

Match = tuple[str, Json]

TABLE = {
    "credential_gone": Rule(
        "credential_gone",
        "error",
        "The {kind} {name} refers to the credential {registry}, which is not there any more.",
        "Ensure another one: {credential} and then {repoint}",
    ),
    "access_missing": Rule(
        "access_missing",
        "error",
        "The {kind} {name} runs {image} from a private ECR repository with neither a credential nor a delegation. "
        "When a credential is deleted, RunPod silently takes it away from templates.",
        "With a credential: {credential} and then {repoint} Without one: {grant} and then {delegate}",
    ),
    "credential_unused": Rule(
        "credential_unused",
        "info",
        "No template, endpoint or pod refers to the credential {name}.",
        "When nothing is about to: {remove}",
    ),
    "delegation_unused": Rule(
        "delegation_unused",
        "info",
        "No template, endpoint or pod runs an image of the repository {repository_arn}.",
        "When nothing is about to: {remove}",
    ),
    "token_expired": Rule(
        "token_expired",
        "error",
        "The token in the credential {name} expired at {expires_at}.",
        "With the entry of the pull user: {refresh}",
    ),
    "token_ends_soon": Rule(
        "token_ends_soon",
        "warning",
        "The token in the credential {name} expires at {expires_at}, so a refresh was missed.",
        "With the entry of the pull user: {refresh}",
    ),
    "token_unknown": Rule(
        "token_unknown",
        "warning",
        "The credential {name} is used for {image}, and nothing tells until when the token in it works.",
        "Find out who refreshes it, or with the entry of a pull user: {refresh}",
    ),
}


def moments(given: Mapping[str, str]) -> dict[str, datetime]:
    """Raise InputError for what is no timestamp of a known zone."""
    return {identifier: moment(identifier, text) for identifier, text in given.items()}


def moment(identifier: str, text: str) -> datetime:
    try:
        return parse_timestamp(str(text))
    except ValueError:
        reason = f"{text!r} is not a timestamp such as 2026-08-13T00:15:00Z"
        raise InputError(f"credential_expiry.{identifier}: {reason}.") from None


# Who refers to what


def references(current: Account) -> Json | None:
    """Return None when not all that can refer was read."""
    if not {"registries", *KINDS} <= set(current):
        return None
    names: dict[str, str | None] = {registry["id"]: registry["name"] for registry in current["registries"]}
    nobody: dict[str, list[Json]] = {kind: [] for kind in KINDS}
    referring, running = credential_users(current), users(current, repository_used)
    found = {
        key: {
            "kind": "registry",
            "name": names.get(key),
            "ids": [key] if key in names else [],
            **referring.get(key, nobody),
        }
        for key in [*names, *sorted(referring.keys() - names.keys())]
    }
    for arn, delegations in sorted(by_repository(current.get("delegations", [])).items()):
        found[arn] = {
            "kind": "delegation",
            "name": delegations[0]["repository"],
            "ids": [delegation["id"] for delegation in delegations],
            **running.get(arn, nobody),
        }
    return found


# What is wrong


def findings(current: Account, expiry: Mapping[str, datetime] | None, now: datetime) -> list[Json]:
    """`expiry` None means not to judge tokens."""
    hits = [hit for check in (gone, shut_out, unused) for hit in check(current)]
    if expiry is not None:
        hits += tokens(current, expiry, now)
    return worst_first(finding(name, facts) for name, facts in hits)


def finding(name: str, facts: Json) -> Json:
    printed = {key: printable(value) if isinstance(value, str) else value for key, value in facts.items()}
    return {**{key: facts[key] for key in ("kind", "id", "name")}, **TABLE[name].filled(printed)}


def gone(current: Account) -> Iterator[Match]:
    if "registries" in current:
        there = {registry["id"] for registry in current["registries"]}
        for kind, things in in_use(current).items():
            for thing in things:
                if thing.get("registry") and thing["registry"] not in there:
                    yield "credential_gone", facts_of(kind, thing)


def shut_out(current: Account) -> Iterator[Match]:
    if "delegations" in current:
        delegated = by_repository(current["delegations"])
        for kind, things in in_use(current).items():
            for thing in things:
                arn = repository_used(thing)
                if arn and not thing.get("registry") and arn not in delegated:
                    yield "access_missing", facts_of(kind, thing)


def unused(current: Account) -> Iterator[Match]:
    """Told only when everything was read that could need them."""
    for key, entry in (references(current) or {}).items():
        if entry["ids"] and not any(entry[kind] for kind in KINDS):
            known = {"kind": entry["kind"], "id": entry["ids"][0], "name": entry["name"]}
            if entry["kind"] == "registry":
                remove = module_call("runpod_ecr_credential", name=entry["name"], state="absent")
                yield "credential_unused", {**known, "remove": remove}
            else:
                remove = module_call("runpod_ecr_delegation", repository_arns=[key], state="absent")
                yield "delegation_unused", {**known, "repository_arn": key, "remove": remove}


def tokens(current: Account, expiry: Mapping[str, datetime], now: datetime) -> Iterator[Match]:
    """Tokens at their end, and those used for ECR of which nothing tells it."""
    images = {
        thing["registry"]: thing["image"]
        for things in in_use(current).values()
        for thing in things
        if thing.get("registry") and repository_used(thing)
    }
    for registry in current.get("registries", []):
        key = registry["id"]
        facts = {
            **{"kind": "registry", **registry},
            "image": images.get(key),
            "expires_at": expiry[key].isoformat() if key in expiry else None,
            "refresh": credential_call(registry["name"], images.get(key)),
        }
        if key in expiry:
            yield from ended(expiry[key] - now, facts)
        elif key in images:
            yield "token_unknown", facts


def ended(left: timedelta, facts: Json) -> Iterator[Match]:
    if left <= timedelta(0):
        yield "token_expired", facts
    elif left < MISSED:
        yield "token_ends_soon", facts


def facts_of(key: str, thing: Json) -> Json:
    kind, image = KINDS[key], repository_of(thing.get("image"))
    repoint = f"make it the registry of the {kind} {thing['id']}."
    if kind == "template":
        repoint = module_call("runpod_template", name=thing["name"], registry="NAME")
    if kind == "endpoint":
        repoint = module_call("runpod_endpoint", id=thing["id"], registry="NAME")
    arns = [image.repository_arn] if image else []
    return {
        "kind": kind,
        "id": thing["id"],
        "name": thing["name"],
        "image": thing.get("image"),
        "registry": thing.get("registry"),
        "credential": credential_call("NAME", thing.get("image")),
        "repoint": repoint,
        "grant": module_call("ecr_pull_grant", repositories=arns),
        "delegate": module_call("runpod_ecr_delegation", repository_arns=arns, tag=(image and image.tag) or "TAG"),
    }


def credential_call(name: str, reference: str | None) -> str:
    image = repository_of(reference)
    region = image.region if image else "REGION"
    return module_call("runpod_ecr_credential", name=name, registry_region=region, secret_store={"name": "ENTRY"})
