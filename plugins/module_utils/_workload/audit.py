# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: what is wrong with workloads. Each problem is told once, where it is mended; what follows
# from it is left out.

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from functools import partial
from itertools import islice, takewhile
from typing import Any, NamedTuple

from .._aws.runpod_roles import IN_FORCE
from .._aws.secret_store import STORES
from .._core.errors import EXPIRED, Json
from .._core.finding import SEVERITIES, module_call
from .._core.result import Result
from .._core.time import format_time, parse_time
from .._ecr.repository_policy import listed, statements
from .._oci.reference import repository_of
from .._runpod.credential_replacement import logical
from .._runpod.ownership import foreign_signs
from .._runpod.references import KINDS, credential_users
from .audit_lifecycle import Expiry
from .audit_policy import access, covers, like, open_to_all
from .audit_verdict import OF_THE_IMAGE, OF_THE_KEY, Judge, in_use
from .desired import DesiredState
from .findings import ADOPTING, CHAINS, LINKS, MAIN_JOB, Finding, finding, from_module
from .observed import EndpointLook, Failure, ObservedState, read
from .strays import LOST, foreign

OF_TOKENS = {"token_ends_soon", "token_expired"}  # judged by what RunPod holds
NO_SESSION = EXPIRED | {"NoCredentialsError", "PartialCredentialsError", "credentials_expired", "credentials_missing"}
# What the pull user's policy, and its state, explain.
ABOVE = {"boundary_denies", "explicit_deny", "organization_denies", "session_denies", "endpoint_denies", "secret_wrong"}
OF_ITS_POLICY = {"denied", "repository_not_allowed", "token_not_allowed"}
SHUT = {"quarantined", "user_missing"}
# A note in the place of a key that is still to be made.
RESERVATION = '{"pending": {"since": "2000-01-01T00:00:00Z", "known_key_ids": [], "abandoned": true}}'
EMPTYING = (
    "When the entry is meant for this user, note that its key is to be made anew, and let a run make it; the store "
)
EMPTYING += "keeps the former value as a version"
BOUND = (
    "Have whoever keeps the boundary allow ecr:GetAuthorizationToken on *, and ecr:BatchGetImage and "
    "ecr:GetDownloadUrlForLayer on the repositories, or name another one in runpod_ecr_user_permissions_boundary and "
    "run the main playbook. No command lifts a boundary, for it is there to bound."
)
OVERLAP_DAYS = 2  # for which a rotation leaves two keys
STARTING = 15  # minutes for the pull of a large image
AT_RUNPOD = {
    "registries": "credential",
    "delegations": "delegation",
    "templates": "template",
    "endpoints": "endpoint",
    "pods": "",
}


class Scene(NamedTuple):
    desired: DesiredState
    observed: ObservedState

    @property
    def chain(self) -> list[str]:
        """The kinds of links between an image and what runs it."""
        access = self.desired.access
        return CHAINS[access, self.desired.options["pull_identity"] if access == "credential" else "user"]

    @property
    def judge(self) -> Judge:
        roles = self.desired.options["pull_role_arns"] or IN_FORCE
        return Judge(self.desired, self.observed, tuple(roles))

    @property
    def everybody(self) -> tuple[str, ...]:
        return self.those(lambda dummy: True)

    def those(self, chosen: Callable[[Json], bool]) -> tuple[str, ...]:
        return tuple(item["name"] for item in self.desired.items if chosen(item))

    def users_of(self, image: str) -> tuple[str, ...]:
        """Return the workloads that run an image, or its public one."""
        return self.those(lambda item: image in (item["image"], self.observed.public_images.get(item["image"])))


def has(field: str, value: str, item: Json) -> bool:
    return bool(item[field] == value)


def problems(desired: DesiredState, observed: ObservedState) -> list[Finding]:
    """Return each once, the worst first and by its link."""
    scene = Scene(desired, observed)
    about_the_user = [*user(scene)]
    known = {one.code for one in [*about_the_user, *credentials(scene)] if one.severity != "info"}
    refused = one_of_each([*proof(scene), *tokens(scene)])
    found = [
        *failures(scene, known),
        *images(scene),
        *denying(about_the_user, refused),
        *borrowed(scene),
        *(one for one in refused if not explained(one, about_the_user)),
        *(one for rule in RULES_IN_ORDER for one in rule(scene)),
        *([] if any(one.severity == "error" for one in about_the_user) else user_drift(scene)),
    ]
    found += unproven(scene, found)
    weighed = [weigh(scene, one) for one in merged(found)]
    return sorted(weighed, key=lambda one: (SEVERITIES.index(one.severity), place(one), one.code, one.cause))


def weigh(scene: Scene, one: Finding) -> Finding:
    """Red is only what keeps something in use from being pulled now."""
    if one.severity != "error":
        return one
    if one.code in OF_THE_KEY or works_all(scene, one.workloads):
        return one._replace(severity="warning", cause=f"{one.cause}{lasting(scene, one)}")
    return one


def works_all(scene: Scene, names: Collection[str]) -> bool:
    items = [item for item in scene.desired.items if item["name"] in names]
    return bool(items) and all(scene.judge.failing(item) is False for item in items)


def lasting(scene: Scene, one: Finding) -> str:
    """Return until when RunPod can pull without a new token."""
    if not scene.desired.by_user or not {"user", "key"} & set(one.links):
        return ""
    ends = sorted(end for end in scene.observed.expiry.values() if parse_time(end) > scene.observed.now)
    if ends:
        return f" RunPod can pull with the token that it has until {ends[0]}, and then no more."
    return " RunPod can pull with the token that it has for at most 12 hours, and then no more."


def place(one: Finding) -> int:
    """What belongs to no workload comes last."""
    return min((LINKS.index(link) for link in one.links), default=len(LINKS))


def merged(found: Iterable[Finding]) -> list[Finding]:
    """Join what says the same of several links or workloads."""
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


def failures(scene: Scene, known: AbstractSet[str]) -> Iterator[Finding]:
    """Tell reads that failed alike once, without what findings on the user tell."""
    alike: dict[str, list[tuple[Failure, str, tuple[str, ...], tuple[str, ...]]]] = {}
    for found, what, links, workloads in [*reads(scene), *of_images(scene)]:
        twice_there = what == TEMPLATES and "credential_twice" in known
        if isinstance(found, Failure) and not (told_of_the_user(found, what, known) or twice_there):
            key = "session" if found.code in NO_SESSION else found.code if found.refused else found.text
            alike.setdefault(key, []).append((found, what, links, workloads))
    for key, failed in alike.items():
        names = dict.fromkeys(each[1] for each in failed)
        what = " and ".join(name for name in names if not (name == DRIFT and PULL_USER in names))
        links = tuple(dict.fromkeys(link for each in failed for link in each[2]))
        workloads = tuple(dict.fromkeys(name for each in failed for name in each[3]))
        one = failure(what, failed[0][0], links, workloads)
        yield finding("no_session", workloads, failed[0][0].text)._replace(links=links) if key == "session" else one
    yield from at_runpod(scene)


PULL_USER, DRIFT = "The pull user", "What a run would change of the pull user"
PROOF, TEMPLATES = "Whether the images can be pulled", "The templates"


def reads(scene: Scene) -> list[tuple[Any, str, tuple[str, ...], tuple[str, ...]]]:
    seen, everybody = scene.observed, scene.everybody
    proved = ("public_image",) if scene.desired.access == "public" else ("key",)
    pulled = scene.desired.by_user or scene.desired.access == "public"
    return [
        (seen.images, "The images", ("image",), everybody),
        (seen.proof if pulled else None, PROOF, proved, everybody),
        (seen.user, PULL_USER, ("user", "key"), everybody),
        (seen.trail, "What CloudTrail noted of the pull user", (), ()),
        (None if hidden(seen.proof) else seen.user_preview, DRIFT, ("user",), everybody),
        (seen.policies, "The policies of the repositories", ("policy",), everybody),
        (seen.mirror, "The public images", ("public_image",), everybody),
        (seen.templates, TEMPLATES, ("template",), everybody),
        *((one, f"The public repository {name}", ("public_image",), everybody) for name, one in seen.public.items()),
    ]


def of_images(scene: Scene) -> Iterator[tuple[Any, str, tuple[str, ...], tuple[str, ...]]]:
    for found, what in (
        (scene.observed.layers, "Whether all layers are there"),
        (scene.observed.expiring, "The lifecycle rules of the repositories"),
    ):
        yield from ((one, what, ("image",), scene.users_of(image)) for image, one in found.items())


def one_of_each(refused: Iterable[Finding]) -> list[Finding]:
    """Tell refusals of one policy above or beside the user once: it denies each image and call."""
    by_code: dict[tuple[str, tuple[str, ...]], Finding] = {}
    for one in sorted(refused, key=lambda each: SEVERITIES.index(each.severity)):
        key = (one.code, one.links)
        known = by_code.setdefault(key if one.code in ABOVE else (one.cause, one.links), one)
        workloads = tuple(dict.fromkeys(known.workloads + one.workloads))
        by_code[key if one.code in ABOVE else (one.cause, one.links)] = known._replace(workloads=workloads)
    return list(by_code.values())


def told_of_the_user(found: Failure, what: str, known: AbstractSet[str]) -> bool:
    """Return whether the user or its entry explains the failure."""
    if found.refused or found.code in NO_SESSION:
        return False
    of_the_entry = bool(known & {"secret_missing", "secret_unreadable"})
    return (what == PROOF and of_the_entry) or (what == DRIFT and bool(known - {"credential_twice"}))


def failure(what: str, found: Failure, links: tuple[str, ...], workloads: tuple[str, ...]) -> Finding:
    """Grey where whoever looks may not."""
    code = "not_looked_at" if found.refused else "unreadable"
    return finding(code, workloads if links else (), found.text, what=what)._replace(links=links)


def at_runpod(scene: Scene) -> Iterator[Finding]:
    """Listings that failed alike are told once."""
    failed: dict[str, dict[str, Failure]] = {}
    for kind, found in scene.observed.runpod.items():
        if isinstance(found, Failure):
            failed.setdefault(found.code, {})[kind] = found
    for kinds in failed.values():
        links = tuple(AT_RUNPOD[kind] for kind in kinds if AT_RUNPOD[kind] in scene.chain)
        everything = kinds.keys() == scene.observed.runpod.keys()
        what = "What RunPod holds" if everything else f"What RunPod holds of {' and '.join(kinds)}"
        yield failure(what, [*kinds.values()][0], links, scene.everybody)


# Image, and the right to pull it


def images(scene: Scene) -> Iterator[Finding]:
    """That whoever runs this may not read one means nothing when the puller may."""
    checks = read(scene.observed.proof, []) if scene.observed.proof is not scene.observed.images else []
    proved = {each["image"] for each in read(scene.observed.proof, []) if each["pullable"]}
    reported = {(each["image"], one["code"]) for each in checks for one in each["findings"]}
    for each in read(scene.observed.images, []):
        for one in each["findings"]:
            denied = one["code"] not in OF_THE_IMAGE
            link = "caller" if denied and "caller" in scene.chain else "image"
            known = one["code"] in NO_SESSION or (each["image"], one["code"]) in reported
            if not known and not (denied and each["image"] in proved):
                yield from_module(one, link, scene.users_of(each["image"]))
    yield from damaged(scene)
    yield from vanishing(scene)


def damaged(scene: Scene) -> Iterator[Finding]:
    for image, missing in scene.observed.layers.items():
        if missing and not isinstance(missing, Failure):
            facts = {"number": len(missing), "image": image, "digest": missing[0]}
            yield finding("layer_unavailable", scene.users_of(image), json.dumps(missing), **facts)


def vanishing(scene: Scene) -> Iterator[Finding]:
    for image, one in scene.observed.expiring.items():
        if isinstance(one, Expiry):
            moment = "the next time that it runs, within a day" if one.moment <= scene.observed.now else None
            facts = {"rule": one.rule, "image": image, "moment": moment or format_time(one.moment)}
            repository = image.partition("/")[2].partition("@")[0].partition(":")[0]
            yield finding("tag_expires", scene.users_of(image), repository=repository, **facts)


def proof(scene: Scene) -> Iterator[Finding]:
    public = scene.desired.access == "public"
    if not (public or scene.desired.by_user):
        return
    mirrors = read(scene.observed.mirror, [])
    absent = [each["destination"] for each in mirrors if each["copied"] and not each["digest_before"]]
    for each in read(scene.observed.proof, []):
        for one in each["findings"]:
            if each["image"] not in absent:
                found = from_module(one, "public_image" if public else link_of(one), scene.users_of(each["image"]))
                yield with_remedy(scene, found)


def tokens(scene: Scene) -> Iterator[Finding]:
    """What RunPod has works on without a new token."""
    for region, one in scene.observed.tokens.items():
        link = link_of(one) if scene.desired.by_user else "caller"
        concerned = scene.those(partial(has, "region", region))
        yield with_remedy(scene, from_module(one, link, concerned))._replace(severity="warning")


def with_remedy(scene: Scene, one: Finding) -> Finding:
    """Add what the audit knows of the remedy."""
    if one.code == "secret_wrong":
        return one._replace(remedy=emptied(scene))
    bounds = [about["permissions_boundary"] for about in scene.observed.users if about["permissions_boundary"]]
    if one.code != "boundary_denies" or not bounds:
        return one
    wished, cause = scene.desired.options["user_permissions_boundary"], f"{one.cause} The boundary is {bounds[0]}."
    if wished is not None and wished != bounds[0]:
        return one._replace(cause=cause, remedy=MAIN_JOB)
    return one._replace(cause=cause, remedy=BOUND)


def link_of(one: Json) -> str:
    if one["code"] in OF_THE_IMAGE:
        return "image"
    return "key" if one["code"] in OF_THE_KEY - {"token_not_allowed"} else "user"


def explained(one: Finding, about_the_user: Collection[Finding]) -> bool:
    """Return whether a refusal only follows from the user's findings."""
    known = {each.code for each in about_the_user}
    if one.links == ("image",):
        return False
    if known & SHUT or (one.code in OF_THE_KEY and (known & (OF_THE_KEY - {"foreign_key", "rotation_due"}))):
        return True
    if one.code == "explicit_deny":
        return "foreign_policy" in known
    return one.code in OF_ITS_POLICY and bool(known & {"policy_missing", "policy_drift"})


def denying(about_the_user: Iterable[Finding], refused: Collection[Finding]) -> Iterator[Finding]:
    """A policy of somebody else is as bad as what it denies."""
    denied = [one for one in refused if one.code == "explicit_deny"]
    for one in about_the_user:
        if one.code != "foreign_policy" or not denied:
            yield one
            continue
        worst = min(denied, key=lambda each: SEVERITIES.index(each.severity))
        yield one._replace(severity=worst.severity, cause=f"{one.cause} {worst.cause}", raw=worst.raw)


def refusals(scene: Scene) -> Iterator[Finding]:
    """Since when AWS refuses the pull user; nothing once every image can be pulled."""
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
            message = newest["error_message"]
            yield finding("pulls_refused", scene.everybody, message, refused[-1]["time"], **facts)


def mirrors(scene: Scene) -> Iterator[Finding]:
    """Public images that are missing, or not what the private ones are now."""
    for each in read(scene.observed.mirror, []):
        if each["copied"]:
            code = "mirror_behind" if each["digest_before"] else "mirror_missing"
            yield finding(code, scene.users_of(each["source"]), **each)


def public_repositories(scene: Scene) -> Iterator[Finding]:
    """A public repository that is not there lacks its images."""
    for name, one in scene.observed.public.items():
        if isinstance(one, Result) and one.before and (parts := drifted(one.before, one.after)):
            concerned = scene.those(partial(is_published, scene, one.before["uri"]))
            yield finding("public_drift", concerned, name=name, parts=", ".join(parts))


def is_published(scene: Scene, uri: str, item: Json) -> bool:
    return scene.observed.public_images[item["image"]].startswith((f"{uri}:", f"{uri}@"))


def user(scene: Scene) -> Iterator[Finding]:
    drift = [policy["drift"] for each in scene.observed.users for policy in each["policies"]]
    missing = {arn for each in drift for arn in each["missing"]}
    changed = any(each["other"] for each in drift)
    adding = not scene.desired.options["purge_repositories"]
    for one in scene.observed.user_findings:
        if one["code"] in OF_TOKENS:
            continue
        concerned, severity = scene.everybody, one["severity"]
        if one["code"] == "secret_unreadable" and hidden(scene.observed.proof):
            continue
        if one["code"] == "two_active_keys" and (being_rotated(scene) or somebody_elses(scene)):
            continue
        if one["code"] == "not_managed":
            severity = "warning"
        elif one["code"] == "policy_drift" and severity == "warning" and adding:
            severity = "info"  # a run for other images may have opened them
        elif one["code"] == "policy_drift" and severity == "error" and changed and lets_pull(scene):
            severity = "warning"  # it lacks the right to another token
        elif one["code"] == "policy_drift" and severity == "error" and not changed:
            concerned = scene.those(lambda item: item["repository_arn"] in missing) or scene.everybody
        link = "key" if one["code"] in OF_THE_KEY else "user"
        found = from_module(one, link, concerned)._replace(severity=severity)
        yield found._replace(remedy=emptied(scene)) if one["code"] == "secret_unreadable" else found


def borrowed(scene: Scene) -> Iterator[Finding]:
    owner, user = read(scene.observed.entry_owner, ""), scene.desired.options["user_name"]
    if owner not in ("", user):
        kind, region, name = stored_at(scene)
        claim = STORES[kind].claim_command(region, name, user)
        yield finding("entry_of_another", scene.everybody, store=name, owner=owner, user=user, claim=claim)


def stored_at(scene: Scene) -> tuple[str, str, str]:
    """Return kind, region and name of the entry."""
    regions = [about["secret_store"]["region"] for about in scene.observed.users if about["secret_store"]]
    store = scene.desired.store
    return store["type"], store["region"] or (regions[0] if regions else "REGION"), store["name"]


def emptied(scene: Scene) -> str:
    """Return how a run makes a new key although the entry holds something else."""
    kind, region, name = stored_at(scene)
    command = STORES[kind].overwrite_command(region, name, RESERVATION)
    return f"{EMPTYING}: {command} && {MAIN_JOB.partition(': ')[2]}"


def opens(statement: Json, arn: str) -> bool:
    return any(like(str(pattern), arn) for pattern in listed(statement.get("Resource", [])))


def lets_pull(scene: Scene) -> bool:
    """Return whether policies still allow a token's owner to pull all images."""
    documents = [policy["document"] for about in scene.observed.users for policy in about["policies"]]
    return all(
        any(
            one.get("Effect") == "Allow" and covers(one, action) and opens(one, arn)
            for document in documents
            for one in statements(document)
        )
        for arn in scene.desired.repositories
        for action in ("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
    )


def hidden(found: object) -> bool:
    """Return whether whoever looks may not read it, or has no session."""
    return isinstance(found, Failure) and (found.refused or found.code in NO_SESSION)


def being_rotated(scene: Scene) -> bool:
    """Return whether the newer key, in the store, is to take over from the other."""
    keys = [each for about in scene.observed.users for each in about["access_keys"]]
    return all(each["ours"] for each in keys) and any(
        each["stored"] and each["age_days"] < OVERLAP_DAYS for each in keys
    )


def somebody_elses(scene: Scene) -> bool:
    return any(not each["ours"] for about in scene.observed.users for each in about["access_keys"])


def user_drift(scene: Scene) -> Iterator[Finding]:
    """Keys and the policy's text are told of otherwise."""
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
    return {key: value for key, value in about["tags"].items() if not key.startswith("gpuops.runpod/")}


def policies(scene: Scene) -> Iterator[Finding]:
    """Policies that do not let all of RunPod's roles pull, or others too."""
    documents = read(scene.observed.documents, {})
    for policy in read(scene.observed.policies, []):
        arn = policy["arn"]
        concerned = scene.those(partial(has, "repository_arn", arn))
        verdicts = [access(documents.get(arn), role) for role in scene.judge.roles]
        denials = list(dict.fromkeys(sid for one in verdicts for sid in one.denied_by))
        if denials:
            yield finding("statement_denies", concerned, arn=arn, sids=" and ".join(denials))
        if everybody := open_to_all(documents.get(arn)):
            yield finding("open_to_all", concerned, arn=arn, sids=" and ".join(everybody))
        if policy["changed"]:
            let_in = not denials and all(one.allowed is not False for one in verdicts)
            yield outdated(scene, policy, concerned, "warning" if let_in else None)


def outdated(scene: Scene, policy: Json, concerned: tuple[str, ...], severity: str | None) -> Finding:
    """None where RunPod gets in by another statement, or not yet out."""
    roles = scene.desired.options["pull_role_arns"]
    options = {"principal_arns": roles} if roles else {}
    arn, drift = policy["arn"], policy["drift"]
    code = "role_missing" if drift["missing"] else "role_outdated" if drift["outdated"] else "statement_missing"
    facts = {
        "arn": arn,
        "roles": ", ".join(drift["missing"] or drift["outdated"]),
        "grant": module_call("ecr_pull_grant", repositories=[arn], **options),
    }
    one = finding(code, concerned, json.dumps({"drift": drift}), **facts)
    return one._replace(severity=severity or one.severity)


# What RunPod has


def credentials(scene: Scene) -> Iterator[Finding]:
    if not scene.observed.was_read("registries"):
        return
    for region, name in scene.observed.credential_names(scene.desired).items():
        concerned = scene.those(partial(has, "region", region))
        current = {each["id"] for each in scene.observed.current(scene.desired, region)}
        if not current:
            yield finding("credential_missing", concerned, name=name, region=region)
        yield from twice(scene, region, concerned)
        recorded = current & scene.observed.expiry.keys()
        for one in scene.observed.runpod_findings:
            spare = one["code"] == "token_unknown" and recorded
            if one["kind"] == "registry" and one["id"] in current and one["code"] != "credential_unused" and not spare:
                yield token(scene, one, (name, region), concerned)


def further_credentials(scene: Scene) -> Iterator[Finding]:
    """Tokens of other runs for the pull user."""
    if not scene.observed.was_read("registries"):
        return
    account = scene.observed.account_id(scene.desired)
    names = {each["id"]: logical(each["name"]) for each in scene.observed.listed("registries")}
    current = set(scene.observed.credential_names(scene.desired).values())
    of_the_user = {one for one in scene.observed.expiry if names.get(one) not in {None, *current}}
    for one in scene.observed.runpod_findings:
        if one["kind"] == "registry" and one["id"] in of_the_user and one["code"] in OF_TOKENS:
            name = names[one["id"]]
            region = scene.desired.region_of(name, account)
            found = token(scene, one, (name, region), ())
            yield found if region else found._replace(remedy=one["remedy"])


def twice(scene: Scene, region: str, concerned: tuple[str, ...]) -> Iterator[Finding]:
    """Of credentials of one name nobody can tell what each is for."""
    for name, current in by_name(scene.observed.current(scene.desired, region)).items():
        if len(current) > 1:
            used = credential_users({kind: scene.observed.listed(kind) for kind in KINDS})
            unused = [each for each in current if each not in used]
            facts = {"number": len(current), "name": name, "ids": ", ".join(current)}
            yield finding("credential_twice", concerned, unused=", ".join(unused) or "move what refers to one", **facts)


def by_name(registries: Iterable[Json]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for each in registries:
        found.setdefault(each["name"], []).append(each["id"])
    return found


def pods(scene: Scene) -> Iterator[Finding]:
    """Pods of these workloads that cannot pull again what they run."""
    names, images = scene.observed.credential_names(scene.desired), set(scene.desired.repositories)
    images_wished = {*scene.desired.images, *scene.observed.public_images.values()}
    current = {each["id"]: each for region in names for each in scene.observed.current(scene.desired, region)}
    for thing in scene.observed.listed("pods"):
        registry = current.get(thing.get("registry") or "")
        if registry is None or thing.get("status") == "TERMINATED" or not is_of(images, thing):
            continue
        pull = scene.judge.pull(thing)
        ends = scene.observed.expiry
        twins = {each["id"] for each in current.values() if logical(each["name"]) == logical(registry["name"])}
        left = registry["id"] not in ends and bool(twins & ends.keys())
        known = thing["image"] in images_wished or pull.code == "token_expired"
        if left or (pull.works is False and not known):
            cause = lower(pull.cause) or f"nothing renews the token in its credential {registry['name']} any more"
            facts = {"name": thing["name"], "id": thing["id"], "image": thing["image"], "cause": cause}
            one = finding("pod_left_behind", (), credential=logical(registry["name"]), **facts)
            yield one._replace(severity="error" if pull.works is False else one.severity)


def lower(sentence: str) -> str:
    text = sentence.removesuffix(".")
    return text[:1].lower() + text[1:]


def is_of(repositories: Collection[str], thing: Json) -> bool:
    image = repository_of(thing.get("image"))
    return bool(image and image.repository_arn in repositories)


def token(scene: Scene, one: Json, credential: tuple[str, str], concerned: tuple[str, ...]) -> Finding:
    """`credential` is name and region."""
    name, region = credential
    if one["code"] == "token_unknown" and not scene.desired.by_user:
        return finding("token_unknown", concerned, name=one["name"])
    store = {"secret_store": given(scene.desired.store)} if scene.desired.by_user else {}
    call = module_call("runpod_ecr_credential", name=name, registry_region=region, **store)
    since = scene.observed.expiry.get(one["id"]) if one["code"] == "token_expired" else None
    return from_module(one, "credential", concerned)._replace(remedy=call, since=since)


def given(options: Json) -> Json:
    return {key: value for key, value in options.items() if value is not None}


def delegations(scene: Scene) -> Iterator[Finding]:
    if scene.desired.access == "delegation":
        for item in scene.desired.items:
            if scene.observed.cut_off(scene.desired, item):
                call = module_call("runpod_ecr_delegation", images=[item["image"]])
                yield finding("delegation_missing", (item["name"],), arn=item["repository_arn"], delegate=call)


def unproven(scene: Scene, found: list[Finding]) -> list[Finding]:
    """What is known to fail needs no proof."""
    if scene.desired.access != "delegation":
        return []
    broken = {name for one in found if one.severity == "error" for name in one.workloads}
    items = [item for item in scene.desired.items if item["name"] not in broken]
    return [
        finding("unproven_serverless" if item["template"].get("serverless") else "unproven", (item["name"],))
        for item in items
    ]


def account(scene: Scene) -> Iterator[Finding]:
    """Those of the workloads, and others that run their repositories."""
    others = {(kind, each["id"]) for kind, each in foreign(scene.desired, scene.observed)}
    for one in scene.observed.runpod_findings:
        if one["code"] not in LOST:
            continue
        if (one["kind"], one["id"]) in others:
            yield from_module(one, "", ())._replace(severity="warning")
        for item in scene.desired.items:
            if name_of(item, one["kind"]) == one["name"] and not lost_elsewhere(scene, one, item):
                yield from_module(one, one["kind"], (item["name"],))._replace(remedy=main_job(scene, item))


def lost_elsewhere(scene: Scene, one: Json, item: Json) -> bool:
    """Return whether another link or finding tells why it cannot pull."""
    if scene.observed.cut_off(scene.desired, item) or (one["kind"] == "template" and unlinked(scene, item)):
        return True
    return bool(unpullable(scene, item, one["kind"]))


def main_job(scene: Scene, item: Json) -> str:
    """The main job has to be told to take over what looks like somebody else's."""
    names = {each["id"]: each["name"] for each in scene.observed.listed("registries")}
    current = scene.observed.current(scene.desired, item["region"])
    image = scene.observed.public_images.get(item["image"], item["image"])
    wanted = {"image": image, "registry": current[0]["id"] if current else None}
    things = [each for current in in_use(scene.observed, item).values() for each in current]
    return ADOPTING if any(foreign_signs(each, wanted, names) for each in things) else MAIN_JOB


def unpullable(scene: Scene, item: Json, kind: str, parts: Collection[str] = ()) -> list[Finding]:
    """Told of what runs something that is not wished."""
    for thing in in_use(scene.observed, item)[kind]:
        wished = scene.observed.public_images.get(item["image"], item["image"])
        pull = scene.judge.pull(thing)
        elsewhere = pull.code == "region_differs" and kind == "endpoint"
        if pull.works is False and (thing["image"] != wished or elsewhere):
            facts = {"kind": kind, "name": thing["name"], "image": thing["image"], "cause": sentence_of(pull.cause)}
            others = f" It is not as the variables say: {', '.join(parts)}." if parts else ""
            one = finding("runs_unpullable", (item["name"],), parts=others, **facts)
            return [one._replace(links=(kind,), remedy=main_job(scene, item))]
    return []


def sentence_of(text: str) -> str:
    return text if text.endswith(".") else f"{text}."


def name_of(item: Json, kind: str) -> str | None:
    return {"template": item["name"], "endpoint": (item["endpoint"] or {}).get("name")}.get(kind)


def lost(scene: Scene, kind: str, item: Json) -> bool:
    """Return whether it is told why a thing lacks its registry."""
    told_of = any(
        one["kind"] == kind and one["name"] == name_of(item, kind) and one["code"] in LOST
        for one in scene.observed.runpod_findings
    )
    return (
        told_of or scene.observed.cut_off(scene.desired, item) or (kind == "template" and bool(unlinked(scene, item)))
    )


def unlinked(scene: Scene, item: Json) -> list[Finding]:
    """A template that does not refer to its region's credential."""
    current = scene.observed.current(scene.desired, item["region"])
    if not current or "registry" in item["template"]:
        return []
    names = {one["id"]: one["name"] for one in scene.observed.listed("registries")}
    for each in in_use(scene.observed, item)["template"]:
        registry = each.get("registry")
        if registry not in [one["id"] for one in current] and each.get("image") == item["image"]:
            wanted = {"image": item["image"], "registry": current[0]["id"]}
            adopting = {"adopt": True} if foreign_signs(each, wanted, names) else {}
            facts = {
                "name": each["name"],
                "credential": current[0]["name"],
                "registry": registry or "none",
                "repoint": module_call("runpod_template", name=each["name"], registry=current[0]["name"], **adopting),
            }
            raw, works = json.dumps({"registry": registry}), scene.judge.pull(each).works
            one = finding("credential_unlinked", (item["name"],), raw, **facts)
            return [one._replace(severity="error" if works is False else "warning")]
    return []


def drifted(before: Mapping[str, Any], after: Mapping[str, Any], but: Collection[str] = ()) -> list[str]:
    return sorted(key for key, value in after.items() if value != before.get(key) and key not in but)


def templates(scene: Scene) -> Iterator[Finding]:
    steps = {step.name: step for step in read(scene.observed.templates, [])}
    for item in scene.desired.items:
        yield from unlinked(scene, item)
        if item["name"] in steps:
            step = steps[item["name"]]
            yield from differing(scene, "template", item, step.before, step.after)
        else:
            yield from unpullable(scene, item, "template")


def endpoints(scene: Scene) -> Iterator[Finding]:
    """Missing, not as the variables say, or still running what was before."""
    for item in scene.desired.items:
        look = scene.observed.endpoints.get(name_of(item, "endpoint") or "")
        if isinstance(look, Failure):
            yield failure(f"The endpoint {item['endpoint']['name']}", look, ("endpoint",), (item["name"],))
        elif look:
            yield from endpoint(scene, item, look)


def endpoint(scene: Scene, item: Json, look: EndpointLook) -> Iterator[Finding]:
    """What is not as it should be counts before what is not rolled out."""
    differs = [*differing(scene, "endpoint", item, look.before, look.after)]
    release = look.release or {"changes": [], "rollout": None}
    rollout, identifier = release["rollout"] or {}, (look.before or {}).get("id")
    if any(one.code == "runs_unpullable" for one in differs):
        yield from differs
        return
    if release["changes"] and differs:
        facts = {
            "name": item["endpoint"]["name"],
            "changes": ", ".join(release["changes"]),
            "release": main_job(scene, item),
        }
        yield finding("template_not_rolled_out", (item["name"],), json.dumps(facts["changes"]), **facts)
        return
    if not release["changes"] and rollout.get("in_progress"):
        wait = module_call("runpod_endpoint", id=identifier, wait=True)
        raw = json.dumps({"rollout": rollout})
        yield finding("rollout_unfinished", (item["name"],), raw, **rollout, name=item["endpoint"]["name"], wait=wait)
    yield from differs
    yield from workers(scene, item, look)


def workers(scene: Scene, item: Json, look: EndpointLook) -> Iterator[Finding]:
    """What cannot be pulled explains workers that do not run."""
    if scene.judge.failing(item) or not look.workers:
        return
    named: dict[str, list[str]] = {}
    for each in look.workers:
        named.setdefault(str(each.get("status")), []).append(str(each.get("id")))
    facts = {"name": item["endpoint"]["name"], "total": len(look.workers)}
    if unhealthy := named.get("UNHEALTHY"):
        yield finding("workers_unhealthy", (item["name"],), number=len(unhealthy), ids=", ".join(unhealthy), **facts)
    elif named.keys() == {"THROTTLED"}:
        yield finding("workers_throttled", (item["name"],), number=len(look.workers), **facts)
    elif named.keys() <= {"INITIALIZING", "THROTTLED"} and look.released_at:
        minutes = int((scene.observed.now - parse_time(look.released_at)).total_seconds() // 60)
        if minutes >= STARTING:
            ids = ", ".join(named["INITIALIZING"])
            yield finding("workers_stuck", (item["name"],), minutes=minutes, ids=ids, **facts)


def differing(scene: Scene, kind: str, item: Json, before: Json | None, after: Json | None) -> Iterator[Finding]:
    name, concerned = name_of(item, kind), (item["name"],)
    if not before:
        yield finding(f"{kind}_missing", concerned, name=name)
        return
    parts = drifted(before, after or {}, ("id", "registry") if lost(scene, kind, item) else ("id",))
    if cannot := unpullable(scene, item, kind, parts):
        yield from cannot
    elif parts:
        image = f" It runs {before['image']}." if "image" in parts else ""
        one = finding(f"{kind}_drift", concerned, name=name, parts=", ".join(parts), image=image)
        yield one._replace(remedy=main_job(scene, item))


RULES_IN_ORDER: list[Callable[[Scene], Iterable[Finding]]] = [
    refusals,
    public_repositories,
    mirrors,
    policies,
    credentials,
    further_credentials,
    delegations,
    pods,
    account,
    templates,
    endpoints,
]
