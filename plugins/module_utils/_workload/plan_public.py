# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: access by public mirrors of the images.

from __future__ import annotations

from .._core.errors import Json
from . import preview
from .access import Access, look_at, sound
from .desired import DesiredState
from .look import Look
from .run_result import access_report
from .spec import public_images, public_users
from .step import Plan, Step, step_of

NO_ALIAS = "alias-to-come"
PUBLIC = "public.ecr.aws/"


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
