# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: credentials with ECR tokens, one for each region.

from __future__ import annotations

from datetime import datetime

from .._aws.token_source import account_of, refusal, whose
from .._core.errors import ApiError, Json, TransportError
from .._core.result import Result
from .client import Client
from .credential_apply import apply
from .credential_failure import failed, regions_failed
from .credential_names import default_names
from .credential_plan import REFRESH, hands_over_the_callers, plan
from .credential_preview import predict_all
from .credential_request import images_by_region, name_of, regions_of, validate
from .credential_result import joined
from .credential_state import Clients, CredentialState, disown, only_expiry, read_entry, read_users_of_ours
from .credential_write import PATH


def run(params: Json, check_mode: bool, client: Clients) -> Result:
    validate(params)
    regions = regions_of(params)
    images = images_by_region(params.get("verify_images") or (), regions)
    lenient = check_mode and not params.get("key_required")
    current = read_entry(params, client.aws, 0 if lenient else params["propagation_timeout"])
    missing = refusal(current.source, lenient, params.get("released", False)) if params["state"] == "present" else ""
    names = {region: name_of(params, current, region, client.aws) for region in regions}
    now = client.aws.clock()
    if any(names.values()):  # else they follow from an entry to come
        current = current._replace(registries=listed(params, current, client.api, now))
    if params.get("with_further_regions") and params["name"] is None:
        account = account_of(client.aws, current.source)
        names |= dict(default_names(current.registries, params["user"], account).values())
    current = read_users_of_ours(params, current, list(filter(None, names.values())), client.api)
    plans = [plan(params, current, region, name, tuple(images.get(region, ())), now) for region, name in names.items()]
    notes = tuple(filter(None, [missing, whose(client.aws, "RunPod") if hands_over_the_callers(plans) else ""]))
    if not check_mode:
        going = [registry for each in plans if each.action == REFRESH for registry in each.state.pair]
        notes = (*notes, *disown(params, going, client.aws))
    done, failures = predict_all(plans, client, lenient) if check_mode else apply(plans, params, client)
    if failures and len(plans) == 1:
        raise failures[0].error
    outcome = joined(done, notes)
    if failures:
        raise regions_failed(failures, len(plans), outcome)
    return outcome


def listed(params: Json, current: CredentialState, api: Client, now: datetime) -> list[Json]:
    try:
        return api.items(PATH, "registries")
    except (ApiError, TransportError) as error:
        if params["state"] == "absent":
            raise
        raise failed(error, only_expiry(current), now) from error
