# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: what is wrong with workloads, from what was wished and what was found. Pure.
#
# Each problem is told once, at the link of the chain where it is mended: what only follows from it is left out.

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import partial
from itertools import islice, takewhile
from typing import Any, NamedTuple

from .._core.errors import Json
from .._core.finding import SEVERITIES, module_call
from .._core.result import Result
from .._runpod.credential_replacement import logical
from .desired import DesiredState
from .findings import CHAINS, LINKS, MAIN_JOB, Finding, finding, from_module
from .observed import EndpointLook, Failure, ObservedState, read
from .strays import LOST, foreign

# Where the findings of the proof belong that are not about the right to pull.
OF_THE_IMAGE = {
    "archived",
    "digest_not_found",
    "kms",
    "layer_host_blocked",
    "layer_unavailable",
    "not_an_image",
    "platform_missing",
    "platform_unverified",
    "repository_not_found",
    "tag_moved",
    "tag_not_found",
    "upstream_denied",
    "upstream_throttled",
    "upstream_unavailable",
    "wrong_account",
    "wrong_region",
}
OF_THE_KEY = {
    "foreign_key",
    "key_inactive",
    "key_invalid",
    "key_too_new",
    "key_unused",
    "rotation_due",
    "secret_key_inactive",
    "secret_key_mismatch",
    "secret_missing",
    "secret_unreadable",
    "secret_wrong",
    "two_active_keys",
}
OF_TOKENS = {"token_ends_soon", "token_expired"}  # judged by what RunPod holds
AT_RUNPOD = {
    "registries": "credential",
    "delegations": "delegation",
    "templates": "template",
    "endpoints": "endpoint",
    "pods": "",
}


class Scene(NamedTuple):
    """What was wished and what was found."""

    desired: DesiredState
    observed: ObservedState

    @property
    def chain(self) -> list[str]:
        """The kinds of the links between an image and what runs it."""
        access = self.desired.access
        return CHAINS[access, self.desired.options["pull_identity"] if access == "credential" else "user"]

    @property
    def everybody(self) -> tuple[str, ...]:
        return self.those(lambda dummy: True)

    def those(self, chosen: Callable[[Json], bool]) -> tuple[str, ...]:
        """Return the names of the workloads that are chosen."""
        return tuple(item["name"] for item in self.desired.items if chosen(item))

    def users_of(self, image: str) -> tuple[str, ...]:
        """Return the workloads that run an image, or its public one."""
        return self.those(lambda item: image in (item["image"], self.observed.public_images.get(item["image"])))


def has(field: str, value: str, item: Json) -> bool:
    return bool(item[field] == value)


def problems(desired: DesiredState, observed: ObservedState) -> list[Finding]:
    """Return all that is wrong, each once, the worst first and by its link."""
    scene = Scene(desired, observed)
    about_the_user = [*user(scene)]
    shut = any(one.severity == "error" for one in about_the_user)
    found = [
        *failures(scene, shut),
        *images(scene),
        *about_the_user,
        *proof(scene, shut),
        *(one for rule in RULES_IN_ORDER for one in rule(scene)),
        *([] if shut else user_drift(scene)),
    ]
    found += unproven(scene, found)
    return sorted(merged(found), key=lambda one: (SEVERITIES.index(one.severity), place(one), one.code, one.cause))


def place(one: Finding) -> int:
    """Return how far along the chain a problem is; what belongs to no workload comes last."""
    return min((LINKS.index(link) for link in one.links), default=len(LINKS))


def merged(found: Iterable[Finding]) -> list[Finding]:
    """Return the problems, those that say the same of several links or workloads as one."""
    by_text: dict[tuple[str, str, str], Finding] = {}
    for one in found:
        key = (one.code, one.cause, one.remedy)
        known = by_text.get(key, one)
        by_text[key] = known._replace(
            links=tuple(dict.fromkeys(known.links + one.links)),
            workloads=tuple(dict.fromkeys(known.workloads + one.workloads)),
        )
    return list(by_text.values())


# What could not be read


def failures(scene: Scene, shut: bool) -> Iterator[Finding]:
    """A read that failed. That the pull user is shut off explains why nothing can be learned as that user."""
    seen, proved = scene.observed, ("public_image" if scene.desired.access == "public" else "user",)
    pulled = scene.desired.by_user or scene.desired.access == "public"
    reads = [
        (seen.images, "The images", ("image",)),
        (seen.proof if pulled and not shut else None, "Whether the images can be pulled", proved),
        (seen.user, "The pull user", ("user", "key")),
        (seen.trail, "What CloudTrail noted of the pull user", ()),
        (None if shut else seen.user_preview, "What a run would change of the pull user", ("user",)),
        (seen.policies, "The policies of the repositories", ("policy",)),
        (seen.mirror, "The public images", ("public_image",)),
        (seen.templates, "The templates", ("template",)),
        *((one, f"The public repository {name}", ("public_image",)) for name, one in seen.public.items()),
    ]
    for found, what, links in reads:
        if isinstance(found, Failure):
            yield failure(what, found, links, scene.everybody)
    yield from at_runpod(scene)


def failure(what: str, found: Failure, links: tuple[str, ...], workloads: tuple[str, ...]) -> Finding:
    """Return the problem of a read that failed: red where it should have worked, and grey where it may not."""
    code = "not_looked_at" if found.refused else "unreadable"
    return finding(code, workloads if links else (), found.text, what=what)._replace(links=links)


def at_runpod(scene: Scene) -> Iterator[Finding]:
    """Listings of RunPod that could not be read, those that failed alike as one. Amber where a chain hangs on them."""
    failed: dict[str, dict[str, Failure]] = {}
    for kind, found in scene.observed.runpod.items():
        if isinstance(found, Failure):
            failed.setdefault(found.code, {})[kind] = found
    for kinds in failed.values():
        links = tuple(AT_RUNPOD[kind] for kind in kinds if AT_RUNPOD[kind] in scene.chain)
        everything = kinds.keys() == scene.observed.runpod.keys()
        what = "What RunPod holds" if everything else f"What RunPod holds of {' and '.join(kinds)}"
        one = failure(what, [*kinds.values()][0], links, scene.everybody)
        severity = {"error": "error" if links else "warning", "info": "warning" if links else "info"}[one.severity]
        yield one._replace(severity=severity)


# Image, and the right to pull it


def images(scene: Scene) -> Iterator[Finding]:
    """What is wrong with the images. That whoever runs this may not read one means nothing when the puller may."""
    checks = read(scene.observed.proof, []) if scene.observed.proof is not scene.observed.images else []
    proved = {each["image"] for each in read(scene.observed.proof, []) if each["pullable"]}
    told = {(each["image"], one["code"]) for each in checks for one in each["findings"]}
    for each in read(scene.observed.images, []):
        for one in each["findings"]:
            denied = one["code"] not in OF_THE_IMAGE
            link = "caller" if denied and "caller" in scene.chain else "image"
            if not (denied and each["image"] in proved) and (each["image"], one["code"]) not in told:
                yield from_module(one, link, scene.users_of(each["image"]))


def proof(scene: Scene, shut: bool) -> Iterator[Finding]:
    """Why the images cannot be pulled by whoever pulls; what keeps the pull user from anything is told already."""
    public = scene.desired.access == "public"
    if not (public or scene.desired.by_user):
        return
    mirrors = read(scene.observed.mirror, [])
    absent = [each["destination"] for each in mirrors if each["copied"] and not each["digest_before"]]
    for each in read(scene.observed.proof, []):
        for one in each["findings"]:
            link = "image" if one["code"] in OF_THE_IMAGE else "key" if one["code"] in OF_THE_KEY else "user"
            if (link == "image" or not shut) and each["image"] not in absent:
                yield from_module(one, "public_image" if public else link, scene.users_of(each["image"]))


def refusals(scene: Scene) -> Iterator[Finding]:
    """Since when AWS refuses the pull user, as far as CloudTrail was asked; nothing once every image can be pulled."""
    proved = read(scene.observed.proof, [])
    if proved and all(each["pullable"] for each in proved):
        return
    for each in read(scene.observed.trail, []):
        events = each["recent_events"]
        refused = list(takewhile(lambda event: event["error_code"], events))
        if refused:
            newest, older = refused[0], list(islice(events, len(refused), None))
            facts = {
                "many": "last pull" if len(refused) == 1 else f"last {len(refused)} pulls",
                "user": each["name"],
                "before": f"let the one before through at {older[0]['time']}" if older else "no earlier one was read",
                "time": newest["time"],
                "refusal": newest["error_code"],
            }
            told = newest["error_message"]
            yield finding("pulls_refused", scene.everybody, told, refused[-1]["time"], **facts)


def mirrors(scene: Scene) -> Iterator[Finding]:
    """Public images that are not there, or not what the private ones are now."""
    for each in read(scene.observed.mirror, []):
        if each["copied"]:
            code = "mirror_behind" if each["digest_before"] else "mirror_missing"
            yield finding(code, scene.users_of(each["source"]), **each)


def public_repositories(scene: Scene) -> Iterator[Finding]:
    """Public repositories whose catalogue data is not as the variables say; one that is not there lacks its images."""
    for name, one in scene.observed.public.items():
        if isinstance(one, Result) and one.before and (parts := drifted(one.before, one.after)):
            concerned = scene.those(partial(is_published, scene, one.before["uri"]))
            yield finding("public_drift", concerned, name=name, parts=", ".join(parts))


def is_published(scene: Scene, uri: str, item: Json) -> bool:
    """Return whether a workload runs an image of this public repository."""
    return scene.observed.public_images[item["image"]].startswith((f"{uri}:", f"{uri}@"))


def user(scene: Scene) -> Iterator[Finding]:
    """What is wrong with the pull user, its policies and its keys."""
    drift = [policy["drift"] for each in scene.observed.users for policy in each["policies"]]
    missing = {arn for each in drift for arn in each["missing"]}
    changed = any(each["other"] for each in drift)
    for one in scene.observed.user_findings:
        if one["code"] in OF_TOKENS:
            continue
        concerned, severity = scene.everybody, one["severity"]
        if one["code"] == "policy_drift" and severity == "warning" and not scene.desired.options["purge_repositories"]:
            severity = "info"  # a run for other images may have opened them
        elif one["code"] == "policy_drift" and severity == "error" and not changed:
            concerned = scene.those(lambda item: item["repository_arn"] in missing) or scene.everybody
        link = "key" if one["code"] in OF_THE_KEY else "user"
        yield from_module(one, link, concerned)._replace(severity=severity)


def user_drift(scene: Scene) -> Iterator[Finding]:
    """What else of the pull user a run would change; keys and the policy's text are told of otherwise."""
    found = scene.observed.user_preview
    if not isinstance(found, Result) or not (found.before and found.before["user"]):
        return
    before, after = found.before, found.after
    differs = {
        "user_path": before["user"]["path"] != after["user"]["path"],
        "user_permissions_boundary": before["user"]["permissions_boundary"] != after["user"]["permissions_boundary"],
        "user_tags": own_tags(before["user"]) != own_tags(after["user"]),
        "user_policy": before["policy"]["kind"] != after["policy"]["kind"],
    }
    parts = ", ".join(f"runpod_ecr_{part}" for part, changed in differs.items() if changed)
    if parts:
        yield finding("user_drift", scene.everybody, user=scene.desired.options["user_name"], parts=parts)


def own_tags(about: Json) -> Json:
    """Return the tags of a user that are not this collection's."""
    return {key: value for key, value in about["tags"].items() if not key.startswith("gpuops.runpod/")}


def policies(scene: Scene) -> Iterator[Finding]:
    """Policies of repositories that do not let all of RunPod's roles pull, or others too."""
    roles = scene.desired.options["pull_role_arns"]
    options = {"principal_arns": roles} if roles else {}
    for policy in read(scene.observed.policies, []):
        if policy["changed"]:
            arn, drift = policy["arn"], policy["drift"]
            code = "role_missing" if drift["missing"] else "role_outdated" if drift["outdated"] else "statement_missing"
            facts = {
                "arn": arn,
                "roles": ", ".join(drift["missing"] or drift["outdated"]),
                "grant": module_call("ecr_pull_grant", repositories=[arn], **options),
            }
            concerned = scene.those(partial(has, "repository_arn", arn))
            yield finding(code, concerned, json.dumps({"drift": drift}), **facts)


# What RunPod has


def credentials(scene: Scene) -> Iterator[Finding]:
    """Credentials that RunPod does not hold, and tokens at their end."""
    if not scene.observed.was_read("registries"):
        return
    for region, name in scene.observed.credential_names(scene.desired).items():
        concerned = scene.those(partial(has, "region", region))
        current = {each["id"] for each in scene.observed.current(scene.desired, region)}
        if not current:
            yield finding("credential_missing", concerned, name=name, region=region)
        for one in scene.observed.runpod_findings:
            if one["kind"] == "registry" and one["id"] in current and one["code"] != "credential_unused":
                yield token(scene, one, (name, region), concerned)


def further_credentials(scene: Scene) -> Iterator[Finding]:
    """Tokens at their end that RunPod holds of the pull user besides: those of other runs."""
    if not scene.observed.was_read("registries"):
        return
    account = scene.observed.account_id(scene.desired)
    names = {each["id"]: logical(each["name"]) for each in scene.observed.held("registries")}
    current = set(scene.observed.credential_names(scene.desired).values())
    of_the_user = {one for one in scene.observed.expiry if names.get(one) not in {None, *current}}
    for one in scene.observed.runpod_findings:
        if one["kind"] == "registry" and one["id"] in of_the_user and one["code"] in OF_TOKENS:
            name = names[one["id"]]
            region = scene.desired.region_of(name, account)
            found = token(scene, one, (name, region), ())
            yield found if region else found._replace(remedy=one["remedy"])


def token(scene: Scene, one: Json, credential: tuple[str, str], concerned: tuple[str, ...]) -> Finding:
    """Return the problem with the token of a credential, whose name and region are given."""
    name, region = credential
    if one["code"] == "token_unknown" and not scene.desired.by_user:
        return finding("token_unknown", concerned, name=one["name"])
    store = {"secret_store": given(scene.desired.store)} if scene.desired.by_user else {}
    call = module_call("runpod_ecr_credential", name=name, registry_region=region, **store)
    since = scene.observed.expiry.get(one["id"]) if one["code"] == "token_expired" else None
    return from_module(one, "credential", concerned)._replace(remedy=call, since=since)


def given(options: Json) -> Json:
    """Return the options that are set."""
    return {key: value for key, value in options.items() if value is not None}


def delegations(scene: Scene) -> Iterator[Finding]:
    """Repositories that RunPod was not told of."""
    if scene.desired.access == "delegation":
        for item in scene.desired.items:
            if scene.observed.cut_off(scene.desired, item):
                call = module_call("runpod_ecr_delegation", images=[item["image"]])
                yield finding("delegation_missing", (item["name"],), arn=item["repository_arn"], delegate=call)


def unproven(scene: Scene, found: list[Finding]) -> list[Finding]:
    """By delegation nothing can be proved; of what is known to fail that needs no word."""
    if scene.desired.access != "delegation":
        return []
    broken = {name for one in found if one.severity == "error" for name in one.workloads}
    items = [item for item in scene.desired.items if item["name"] not in broken]
    return [
        finding("unproven_serverless" if item["template"].get("serverless") else "unproven", (item["name"],))
        for item in items
    ]


def account(scene: Scene) -> Iterator[Finding]:
    """Templates and endpoints that cannot pull: those of the workloads, and others that run their repositories."""
    others = {(kind, each["id"]) for kind, each in foreign(scene.desired, scene.observed)}
    for one in scene.observed.runpod_findings:
        if one["code"] not in LOST:
            continue
        if (one["kind"], one["id"]) in others:
            yield from_module(one, "", ())._replace(severity="warning")
        for item in scene.desired.items:
            told = scene.observed.cut_off(scene.desired, item) or (one["kind"] == "template" and unlinked(scene, item))
            if name_of(item, one["kind"]) == one["name"] and not told:
                yield from_module(one, one["kind"], (item["name"],))._replace(remedy=MAIN_JOB)


def name_of(item: Json, kind: str) -> str | None:
    """Return the name of a workload's template or endpoint."""
    return {"template": item["name"], "endpoint": (item["endpoint"] or {}).get("name")}.get(kind)


def lost(scene: Scene, kind: str, item: Json) -> bool:
    """Return whether it is told already why a template or an endpoint has not the registry that it should have."""
    told_of = any(
        one["kind"] == kind and one["name"] == name_of(item, kind) and one["code"] in LOST
        for one in scene.observed.runpod_findings
    )
    return (
        told_of or scene.observed.cut_off(scene.desired, item) or (kind == "template" and bool(unlinked(scene, item)))
    )


def unlinked(scene: Scene, item: Json) -> list[Finding]:
    """Return the finding on the template of a workload that does not refer to the credential of its region."""
    current = scene.observed.current(scene.desired, item["region"])
    if not current or "registry" in item["template"]:
        return []
    for each in scene.observed.held("templates"):
        if each["name"] == item["name"] and each["registry"] not in [one["id"] for one in current]:
            facts = {
                "name": each["name"],
                "credential": current[0]["name"],
                "registry": each["registry"] or "none",
                "repoint": module_call("runpod_template", name=each["name"], registry=current[0]["name"]),
            }
            raw = json.dumps({"registry": each["registry"]})
            return [finding("credential_unlinked", (item["name"],), raw, **facts)]
    return []


def drifted(before: Mapping[str, Any], after: Mapping[str, Any], but: Collection[str] = ()) -> list[str]:
    """Return the options that differ."""
    return sorted(key for key, value in after.items() if value != before.get(key) and key not in but)


def templates(scene: Scene) -> Iterator[Finding]:
    """Templates that are not there, or not as the variables say."""
    steps = {step.name: step for step in read(scene.observed.templates, [])}
    for item in scene.desired.items:
        yield from unlinked(scene, item)
        if item["name"] in steps:
            step = steps[item["name"]]
            yield from differing(scene, "template", item, step.before, step.after)


def endpoints(scene: Scene) -> Iterator[Finding]:
    """Endpoints that are not there, are not as the variables say, or still run what was before."""
    for item in scene.desired.items:
        look = scene.observed.endpoints.get(name_of(item, "endpoint") or "")
        if isinstance(look, Failure):
            yield failure(f"The endpoint {item['endpoint']['name']}", look, ("endpoint",), (item["name"],))
        elif look:
            yield from endpoint(scene, item, look)


def endpoint(scene: Scene, item: Json, look: EndpointLook) -> Iterator[Finding]:
    """What is not as it should be counts before what is not rolled out yet."""
    differs = [*differing(scene, "endpoint", item, look.before, look.after)]
    release = look.release or {"changes": [], "rollout": None}
    rollout, identifier = release["rollout"] or {}, (look.before or {}).get("id")
    if release["changes"] and differs:
        facts = {"name": item["endpoint"]["name"], "changes": ", ".join(release["changes"]), "release": MAIN_JOB}
        yield finding("template_not_rolled_out", (item["name"],), json.dumps(facts["changes"]), **facts)
        return
    if not release["changes"] and rollout.get("in_progress"):
        wait = module_call("runpod_endpoint", id=identifier, wait=True)
        raw = json.dumps({"rollout": rollout})
        yield finding("rollout_unfinished", (item["name"],), raw, **rollout, name=item["endpoint"]["name"], wait=wait)
    yield from differs


def differing(scene: Scene, kind: str, item: Json, before: Json | None, after: Json | None) -> Iterator[Finding]:
    """A template or an endpoint that differs from what it should be."""
    name, concerned = name_of(item, kind), (item["name"],)
    if not before:
        yield finding(f"{kind}_missing", concerned, name=name)
        return
    parts = drifted(before, after or {}, ("id", "registry") if lost(scene, kind, item) else ("id",))
    if parts:
        image = f" It runs {before['image']}." if "image" in parts else ""
        yield finding(f"{kind}_drift", concerned, name=name, parts=", ".join(parts), image=image)


RULES_IN_ORDER: list[Callable[[Scene], Iterable[Finding]]] = [
    refusals,
    public_repositories,
    mirrors,
    policies,
    credentials,
    further_credentials,
    delegations,
    account,
    templates,
    endpoints,
]
