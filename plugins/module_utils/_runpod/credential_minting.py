# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: the token of a region, as whoever mints it.

from __future__ import annotations

from .._aws.client import Aws
from .._aws.pull_session import PullSession
from .._aws.token_source import Minted, new_token, session_of, token_in_time
from .credential_plan import CredentialPlan


def mint_token(aws: Aws, planned: CredentialPlan) -> Minted:
    return new_token(aws, planned.state.source, str(planned.region), pulled_with(planned))


def open_session(aws: Aws, planned: CredentialPlan) -> PullSession:
    return session_of(aws, planned.state.source, str(planned.region), pulled_with(planned))


def mint_in_time(aws: Aws, planned: CredentialPlan, timeout: float) -> Minted:
    return token_in_time(aws, planned.state.source, str(planned.region), timeout, pulled_with(planned))


def pulled_with(planned: CredentialPlan) -> list[str]:
    """What is pulled with the credential already stays open, whoever else handed that token over."""
    return [arn for registry in planned.state.pair for arn in planned.state.pulled.get(registry["id"], [])]
