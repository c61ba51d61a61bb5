# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: the chain of each workload, what is known of its links, and what proves its pull.

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

from .._core.errors import Json
from .._core.result import Result
from .._core.time import format_time, parse_time
from .._runpod.rollout import READY
from .audit_scene import Scene, name_of
from .findings import WORST_FIRST, Finding
from .observed import EndpointLook, Failure, read

TOKEN_LIFE = timedelta(hours=12)
STARTS = "A worker or a pod that starts with this image proves it."
Link = tuple[Any, str, Json]  # its name, what to say, what is known


def worst(colours: Iterable[str]) -> str:
    return min(colours, key=WORST_FIRST.index, default="green")


def at(moment: str) -> str:
    return f"{moment[:16].replace('T', ' ')} UTC"


def chain(scene: Scene, item: Json, found: list[Finding]) -> Json:
    """Return every link with what is known and the numbers of its findings."""
    kinds = [kind for kind in scene.chain if kind != "endpoint" or item["endpoint"]]
    works = scene.judge.failing(item) is False
    links = [link(scene, item, kind, found, works) for kind in kinds]
    proved = proof(scene, item)
    colours = [each["status"] for each in links]
    return {
        "name": item["name"],
        "image": item["image"],
        "status": worst([*colours, *([] if proved["proved"] else ["unproven"])]),
        "proof": proved,
        "links": links,
    }


def link(scene: Scene, item: Json, kind: str, found: list[Finding], works: bool) -> Json:
    """What is red for others is amber for a workload that works."""
    own = {
        number: one for number, one in enumerate(found, start=1) if kind in one.links and item["name"] in one.workloads
    }
    name, message, facts = DESCRIBED[kind](scene, item)
    return {
        "kind": kind,
        "name": name,
        "status": worst("amber" if works and one.status == "red" else one.status for one in own.values()),
        "detail": message,
        "facts": facts,
        "findings": list(own),
    }


def image(scene: Scene, item: Json) -> Link:
    return item["image"], *reported(scene, item["image"])


def public_image(scene: Scene, item: Json) -> Link:
    reference = scene.observed.public_images[item["image"]]
    return reference, *reported(scene, reference)


def reported(scene: Scene, reference: str) -> tuple[str, Json]:
    """The proof counts before the look as the caller."""
    checks = [*read(scene.observed.proof, []), *read(scene.observed.images, [])]
    reports = [each for each in checks if each["image"] == reference]
    best: Json = next((each for each in reports if each["digest"]), next(iter(reports), {}))
    if not best:
        return "not looked at", {}
    facts = {key: best[key] for key in ("digest", "platforms", "size", "pullable")}
    return ", ".join([best["digest"][:19], *best["platforms"]]) if best["digest"] else "not found", facts


def user(scene: Scene, dummy: Json) -> Link:
    for each in scene.observed.users:
        opened = {arn for policy in each["policies"] for arn in policy["repositories"]}
        facts = {"arn": each["arn"], "repositories": len(opened), "quarantined": each["quarantined"]}
        may = f"may pull {len(opened)} {'repository' if len(opened) == 1 else 'repositories'}"
        return each["name"], "in quarantine" if each["quarantined"] else may, facts
    return scene.desired.options["user_name"], absence(scene.observed.user), {}


def absence(found: object) -> str:
    return "not looked at" if isinstance(found, Failure) else "not found"


def role(scene: Scene, dummy: Json) -> Link:
    name, found = scene.desired.options["role_name"], scene.observed.user_preview
    if not (isinstance(found, Result) and found.before):
        return name, absence(found), {}
    about = found.before["role"]
    return name, "whoever its trust names mints tokens as it", {"arn": about["arn"], "trust": about["trust"]}


def caller(scene: Scene, dummy: Json) -> Link:
    arn = read(scene.observed.identity, "") or None
    lent = scene.desired.options["role_arn"]
    if lent:
        return lent, "assumed by whoever runs this, for the repositories of this run", {"arn": lent}
    return arn, "RunPod can pull whatever this identity can", {"arn": arn}


def key(scene: Scene, dummy: Json) -> Link:
    current = [each for about in scene.observed.users for each in about["access_keys"]]
    for each in sorted(current, key=lambda one: (not one["stored"], not one["ours"])):
        used = each["last_used"]["date"] if each["last_used"] else None
        facts = {
            **{field: each[field] for field in ("id", "status", "created", "age_days", "rotation_due")},
            "last_used": used,
            "due_at": due_at(scene, each),
        }
        return each["id"], f"{each['age_days']} days old, last used {at(used) if used else 'never'}", facts
    return None, absence(scene.observed.user), {}


def due_at(scene: Scene, each: Json) -> str:
    return format_time(parse_time(each["created"]) + timedelta(days=scene.desired.options["rotate_after_days"]))


def policy(scene: Scene, item: Json) -> Link:
    arn = item["repository_arn"]
    for each in read(scene.observed.policies, []):
        if each["arn"] == arn:
            message = "differs from what RunPod needs" if each["changed"] else "lets RunPod's roles pull"
            return arn, message, {"arn": arn, "drift": each["drift"]}
    return arn, "not looked at", {"arn": arn}


def credential(scene: Scene, item: Json) -> Link:
    observed, region = scene.observed, item["region"]
    name, ends = observed.credential_names(scene.desired)[region], observed.expiry
    current = observed.current(scene.desired, region)
    for each in sorted(current, key=lambda one: ends.get(one["id"], ""), reverse=True):
        end = ends.get(each["id"])
        facts = {"id": each["id"], "region": region, "expires_at": end}
        return each["name"], f"works until {at(end)}" if end else "until when it works is not known", facts
    return name, absence(observed.runpod["registries"]), {"region": region}


def delegation(scene: Scene, item: Json) -> Link:
    for each in scene.observed.delegations(item["repository_arn"]):
        created = each.get("created_at")
        facts = {"id": each["id"], "created_at": created}
        return item["repository"], f"{f'made {at(created)}; ' if created else ''}its pull is unproven", facts
    return item["repository"], absence(scene.observed.runpod["delegations"]), {}


def template(scene: Scene, item: Json) -> Link:
    return thing(scene, item, "template", "templates")


def endpoint(scene: Scene, item: Json) -> Link:
    name, message, facts = thing(scene, item, "endpoint", "endpoints")
    look = scene.observed.endpoints.get(item["endpoint"]["name"])
    if isinstance(look, EndpointLook) and look.release:
        return name, f"{message}, release {look.release['version']}", {**facts, **look.release}
    return name, message, facts


def thing(scene: Scene, item: Json, kind: str, key: str) -> Link:
    name = name_of(item, kind)
    for each in scene.observed.listed(key):
        if each["name"] == name:
            facts = {field: each.get(field) for field in ("id", "image", "registry")}
            mine = each.get("image") in (item["image"], scene.observed.public_images.get(item["image"]))
            return name, "runs the image" if mine else f"runs {each.get('image')}", facts
    return name, absence(scene.observed.runpod[key]), {}


DESCRIBED: dict[str, Callable[[Scene, Json], Link]] = {
    "image": image,
    "user": user,
    "key": key,
    "role": role,
    "caller": caller,
    "policy": policy,
    "public_image": public_image,
    "credential": credential,
    "delegation": delegation,
    "template": template,
    "endpoint": endpoint,
}


def proof(scene: Scene, item: Json) -> Json:
    """Return whether the pull was proved, and how; or why not, since when, and what would."""
    if scene.desired.access == "delegation":
        delegations = scene.observed.delegations(item["repository_arn"])
        made = [each["created_at"] for each in delegations if each.get("created_at")]
        how = "Only RunPod has the roles that pull by delegation, so that nobody else can prove it."
        return {"proved": False, "how": how, "since": min(made, default=None), "would_prove": STARTS}
    pullable = scene.observed.pullable(scene.desired, item)
    if not pullable:
        how = f"ECR did not give the image to {puller(scene)}." if pullable is False else "The pull was not tried."
        return {"proved": False, "how": how, "since": None, "would_prove": None}
    given = f"ECR gave the image to {puller(scene)} at {at(format_time(scene.observed.now))}."
    if scene.desired.access == "public":
        return {"proved": True, "how": given, "since": None, "would_prove": None}
    handed = handed_over(scene, item)
    if one := started(scene, item, handed):
        how = (
            f"{given} The worker {one['id']} started with it at {at(one['started_at'])}, by the token that RunPod has."
        )
        return {"proved": True, "how": how, "since": None, "would_prove": None}
    since = f" got at {at(handed)}" if handed else " got"
    how = f"{given} Whether RunPod still has the token that it{since} cannot be read from outside."
    return {"proved": False, "how": how, "since": handed, "would_prove": STARTS}


def handed_over(scene: Scene, item: Json) -> str | None:
    """Return when RunPod got the token that works longest, by the store."""
    ends = [scene.observed.expiry.get(each["id"], "") for each in scene.observed.current(scene.desired, item["region"])]
    last = max(ends, default="")
    return format_time(parse_time(last) - TOKEN_LIFE) if last else None


def started(scene: Scene, item: Json, handed: str | None) -> Json | None:
    """Return a worker that has pulled the image since RunPod got its token."""
    look = scene.observed.endpoints.get((item["endpoint"] or {}).get("name") or "")
    if not (handed and isinstance(look, EndpointLook) and (look.before or {}).get("image") == item["image"]):
        return None
    ready = [each for each in look.workers if each.get("status") in READY and not each.get("is_stale")]
    return next((each for each in ready if (each.get("started_at") or "") >= handed), None)


def puller(scene: Scene) -> str:
    if scene.desired.access == "public":
        return "a client without a login"
    options = scene.desired.options
    if scene.desired.by_user:
        return f"the pull user {options['user_name']}"
    if scene.desired.by_session:
        return f"the pull role {options['role_name']}" if scene.desired.by_role else f"the role {options['role_arn']}"
    return str(read(scene.observed.identity, "the caller"))
