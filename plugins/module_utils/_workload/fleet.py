# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: what two hosts of a fleet must not both have.

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping

from .._core.errors import InputError, Json
from .spec import workloads

PLURALS = {"template": "templates", "endpoint": "endpoints", "credential": "credentials"}
REMEDIES = {
    "user": "One host is one AWS account and pull user: give all its workloads to one of these hosts, or set another "
    "runpod_ecr_user_name.",
    "role": "Give all workloads of a pull role to one of these hosts, or set another runpod_ecr_role_name.",
    "template": "Each run would change what the other one made: set template.name in the workloads of all but one.",
    "endpoint": "Each run would change what the other one made: set endpoint.name in the workloads of all but one.",
    "credential": "Each run would overwrite the other one's token: set another runpod_ecr_credential_name, or none.",
}
# The role's defaults for claims, besides the workloads.
DEFAULTS: Json = {
    "access": "credential",
    "pull_identity": "user",
    "user_name": "runpod-ecr-access",
    "role_name": "runpod-ecr-access",
    "credential_name": None,
    "retire_former_identity": False,
}

Thing = tuple[str, str, str]  # kind, place, name


def claims_of(items: list[Json], options: Json, account: str) -> Json:
    """`account` may be unknown. By default names of credentials differ when the users do. Who retires a former identity
    claims it too.
    """
    by_credential = options["access"] == "credential"
    identity = options["pull_identity"] if by_credential else ""
    endpoints = [item["endpoint"] for item in items if item["endpoint"]]
    regions = sorted({item["region"] for item in items}) if by_credential else []
    named = regions if options["credential_name"] or identity == "caller" else []
    retiring = by_credential and options["retire_former_identity"]
    return {
        "user": options["user_name"] if retiring or identity == "user" else "",
        "role": options["role_name"] if retiring or identity == "role" else "",
        "account": account,
        "templates": [item["name"] for item in items],
        "endpoints": [endpoint.get("id") or endpoint["name"] for endpoint in endpoints],
        "credentials": [credential_name(options, region, account) for region in named],
    }


def credential_name(options: Json, region: str, account: str) -> str:
    return str(options["credential_name"] or f"{puller_of(options)}-{account}-{region}")


def puller_of(options: Json) -> str:
    """A role has credentials of its own beside those of a user of its name, so that one can take the other's place."""
    return f"{options['role_name']}-role" if options["pull_identity"] == "role" else str(options["user_name"])


def expected_claims(variables: Json) -> Json | None:
    """Return None for a host without workloads, or with input that its own run refuses.

    `variables` are without their prefix; the account is as whom it asks AWS.
    """
    image = variables.get("image")
    given = variables.get("workloads") or ([{"image": image}] if image else [])
    template = {"serverless": True, **(variables.get("template") or {})}
    try:
        items = workloads(given, template, variables.get("endpoint") or {})
        options = {name: variables.get(name) or default for name, default in DEFAULTS.items()}
        return claims_of(items, options, identity(variables)) if items else None
    except (InputError, TypeError, AttributeError, ValueError):
        return None


def identity(variables: Json) -> str:
    """Return a hash, for there may be a secret in it."""
    options = {key: value for key, value in (variables.get("aws") or {}).items() if key != "region"}
    return f"as {hashlib.sha256(json.dumps(options, sort_keys=True, default=str).encode()).hexdigest()}"


def with_accounts(
    expected: Mapping[str, Json], reported: Mapping[str, Json], identities: Mapping[str, str]
) -> dict[str, Json]:
    """Hosts that ask AWS as one identity are in the account that one of them learned."""
    known = {identities[host]: claimed["account"] for host, claimed in reported.items() if claimed["account"]}
    found = {host: {**one, "account": known.get(one["account"], one["account"])} for host, one in expected.items()}
    return {host: reported.get(host) or found[host] for host in identities if host in reported or host in found}


def things(claims: Mapping[str, Json]) -> Iterator[tuple[Thing, str]]:
    """Yield each claim with its host. Names of IAM users differ in more than case."""
    for host, claimed in claims.items():
        account = claimed["account"]
        for kind in ("user", "role"):
            if account and claimed.get(kind):
                yield (kind, account, claimed[kind].lower()), host
        for kind, plural in PLURALS.items():
            yield from (((kind, claimed["runpod"], name), host) for name in claimed[plural])


def conflicts(claims: Mapping[str, Json]) -> dict[str, list[str]]:
    """Return host -> a sentence for each kind of shared thing.

    Claims are {user, role, account, runpod, templates, endpoints, credentials}; nothing is said of a missing user or an
    unknown account. `runpod` tells accounts there apart.
    """
    holders: dict[Thing, list[str]] = {}
    for thing, host in things(claims):
        holders.setdefault(thing, []).append(host)
    shared: dict[tuple[str, tuple[str, ...], str], list[str]] = {}
    for (kind, place, name), holding in holders.items():
        if len(holding) > 1:
            shared.setdefault((kind, tuple(holding), place), []).append(name)
    found: dict[str, list[str]] = {host: [] for host in claims}
    for (kind, hosts, place), names in shared.items():
        for host in hosts:
            found[host].append(sentence(kind, hosts, place, names))
    return found


def sentence(kind: str, hosts: Iterable[str], place: str, names: list[str]) -> str:
    who = f"The hosts {' and '.join(hosts)}"
    if kind in ("user", "role"):
        account = f"the AWS account {place}" if place.isdigit() else "one AWS account"
        return f"{who} share the pull {kind} {names[0]} of {account}. {REMEDIES[kind]}"
    what = kind if len(names) == 1 else PLURALS[kind]
    return f"{who} have the {what} {', '.join(names)} at RunPod in common. {REMEDIES[kind]}"
