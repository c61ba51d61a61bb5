# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection. Each step is what its module predicts over an account in which the steps before are done.

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from .._core.errors import InputError, Json
from .._core.masking import to_diff
from .._core.result import Result
from .._ecr.pull_check import NotPullableError
from .._pull_user.iam_user import find_user
from .._runpod import endpoint_fields, template
from . import preview
from .desired import DesiredState
from .look import KNOWN_LATER, Look
from .pull_look import require_no_denial, warned_of_tokens, whole
from .run_result import access_report
from .spec import leftovers, public_images, public_users, templates, users
from .step import Step, credential_reason, minimum, resource_step, step_of

NO_GRANT = "does not let RunPod's roles pull as it should"
NEW_KEY = "the pull user gets a new key"
NO_ALIAS = "alias-to-come"
PUBLIC = "public.ecr.aws/"


class Access(NamedTuple):
    """What templates need: `registries` maps regions to ids of credentials, `images` images to the public ones run
    instead.
    """

    steps: list[Step]
    registries: dict[str, str]
    images: dict[str, str]
    source: list[Json]
    proof: list[Json]
    report: Json
    warnings: list[str]
    account: str = ""
    identity: str = "caller"


class Plan(NamedTuple):
    """Steps, the run's result, and the values that its tasks hand to modules."""

    steps: list[Step]
    result: Json
    handover: Json = {}


def make_plan(desired: DesiredState, look: Look) -> Plan:
    return PLANS[desired.intent](desired, look)


# Converge


def converge(desired: DesiredState, look: Look) -> Plan:
    endpoints = ["endpoints"] if any(item["endpoint"] for item in desired.items) else []
    look.api.prefetch(["registries", "delegations", "templates", *endpoints])
    access = ACCESS[desired.access](desired, look)
    items = templates(desired.items, access.registries, access.images)
    template_steps, warnings = plan_templates(desired, look, items)
    endpoint_steps = plan_endpoints(desired, look)
    account = preview.account(look, ["registries", "delegations"])
    result = {
        **access.report,
        "workloads": workload_results(desired, look, access),
        "warnings": [
            *access.warnings,
            *warnings,
            *public_images_left(desired, template_steps),
            *leftovers(desired.items, account, desired.access, desired.credential_patterns),
        ],
    }
    values = {
        **access_values(desired, access),
        "templates": [{key: item[key] for key in ("name", "image", "registry") if key in item} for item in items],
        "endpoints": endpoint_values(desired, endpoint_steps),
    }
    return Plan([*access.steps, *template_steps, *endpoint_steps], result, values)


def access_values(desired: DesiredState, access: Access) -> Json:
    further = desired.options["user_repositories"] or [] if desired.by_user else []
    mirrors = [{"source": source, "destination": target.partition("@")[0]} for source, target in access.images.items()]
    return {
        "claims": desired.claims(access.account),
        "images": list(access.images.values()) or desired.images,
        "repositories": [*desired.repositories, *further],
        "regions": desired.regions,
        "identity": access.identity,
        "verify_images": verified_on_the_way(access.steps, desired),
        "public_repositories": public_names(desired),
        "alias_to_come": any(NO_ALIAS in image for image in access.images.values()),
        "mirrors": mirrors,
    }


def verified_on_the_way(steps: Iterable[Step], desired: DesiredState) -> list[str]:
    """Return images that the credential's step proves before the hand-over."""
    proved_there = any(step.step == "credential" and step.needed for step in steps) and desired.by_user
    return desired.images if proved_there and desired.options["verify"] else []


def by_credential(desired: DesiredState, look: Look) -> Access:
    if desired.by_user:
        return by_pull_user(desired, look)
    source = look_at(desired, look)
    caller = preview.caller(look)
    steps, registries = plan_credentials(desired, look, caller["Account"])
    warning = f"RunPod can pull whatever {caller['Arn']} can: its tokens were minted as this identity"
    report = access_report(desired.access, None, credentials=registries)
    return Access(steps, ids_of(registries), {}, source, source, report, [warning], caller["Account"])


def by_pull_user(desired: DesiredState, look: Look) -> Access:
    user = preview.pull_user(look, desired)
    steps = [step_of("user", desired.options["user_name"], user)]
    account = user.results["user"]["arn"].split(":")[4]
    pending = user.changed  # the pull can only be proved once the run has changed the user
    source, proof = (look_at(desired, look), []) if pending else proved(desired, look)
    credential_steps, registries = plan_credentials(desired, look, account, force=new_key(user))
    steps += credential_steps
    if pending and desired.options["verify"] and not any(step.needed for step in credential_steps):
        steps.append(Step("proof", "the pull user", "prove", "its rights or its key are new"))
    report = access_report(
        desired.access, desired.options["user_name"], credentials=registries, rotation_due=rotation_due(desired, user)
    )
    warnings = [*extra(user), *user.warnings]
    if desired.options["check_mode"]:
        warnings += warned_of_tokens(desired, look, proof)
    return Access(steps, ids_of(registries), {}, source, proof, report, warnings, account, "secret_store")


def new_key(user: Result) -> bool:
    """Return whether the store will hold a key whose tokens RunPod does not have yet."""
    return any(key["stored"] and key["id"] is None for key in user.results["access_keys"])


def rotation_due(desired: DesiredState, user: Result) -> bool:
    stored = [key["age_days"] for key in user.results["access_keys"] if key["stored"]]
    return any(age >= desired.options["rotate_after_days"] for age in stored)


def extra(user: Result) -> list[str]:
    others = user.results["policy"]["extra_repositories"]
    return [f"The pull user can also pull {', '.join(others)}"] if others else []


def look_at(desired: DesiredState, look: Look) -> list[Json]:
    """Raise NotPullableError for what no run could let RunPod pull."""
    return sound(whole(look, preview.check_images(look, desired.images, "caller"), "caller"))


def sound(reports: list[Json]) -> list[Json]:
    if any(report["pullable"] is False for report in reports):
        raise NotPullableError(reports)
    return reports


def proved(desired: DesiredState, look: Look) -> tuple[list[Json], list[Json]]:
    """Return what the images are, and the proof that the pull user can pull them."""
    if not desired.options["verify"]:
        return look_at(desired, look), []
    proof = proof_of_user(desired, look)
    return proof, proof


def proof_of_user(desired: DesiredState, look: Look) -> list[Json]:
    timeout = preview.propagation_timeout(desired)
    reports = preview.check_images(look, desired.images, "secret_store", desired.store, timeout)
    return sound(whole(look, reports, "secret_store", desired.store))


def plan_credentials(
    desired: DesiredState, look: Look, account: str, force: bool = False, regions: list[str] | None = None
) -> tuple[list[Step], list[Json]]:
    """Without `regions` plan those of the images; return the credentials afterwards too."""
    steps, registries = [], []
    for region in regions or desired.regions:
        name = desired.credential_name(region, account)
        found = preview.credential(look, desired, region, name, force)
        registry = found.results.get("registry") or found.after
        reason = NEW_KEY if force else credential_reason(found, minimum(desired, look.aws.clock()))
        steps.append(step_of("credential", name, found, reason))
        registries.append({**registry, "region": region})
        if "id" not in registry:
            look.api.add("registries", {"id": f"{name} {KNOWN_LATER}", "name": name})
    return steps, registries


def ids_of(registries: Iterable[Json]) -> dict[str, str]:
    """Return region -> id, or the name where there is no id yet."""
    return {registry["region"]: registry.get("id") or registry["name"] for registry in registries}


def by_delegation(desired: DesiredState, look: Look) -> Access:
    source = look_at(desired, look)
    grant = preview.grant(look, desired, "present")
    require_no_denial(desired, look)
    delegation = preview.delegation(look, desired, desired.images, "present")
    names = ", ".join(item["repository"] for item in desired.items)
    steps = [step_of("grant", names, grant, NO_GRANT), step_of("delegation", names, delegation)]
    report = access_report(desired.access, None, delegations=delegation.results["delegations"])
    return Access(steps, {}, {}, source, [], report, [*unproven(desired), *delegation.warnings])


def unproven(desired: DesiredState) -> list[str]:
    serverless = [item["name"] for item in desired.items if item["template"].get("serverless")]
    if not serverless:
        return []
    return [
        "RunPod documents delegation, a beta, for pods, and its own texts disagree whether serverless workers pull by "
        f"it: {', '.join(serverless)}. See that workers start, or use runpod_ecr_access=credential"
    ]


def by_public(desired: DesiredState, look: Look) -> Access:
    source = look_at(desired, look)
    found = {name: preview.public_repository(look, desired, name, "present") for name in public_names(desired)}
    steps = [step_of("public_repository", name, one) for name, one in found.items()]
    aliases = [one.after["alias"] for one in found.values() if one.after and one.after["alias"]]
    alias = aliases[0] if aliases else NO_ALIAS
    uris = {arn: f"{PUBLIC}{alias}/{name}" for arn, name in desired.public_names.items()}
    images = public_images(desired.items, uris)
    mirror = preview.mirror(look, desired, images)
    steps.append(step_of("mirror", ", ".join(images), mirror, "is another one than the private image"))
    proof: list[Json] = []
    if desired.options["verify"]:
        if mirror.changed:
            steps.append(Step("proof", "everybody", "prove", "the images are not public yet"))
        else:
            proof = sound(preview.check_images(look, list(images.values()), "anonymous"))
    waiting = f"AWS gives the public registry its alias with the first repository: {NO_ALIAS} stands for it"
    warnings = [waiting] if alias == NO_ALIAS else []
    return Access(steps, {}, images, source, proof, access_report(desired.access, None), warnings, identity="anonymous")


def public_names(desired: DesiredState) -> list[str]:
    return list(dict.fromkeys(desired.public_names.values()))


ACCESS: dict[str, Callable[[DesiredState, Look], Access]] = {
    "credential": by_credential,
    "delegation": by_delegation,
    "public": by_public,
}


# Templates and endpoints


def plan_templates(desired: DesiredState, look: Look, items: list[Json]) -> tuple[list[Step], list[str]]:
    planned, warnings = preview.templates(look, desired, items)
    steps = []
    for one in planned:
        steps.append(resource_step("template", one.name, one.action, *template.template_diff(one.current, one.after)))
        if one.action == "create":
            look.api.add("templates", {"id": f"{one.name} {KNOWN_LATER}", **(one.after or {})})
        elif one.action == "change":
            look.api.add("templates", one.after or {})
    return steps, list(warnings)


def plan_endpoints(desired: DesiredState, look: Look) -> list[Step]:
    steps = []
    for item in desired.items:
        if item["endpoint"]:
            one = preview.endpoint(look, desired, item["endpoint"])
            name = item["endpoint"].get("name") or item["endpoint"]["id"]
            steps.append(resource_step("endpoint", name, one.action, *to_diff(one.current, one.after)))
    return steps


def endpoint_values(desired: DesiredState, steps: list[Step]) -> list[Json]:
    """Return which endpoints to change, not what they hold, which may be secret."""
    needed = {step.name for step in steps if step.needed}
    return [
        {"position": position, "name": item["endpoint"]["name"], "template": item["name"]}
        for position, item in enumerate(desired.items)
        if item["endpoint"] and (item["endpoint"].get("name") in needed or item["endpoint"].get("id") in needed)
    ]


def workload_results(desired: DesiredState, look: Look, access: Access) -> list[Json]:
    """`pullable` is null where nothing was proved."""
    source = {one["image"]: one for one in access.source}
    proof = {one["image"]: one for one in access.proof}
    ids = {one["name"]: one["id"] for one in look.api.items("/templates", "templates")}
    listed = look.api.items("/serverless", "endpoints") if any(item["endpoint"] for item in desired.items) else []
    return [
        {
            "name": item["name"],
            "image": item["image"],
            "digest": source.get(item["image"], {}).get("digest"),
            "template_id": known(ids.get(item["name"])),
            "endpoint_id": known(found["id"] if (found := endpoint_of(item, listed)) else None),
            "public_image": access.images.get(item["image"]),
            "pullable": proof.get(access.images.get(item["image"], item["image"]), {}).get("pullable"),
        }
        for item in desired.items
    ]


def endpoint_of(item: Json, listed: Iterable[Json]) -> Json | None:
    wanted = item["endpoint"] or {}
    field = "id" if wanted.get("id") else "name"
    return next((one for one in listed if wanted and one.get(field) == wanted[field]), None)


def known(identifier: str | None) -> str | None:
    return None if identifier is None or identifier.endswith(KNOWN_LATER) else identifier


def public_images_left(desired: DesiredState, steps: Iterable[Step]) -> list[str]:
    """A public image is left when a template moves away from it."""
    if desired.access == "public":
        return []
    images = dict.fromkeys(step.before["image"] for step in steps if step.before and step.before.get("image"))
    return [
        f"The public image {image}, another way of access, is still there. When nothing needs it, remove its "
        "repository with ecr_public_repo."
        for image in images
        if image.startswith(PUBLIC)
    ]


# Tokens and keys alone


def covered_regions(desired: DesiredState, look: Look, account: str) -> list[str]:
    """Return the images' regions, and others that RunPod has of the user."""
    current = desired.default_names(look.api.items("/registries", "registries"), account)
    return list(dict.fromkeys([*desired.regions, *(region for region, dummy in current.values())]))


def refresh(desired: DesiredState, look: Look) -> Plan:
    account = preview.account_of_key(look, desired)
    regions = covered_regions(desired, look, account)
    steps, registries = plan_credentials(desired, look, account, regions=regions)
    user = desired.options["user_name"] if desired.by_user else None
    report = access_report(desired.access, user, credentials=registries)
    return Plan(steps, report, {"regions": regions, "verify_images": []})


def rotate(desired: DesiredState, look: Look) -> Plan:
    name = desired.options["user_name"]
    if find_user(look.aws, name) is None:
        raise InputError(f"There is no IAM user {name}. Run the role first, which makes it with a new key.")
    user = preview.rotated_user(look, desired)
    steps = [step_of("user", name, user)]
    account = user.results["user"]["arn"].split(":")[4]
    regions = covered_regions(desired, look, account)
    credential_steps, registries = plan_credentials(desired, look, account, force=new_key(user), regions=regions)
    steps += credential_steps
    proof: list[Json] = []
    if desired.options["verify"] and not user.results["rotated"]:
        proof = proof_of_user(desired, look)
    older = [key["id"] for key in user.results["access_keys"] if key["ours"] and not key["stored"]]
    access = Access([], {}, {}, proof, proof, {}, [])
    report = access_report(desired.access, name, credentials=registries, rotation_due=user.results["rotation_due"])
    result = {
        **report,
        "workloads": workload_results(desired, look, access),
        "warnings": [
            *(f"{key} is an older key of the pull user that is not retired yet" for key in older),
            *user.warnings,
        ],
    }
    verify = verified_on_the_way(steps, desired)
    values = {"claims": desired.claims(account), "regions": regions, "verify_images": verify}
    return Plan(steps, result, values)


def quarantine(desired: DesiredState, look: Look) -> Plan:
    """For an incident: neither images nor RunPod are asked."""
    name = desired.options["user_name"]
    user = preview.quarantined_user(look, desired)
    foreign = [key["id"] for key in user.results["access_keys"] if key["status"] == "Active"]
    warnings = [
        f"Nothing can be pulled with the credentials of {name} until it is released",
        *(f"{key} was made by somebody else and is still active, without any rights" for key in foreign),
    ]
    return Plan([step_of("user", name, user)], {**access_report(desired.access, name), "warnings": warnings})


# Absent


def absent(desired: DesiredState, look: Look) -> Plan:
    """Images may be gone, so they are not looked at. Endpoints go first: they run templates."""
    look.api.prefetch(["registries", "delegations", "templates", "endpoints", "pods"])
    steps = [*remove_endpoints(desired, look), *remove_templates(desired, look)]
    plan = REMOVALS[desired.access](desired, look, preview.account(look))
    account = preview.account(look, ["registries", "delegations"])
    left = leftovers(desired.items, account, desired.access, desired.credential_patterns)
    result = {**plan.result, "warnings": [*plan.result["warnings"], *left]}
    values = {
        "endpoints": [step.after for step in steps if step.step == "endpoint" and step.needed],
        "templates": [{"name": item["name"], "state": "absent"} for item in desired.items],
        "claims": desired.claims(""),
        **dict.fromkeys(("regions", "repositories", "public_repositories"), []),
        **plan.handover,
    }
    return Plan([*(step._replace(after=None) for step in steps), *plan.steps], result, values)


def remove_endpoints(desired: DesiredState, look: Look) -> list[Step]:
    steps = []
    for item in desired.items:
        if item["endpoint"]:
            options = preview.endpoint_options(item["endpoint"])
            found = endpoint_fields.find(look.api.items("/serverless", "endpoints"), options)
            name = item["endpoint"].get("name") or item["endpoint"]["id"]
            steps.append(removal(look, "endpoint", name, found))
    return steps


def remove_templates(desired: DesiredState, look: Look) -> list[Step]:
    planned, dummy = preview.templates(look, desired, templates(desired.items))
    return [removal(look, "template", one.name, one.current) for one in planned]


def removal(look: Look, step: str, name: str, found: Json | None) -> Step:
    """Return the step that deletes what was found, and hide it from later steps."""
    if found is None:
        return Step(step, name, "none", "")
    look.api.remove(found["id"])
    before = {"id": found["id"], "name": found["name"], "image": found.get("image")}
    return Step(step, name, "delete", "is not wanted any more", before, {"id": found["id"], "name": found["name"]})


def remove_credential(desired: DesiredState, look: Look, account: Json) -> Plan:
    caller = preview.caller(look)
    names = {region: desired.credential_name(region, caller["Account"]) for region in desired.regions}
    others = users(desired.items, account, names)
    steps, kept, elsewhere = [], [], []
    regions = [region for region in desired.regions if region not in {other["region"] for other in others}]
    for region in regions:
        found = preview.credential(look, desired, region, names[region], state="absent")
        steps.append(step_of("credential", names[region], found))
        kept += [found.results["registry"]] if found.results["registry"] else []
        elsewhere += [*found.results["in_use_by"], *found.results["other_registries"]]
    strangers = [one for one in elsewhere if one.get("logical_name") not in names.values()]
    reasons = list(dict.fromkeys(one["reason"] for one in [*others, *strangers]))
    user: Json = {"state": None, "repositories": []}
    if desired.by_user:
        step, user = remove_user(desired, look, others, bool(reasons))
        steps.append(step)
    name = desired.options["user_name"] if desired.by_user and reasons else None
    result = {**access_report(desired.access, name, credentials=kept), "warnings": reasons}
    return Plan(steps, result, {"claims": desired.claims(caller["Account"]), "regions": regions, "user": user})


def remove_user(desired: DesiredState, look: Look, others: list[Json], stays: bool) -> tuple[Step, Json]:
    """The user goes, or loses repositories that nothing uses any more."""
    name = desired.options["user_name"]
    if not stays:
        return step_of("user", name, preview.removed_user(look, desired)), {"state": "absent", "repositories": []}
    policy = preview.policy_of_user(look, desired)
    used = {other["repository_arn"] for other in others}
    unused = [arn for arn in desired.repositories if arn not in used]
    left = [arn for arn in policy["repositories"] if arn not in unused]
    if policy["kind"] != "repositories" or left == policy["repositories"]:
        return Step("user", name, "none", ""), {"state": None, "repositories": left}
    found = preview.narrowed_user(look, desired, left)
    return step_of("user", name, found), {"state": "present", "repositories": left}


def remove_delegation(desired: DesiredState, look: Look, account: Json) -> Plan:
    others = users(desired.items, account, {})
    used = {other["repository_arn"] for other in others}
    unused = [arn for arn in desired.repositories if arn not in used]
    steps = []
    if unused:
        names = ", ".join(arn.partition(":repository/")[2] for arn in unused)
        steps.append(step_of("delegation", names, preview.delegation(look, desired, unused, "absent")))
        steps.append(step_of("grant", names, preview.grant(look, desired, "absent", unused)))
    left = [one for one in account["delegations"] if one["repository_arn"] in used]
    warnings = list(dict.fromkeys(other["reason"] for other in others))
    return Plan(
        steps,
        {**access_report(desired.access, None, delegations=left), "warnings": warnings},
        {"repositories": unused},
    )


def remove_public(desired: DesiredState, look: Look, account: Json) -> Plan:
    names = public_names(desired)
    if not desired.options["public_force"]:
        warning = (
            f"Public repositories stay, and everybody can pull what is in them: {', '.join(names)}. To delete them "
            "with all their images, set runpod_ecr_public_force=true"
        )
        return Plan(
            [],
            {**access_report(desired.access, None), "warnings": [warning]},
            {"claims": desired.claims(""), "public_repositories": []},
        )
    found = {name: preview.public_repository(look, desired, name, "absent") for name in names}
    uris = {one.before["uri"]: name for name, one in found.items() if one.before}
    others = public_users(desired.items, account, uris)
    unused = [name for uri, name in uris.items() if uri not in {other["uri"] for other in others}]
    steps = [step_of("public_repository", name, found[name]) for name in unused]
    warnings = list(dict.fromkeys(other["reason"] for other in others))
    return Plan(
        steps,
        {**access_report(desired.access, None), "warnings": warnings},
        {"claims": desired.claims(""), "public_repositories": unused},
    )


REMOVALS: dict[str, Callable[[DesiredState, Look, Json], Plan]] = {
    "credential": remove_credential,
    "delegation": remove_delegation,
    "public": remove_public,
}
PLANS: dict[str, Callable[[DesiredState, Look], Plan]] = {
    "converge": converge,
    "refresh": refresh,
    "rotate": rotate,
    "quarantine": quarantine,
    "absent": absent,
}
