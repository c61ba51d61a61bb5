# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: the token of a region, as whoever mints it.

from __future__ import annotations

from typing import NamedTuple

from .._aws.client import Aws
from .._aws.ecr_token import Token, get_token
from .._aws.pull_session import pull_session
from .credential_plan import CredentialPlan


class Minted(NamedTuple):
    """`opens_more` warns of a token that opens more than what it is for."""

    token: Token
    opens_more: str = ""


def minted_for(aws: Aws, planned: CredentialPlan) -> Minted:
    """What is pulled with the credential already stays open, whoever else handed that token over."""
    state, region = planned.state, str(planned.region)
    if state.minting is None:
        return Minted(get_token(aws, region, state.entry.key if state.entry else None))
    more = [arn for registry in state.pair for arn in state.pulled.get(registry["id"], [])]
    session = pull_session(aws, state.minting, region, more)
    return Minted(get_token(aws, region, session.key), session.opens_more)
