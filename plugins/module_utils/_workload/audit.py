# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: what is wrong with workloads, from what the role's audit read of both clouds. Pure.
#
# Each problem is told once, at the link of the chain where it is mended: what only follows from it is left out.

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import partial
from itertools import takewhile
from typing import Any, NamedTuple

from .._core.errors import Json
from .._core.finding import SEVERITIES, module_call
from .._runpod.credential_replacement import logical
from . import verdicts as _verdicts
from .spec import users

# The links of a chain, in their order; the last three are looked at through RunPod.
LINKS = ["image", "user", "key", "caller", "policy", "public_image", "credential", "delegation", "template", "endpoint"]
CHAINS = {
    ("credential", "user"): ["image", "user", "key", "credential", "template", "endpoint"],
    ("credential", "caller"): ["image", "caller", "credential", "template", "endpoint"],
    ("delegation", "user"): ["image", "policy", "delegation", "template", "endpoint"],
    ("public", "user"): ["image", "public_image", "template", "endpoint"],
}

# Read -> the key that its result has unless it failed, what it is called, and the links that hang on it.
READS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "images": ("images", "The images", ("image",)),
    "proof": ("images", "Whether the images can be pulled", ("user", "public_image")),
    "user": ("users", "The pull user", ("user", "key")),
    "trail": ("users", "What CloudTrail noted of the pull user", ("user",)),
    "user_foreseen": ("user", "What a run would change of the pull user", ("user",)),
    "policies": ("policies", "The policies of the repositories", ("policy",)),
    "mirror": ("images", "The public images", ("public_image",)),
    "account": ("references", "What RunPod holds", ("credential", "delegation", "template", "endpoint")),
    "templates": ("templates", "The templates", ("template",)),
}

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
LOST = {"access_missing", "credential_gone"}  # of a template or an endpoint, when its credential or delegation went

VARIABLES = "-e @VARIABLES.yml"
MAIN_JOB = f"With the variables of this audit: ansible-playbook gpuops.runpod.runpod_ecr {VARIABLES}"
MEND_THE_REST = "Mend what else is found here. Events take up to 15 minutes to arrive."
REMEDIES = {  # what mends it as a whole, in place of a step
    "quarantined": f"When the incident is over: ansible-playbook gpuops.runpod.runpod_ecr {VARIABLES} "
    "-e runpod_ecr_release_quarantine=true",
    "rotation_due": f"With the variables of this audit: ansible-playbook gpuops.runpod.rotate {VARIABLES}",
    **dict.fromkeys(("policy_drift", "policy_missing", "user_missing"), MAIN_JOB),
    **dict.fromkeys(("secret_key_mismatch", "secret_missing"), MAIN_JOB),
}


class DesiredState(NamedTuple):
    """What the role's variables ask for. `credentials` maps a region to the name of its credential, `images` an image
    to the public one that is run in its place, and `secret_store` tells the entry of the pull user.
    """

    access: str
    pull_identity: str
    user: str
    secret_store: Json
    credentials: Mapping[str, str]
    images: Mapping[str, str]
    purge: bool
    rotate_after_days: int
    roles: list[str] | None

    @property
    def chain(self) -> list[str]:
        """The kinds of the links between an image and what runs it."""
        return CHAINS[self.access, self.pull_identity if self.access == "credential" else "user"]


class Finding(NamedTuple):
    """One problem: the links that it shows at, the names of the workloads, and since when it is, if that is known."""

    links: tuple[str, ...]
    severity: str
    code: str
    cause: str
    remedy: str
    workloads: tuple[str, ...]
    raw: str | None = None
    since: str | None = None


class ObservedState(NamedTuple):
    """The workloads, what is asked for, and what the reads brought."""

    items: list[Json]
    asked: DesiredState
    reads: Mapping[str, Json]

    @property
    def everybody(self) -> tuple[str, ...]:
        """The names of all workloads."""
        return tuple(item["name"] for item in self.items)

    def of(self, name: str) -> Any:
        """Return what a read brought under its key; None when it failed, or was not made."""
        return told(self.reads.get(name), READS[name][0])

    def listed(self, name: str, key: str = "") -> list[Json]:
        """Return a list of what a read brought; empty when there is none."""
        return told(self.reads.get(name), key or READS[name][0]) or []

    def diff(self, name: str) -> tuple[Json, Json]:
        """Return what is, and what a run would make of it."""
        given = (self.reads.get(name) or {}).get("diff") or {}
        return given.get("before") or {}, given.get("after") or {}

    def users_of(self, image: str) -> tuple[str, ...]:
        """Return the workloads that run an image, or its public one."""
        return self.those(lambda item: image in (item["image"], self.asked.images.get(item["image"])))

    def those(self, chosen: Callable[[Json], bool]) -> tuple[str, ...]:
        """Return the names of the workloads that are chosen."""
        return tuple(item["name"] for item in self.items if chosen(item))

    def current(self, region: str) -> list[Json]:
        """Return the credential of a region at RunPod; while it is being replaced there are two."""
        name = self.asked.credentials.get(region)
        return [each for each in self.listed("account", "registries") if logical(each["name"]) == name]

    def cut_off(self, item: Json) -> bool:
        """Return whether RunPod lacks the credential or the delegation of a workload."""
        if self.of("account") is None:
            return False
        if self.asked.access == "credential":
            return not self.current(item["region"])
        return self.asked.access == "delegation" and not self.delegations(item["repository_arn"])

    def delegations(self, arn: str) -> list[Json]:
        """Return the delegations of a repository."""
        return [each for each in self.listed("account", "delegations") if each["repository_arn"] == arn]


def told(read: Mapping[str, Any] | None, key: str) -> Any:
    """Return what a result tells under a key; None when it failed or was skipped."""
    return (read or {}).get(key)


def problems(observed: ObservedState) -> list[Finding]:
    """Return all that is wrong, each once, the worst first and by its link."""
    about_the_user = [*user(observed)]
    shut = any(one.severity == "error" for one in about_the_user)
    found = [
        *failures(observed, shut),
        *images(observed),
        *about_the_user,
        *proof(observed, shut),
        *refusals(observed),
        *user_drift(observed, shut),
        *(
            one
            for check in (
                public_repositories,
                mirrors,
                policies,
                credentials,
                delegations,
                account,
                templates,
                endpoints,
            )
            for one in check(observed)
        ),
    ]
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


def failures(observed: ObservedState, shut: bool) -> Iterator[Finding]:
    """A read that failed. That the pull user is shut off explains why nothing can be learned as that user."""
    for name, (key, what, links) in READS.items():
        read = observed.reads.get(name)
        explained = shut and name in ("proof", "user_foreseen")
        if read is not None and not read.get("skipped") and key not in read and not explained:
            yield failure(what, read, tuple(link for link in links if link in observed.asked.chain), observed.everybody)


def failure(what: str, read: Json, links: tuple[str, ...], workloads: tuple[str, ...]) -> Finding:
    """Return the problem of a read that failed."""
    raw = str(read.get("msg") or "the module gave no reason")
    remedy = "Mend what the text tells, then audit again."
    return Finding(links, "error", "unreadable", f"{what} could not be read: {raw}", remedy, workloads, raw)


# Image, and the right to pull it


def images(observed: ObservedState) -> Iterator[Finding]:
    """What is wrong with the images. That whoever runs this may not read one means nothing when the puller may."""
    proved = {each["image"] for each in observed.listed("proof") if each["pullable"]}
    for each in observed.listed("images"):
        for one in each["findings"]:
            denied = one["code"] not in OF_THE_IMAGE
            link = "caller" if denied and "caller" in observed.asked.chain else "image"
            if not (denied and each["image"] in proved):
                yield finding(one, (link,), observed.users_of(each["image"]))


def proof(observed: ObservedState, shut: bool) -> Iterator[Finding]:
    """Why the images cannot be pulled by whoever pulls; what keeps the pull user from anything is told already."""
    public = observed.asked.access == "public"
    absent = [each["destination"] for each in observed.listed("mirror") if each["copied"] and not each["digest_before"]]
    for each in observed.listed("proof"):
        for one in each["findings"]:
            link = "image" if one["code"] in OF_THE_IMAGE else "key" if one["code"] in OF_THE_KEY else "user"
            if (link == "image" or not shut) and each["image"] not in absent:
                yield finding(one, ("public_image" if public else link,), observed.users_of(each["image"]))


def refusals(observed: ObservedState) -> Iterator[Finding]:
    """Since when AWS refuses the pull user, as far as CloudTrail was asked; nothing once every image can be pulled."""
    proved = observed.of("proof")
    if proved and all(each["pullable"] for each in proved):
        return
    for each in observed.listed("trail"):
        events = each["recent_events"]
        refused = list(takewhile(lambda event: event["error_code"], events))
        if refused:
            newest, many = refused[0], "last pull" if len(refused) == 1 else f"last {len(refused)} pulls"
            older = events[len(refused) :]
            before = f"let the one before through at {older[0]['time']}" if older else "no earlier one was read"
            cause = (
                f"AWS refused the {many} of {each['name']} that CloudTrail noted, and {before}. "
                f"The latest, at {newest['time']}: {newest['error_code']}: {newest['error_message']}"
            )
            raw, since = newest["error_message"], refused[-1]["time"]
            yield Finding(("user",), "warning", "pulls_refused", cause, MEND_THE_REST, observed.everybody, raw, since)


def mirrors(observed: ObservedState) -> Iterator[Finding]:
    """Public images that are not there, or not what the private ones are now."""
    for each in observed.listed("mirror"):
        if each["copied"]:
            severity, code, cause = "error", "mirror_missing", f"{each['destination']} does not exist."
            if each["digest_before"]:
                severity, code = "warning", "mirror_behind"
                cause = (
                    f"{each['destination']} is still {each['digest_before']}, and {each['source']} {each['digest']}."
                )
            yield Finding(("public_image",), severity, code, cause, MAIN_JOB, observed.users_of(each["source"]))


def public_repositories(observed: ObservedState) -> Iterator[Finding]:
    """Public repositories that could not be read, or whose catalogue data is not as the variables say."""
    for read in observed.listed("public", "results"):
        name = read["__runpod_ecr_public_name"]
        if "repository" not in read:
            yield failure(f"The public repository {name}", read, ("public_image",), observed.everybody)
            continue
        diff = read.get("diff") or {}
        parts = drifted(diff.get("before") or {}, diff.get("after") or {}) if diff.get("before") else []
        if parts:
            uri = read["repository"]["uri"]
            concerned = tuple(
                item["name"] for item in observed.items if published(observed, item).startswith((f"{uri}:", f"{uri}@"))
            )
            cause = f"The public repository {name} is not as the variables say: {', '.join(parts)}."
            yield Finding(("public_image",), "warning", "public_drift", cause, MAIN_JOB, concerned)


def published(observed: ObservedState, item: Json) -> str:
    """Return the public image of a workload, empty when it has none."""
    return observed.asked.images.get(item["image"], "")


def finding(one: Json, links: tuple[str, ...], workloads: tuple[str, ...], **changed: Any) -> Finding:
    """Return a finding of a module as a problem."""
    remedy: str = REMEDIES.get(one["code"]) or one["remedy"]
    found = Finding(links, one["severity"], one["code"], one["cause"], remedy, workloads, one.get("raw"))
    return found._replace(**changed)


def user(observed: ObservedState) -> Iterator[Finding]:
    """What is wrong with the pull user, its policies and its keys."""
    drift = [policy["drift"] for each in observed.listed("user") for policy in each["policies"]]
    missing = {arn for each in drift for arn in each["missing"]}
    changed = any(each["other"] for each in drift)
    for one in observed.listed("user", "findings"):
        if one["code"] in OF_TOKENS:
            continue
        concerned, severity = observed.everybody, one["severity"]
        if one["code"] == "policy_drift" and severity == "warning" and not observed.asked.purge:
            severity = "info"  # a run for other images may have opened them
        elif one["code"] == "policy_drift" and severity == "error" and not changed:
            concerned = observed.those(lambda item: item["repository_arn"] in missing) or observed.everybody
        link = "key" if one["code"] in OF_THE_KEY else "user"
        yield finding(one, (link,), concerned, severity=severity)


def user_drift(observed: ObservedState, shut: bool) -> Iterator[Finding]:
    """What else of the pull user a run would change; keys and the policy's text are told of otherwise."""
    before, after = observed.diff("user_foreseen")
    if shut or not (before.get("user") and after.get("user")):
        return
    parts = [
        option
        for option, field in (("user_path", "path"), ("user_permissions_boundary", "permissions_boundary"))
        if before["user"].get(field) != after["user"].get(field)
    ]
    if own_tags(before["user"]) != own_tags(after["user"]):
        parts.append("user_tags")
    if before["policy"]["kind"] != after["policy"]["kind"]:
        parts.append("user_policy")
    if parts:
        cause = f"The pull user {observed.asked.user} is not as the variables say: {names(parts)}."
        yield Finding(("user",), "warning", "user_drift", cause, MAIN_JOB, observed.everybody)


def own_tags(about: Json) -> Json:
    """Return the tags of a user that are not this collection's."""
    return {key: value for key, value in (about.get("tags") or {}).items() if not key.startswith("gpuops.runpod/")}


def names(parts: Iterable[str]) -> str:
    """Return options of the role as a list in words."""
    return ", ".join(f"runpod_ecr_{part}" for part in parts)


def policies(observed: ObservedState) -> Iterator[Finding]:
    """Policies of repositories that do not let all of RunPod's roles pull, or others too."""
    options = {"principal_arns": observed.asked.roles} if observed.asked.roles else {}
    for policy in observed.listed("policies"):
        for one in _verdicts.of_policy(policy, **options):
            yield finding(one, ("policy",), observed.those(partial(lies_in, policy["arn"])))


def lies_in(arn: str, item: Json) -> bool:
    """Return whether the image of a workload lies in a repository."""
    return item["repository_arn"] == arn


# What RunPod has


def credentials(observed: ObservedState) -> Iterator[Finding]:
    """Credentials that RunPod does not hold, and tokens at their end."""
    if observed.of("account") is None:
        return
    for region, name in observed.asked.credentials.items():
        concerned = tuple(item["name"] for item in observed.items if item["region"] == region)
        current = {each["id"] for each in observed.current(region)}
        if not current:
            cause = f"RunPod holds no credential {name}, so it cannot log in to ECR in {region}."
            yield Finding(("credential",), "error", "credential_missing", cause, MAIN_JOB, concerned)
        for one in observed.listed("account", "findings"):
            if one["kind"] == "registry" and one["id"] in current and one["code"] != "credential_unused":
                yield token(observed, one, region, concerned)


def token(observed: ObservedState, one: Json, region: str, concerned: tuple[str, ...]) -> Finding:
    """Return the problem with the token of a credential."""
    if one["code"] == "token_unknown" and observed.asked.pull_identity == "caller":
        cause = f"Nothing records when the token in the credential {one['name']} ends: it was minted as the caller."
        remedy = f"Refresh it every four hours: ansible-playbook gpuops.runpod.refresh {VARIABLES}"
        return Finding(("credential",), "info", one["code"], cause, remedy, concerned)
    store = {"secret_store": observed.asked.secret_store} if observed.asked.pull_identity == "user" else {}
    call = module_call(
        "runpod_ecr_credential", name=observed.asked.credentials[region], registry_region=region, **store
    )
    since = expiry(observed).get(one["id"]) if one["code"] == "token_expired" else None
    return finding(one, ("credential",), concerned, remedy=call, since=since)


def expiry(observed: ObservedState) -> dict[str, str]:
    """Return id of a credential -> when its token ends, as the secret store tells."""
    stores = [each["secret_store"] for each in observed.listed("user") if each["secret_store"]]
    return {token["registry_id"]: token["expires_at"] for store in stores for token in store["tokens"]}


def delegations(observed: ObservedState) -> Iterator[Finding]:
    """Repositories that RunPod was not told of."""
    if observed.asked.access == "delegation":
        for item in observed.items:
            if observed.cut_off(item):
                cause = f"RunPod was not told of {item['repository_arn']}, so it does not pull with its own roles."
                call = module_call("runpod_ecr_delegation", images=[item["image"]])
                yield Finding(("delegation",), "error", "delegation_missing", cause, call, (item["name"],))


def account(observed: ObservedState) -> Iterator[Finding]:
    """Templates and endpoints that cannot pull: those of the workloads, and others that run their repositories."""
    found = [one for one in observed.listed("account", "findings") if one["code"] in LOST]
    others = (
        {(each["kind"], each["id"]) for each in users(observed.items, observed.reads["account"], {})}
        if found
        else set()
    )
    for one in found:
        mine = [item for item in observed.items if name_of(item, one["kind"]) == one["name"]]
        if (one["kind"], one["id"]) in others:
            yield finding(one, (), (), severity="warning")
        for item in mine:
            if not (observed.cut_off(item) or (one["kind"] == "template" and unlinked(observed, item))):
                yield finding(one, (one["kind"],), (item["name"],), remedy=MAIN_JOB)


def name_of(item: Json, kind: str) -> str | None:
    """Return the name of a workload's template or endpoint."""
    return {"template": item["name"], "endpoint": (item["endpoint"] or {}).get("name")}.get(kind)


def lost(observed: ObservedState, kind: str, name: str) -> bool:
    """Return whether it is told already why a template or an endpoint has not the registry that it should have."""
    told_of = any(
        one["kind"] == kind and one["name"] == name and one["code"] in LOST
        for one in observed.listed("account", "findings")
    )
    mine = [item for item in observed.items if name_of(item, kind) == name]
    return told_of or any(observed.cut_off(item) or (kind == "template" and unlinked(observed, item)) for item in mine)


def unlinked(observed: ObservedState, item: Json) -> list[Json]:
    """Return the finding on the template of a workload that does not refer to the credential of its region."""
    current = observed.current(item["region"])
    if not current or "registry" in item["template"]:
        return []
    for each in observed.listed("account", "templates"):
        if each["name"] == item["name"] and each["registry"] not in [one["id"] for one in current]:
            return [*_verdicts.of_template(each, current[0])]
    return []


def drifted(before: Mapping[str, Any], after: Mapping[str, Any], but: Collection[str] = ()) -> list[str]:
    """Return the options that differ."""
    return sorted(key for key, value in after.items() if value != before.get(key) and key not in but)


def templates(observed: ObservedState) -> Iterator[Finding]:
    """Templates that are not there, or not as the variables say."""
    before, after = (
        {each["name"]: each for each in state.get("templates", [])} for state in observed.diff("templates")
    )
    for item in observed.items:
        name, concerned = item["name"], (item["name"],)
        for one in unlinked(observed, item):
            yield finding(one, ("template",), concerned)
        if name in after:
            yield from differing(observed, "template", name, before.get(name), after[name], concerned)


def endpoints(observed: ObservedState) -> Iterator[Finding]:
    """Endpoints that are not there, are not as the variables say, or still run what was before."""
    for item, read in looks(observed):
        name, concerned = item["endpoint"]["name"], (item["name"],)
        if "endpoint" not in read:
            yield failure(f"The endpoint {name}", read, ("endpoint",), concerned)
            continue
        diff = read.get("diff") or {}
        verdicts = [*_verdicts.of_endpoint(read, item["name"])] if read["endpoint"] else []
        differs = [*differing(observed, "endpoint", name, diff.get("before"), diff.get("after") or {}, concerned)]
        for one in verdicts:
            if one["code"] == "rollout_unfinished":
                yield finding(one, ("endpoint",), concerned)
            elif differs and differs[0].severity == "warning":
                yield finding(one, ("endpoint",), concerned, remedy=MAIN_JOB)
                differs = []
        yield from differs


def looks(observed: ObservedState) -> list[tuple[Json, Json]]:
    """Return each workload with an endpoint, and what the look at it brought, unless it was not looked at."""
    reads = {read["__runpod_ecr_endpoint"]["name"]: read for read in observed.listed("endpoints", "results")}
    pairs = [(item, reads.get(item["endpoint"]["name"])) for item in observed.items if item["endpoint"]]
    return [(item, read) for item, read in pairs if read and not read.get("skipped")]


def differing(
    observed: ObservedState, kind: str, name: str, before: Json | None, after: Json, concerned: tuple[str, ...]
) -> Iterator[Finding]:
    """A template or an endpoint that differs from what it should be."""
    if not before:
        if after:
            yield Finding((kind,), "error", f"{kind}_missing", f"RunPod has no {kind} {name}.", MAIN_JOB, concerned)
        return
    parts = drifted(before, after, ("id", "registry") if lost(observed, kind, name) else ("id",))
    if parts:
        image = f" It runs {before['image']}." if "image" in parts else ""
        cause = f"The {kind} {name} is not as the variables say: {', '.join(parts)}.{image}"
        yield Finding((kind,), "warning", f"{kind}_drift", cause, MAIN_JOB, concerned)
