# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: one target gets a token of one region.

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

from .._aws.client import Aws
from .._aws.ecr_token import Token
from .._aws.token_source import (
    Minted,
    RefreshError,
    TokenSource,
    VerifyImages,
    account_of,
    check_validity,
    new_token,
    read_source,
    refusal,
    remaining,
    token_in_time,
    whose,
    young_deadline,
)
from .._core.errors import AwsError, CollectionError, InputError, Json, SupersededError
from .._core.finding import Rule
from .._core.result import Result
from .._core.time import format_time
from .._oci.reference import Image, parse_ecr, partition_of, repository_arn
from .target import Registries, SinkState, TokenSink, fingerprint

TRIES = 5  # of a write that other runs come before
SUFFIXES = {"aws": "amazonaws.com", "aws-us-gov": "amazonaws.com", "aws-cn": "amazonaws.com.cn"}
AGAIN = "Run this task outside check mode, and every four hours at least."
RULES = {
    rule.code: rule
    for rule in (
        Rule("sink_missing", "error", "{label} holds no token for {hosts}.", AGAIN),
        Rule("sink_unknown", "warning", "Nothing tells until when the token in {label} works.", AGAIN),
        Rule("sink_expired", "error", "The token in {label} has ended at {ends}.", AGAIN),
        Rule("sink_ends_soon", "warning", "The token in {label} ends at {ends}.", AGAIN),
        Rule("sink_of_another", "warning", "The token in {label} was made as {was}, not as {made_by}.", AGAIN),
        Rule("sink_drift", "warning", "{label} differs from what is wanted in more than its token.", AGAIN),
    )
}


class Clients(NamedTuple):
    aws: Aws
    connect: Callable[[Registries], TokenSink]
    verify: VerifyImages = lambda images, token, deadline: []


class SinkRun(NamedTuple):
    """What a run is about: the wish, the target, what it holds, and as whom tokens are made."""

    params: Json
    client: Clients
    registries: Registries
    sink: TokenSink
    state: SinkState
    source: TokenSource
    made_by: str
    now: datetime

    @property
    def needed_until(self) -> datetime:
        return self.now + timedelta(hours=self.params["min_validity_hours"])

    @property
    def deadline(self) -> datetime | None:
        return young_deadline(self.source, self.params["propagation_timeout"], self.client.aws.clock())

    def token_in_time(self) -> Minted:
        timeout = self.params["propagation_timeout"]
        return token_in_time(self.client.aws, self.source, self.registries.region, timeout, (), self.sink.label)

    def reports(self, token: Token) -> list[Json]:
        images = list(self.params["verify_images"])
        return self.client.verify(images, token, self.deadline) if images else []


def run(params: Json, check_mode: bool, client: Clients) -> Result:
    check_validity(params["min_validity_hours"], params["propagation_timeout"])
    images = images_of(params)
    absent = params["state"] == "absent"
    source = TokenSource(None, None, {})
    if not (absent and images):
        source = read_source(client.aws, params, timeout_of(params, check_mode), repository_arn)
    missing = "" if absent else refusal(source, check_mode)
    registries = registries_of(params, images, partial(account_of, client.aws, source))
    sink = client.connect(registries)
    state = sink.read()
    made_by = "" if absent else identity(client.aws, source)
    this = SinkRun(params, client, registries, sink, state, source, made_by, client.aws.clock())
    if absent:
        return remove(this, check_mode)
    found = list(findings(this, state))
    warnings = [missing] if missing else []
    if not (found or params["force"]):
        return kept(this, warnings)
    if source.store is None and source.minting is None:
        warnings.append(whose(client.aws, sink.label))
    return predicted(this, found, warnings) if check_mode else refreshed(this, found, warnings)


# What is wanted


def timeout_of(params: Json, check_mode: bool) -> float:
    return 0 if check_mode or params["state"] == "absent" else params["propagation_timeout"]


def images_of(params: Json) -> list[Image]:
    given = params["images"] or ([params["image"]] if params["image"] is not None else [])
    found = [parse_ecr(reference) for reference in given]
    regions = sorted({image.region for image in found}) or [params["registry_region"]]
    if len(regions) > 1:
        raise InputError(
            f"images lie in {len(regions)} regions ({', '.join(regions)}), but a token opens one: write a task each."
        )
    if not regions[0]:
        raise InputError("registry_region is empty: name the region of the ECR registries, as in us-east-1.")
    for reference in params["verify_images"]:
        region = parse_ecr(reference).region
        if region != regions[0]:
            raise InputError(f"verify_images: {reference} is in {region}, but the token opens {regions[0]}.")
    return found


def registries_of(params: Json, images: list[Image], account: Callable[[], str]) -> Registries:
    """Return the hosts of the images, or of the account of whoever the token is made as."""
    if images:
        return Registries(images[0].region, tuple(dict.fromkeys(image.host for image in images)))
    region = str(params["registry_region"])
    suffix = SUFFIXES.get(partition_of(region))
    if suffix is None:
        raise InputError(f"The host of the registry in {region} does not follow from its region: set image.")
    return Registries(region, (f"{account()}.dkr.ecr.{region}.{suffix}",))


def identity(aws: Aws, source: TokenSource) -> str:
    """Return the key, the role and what it is narrowed to, or the caller without what names its session; empty when the
    key is still to be made.
    """
    if source.store:
        return source.key.access_key_id if source.key else ""
    role = source.minting.role_arn if source.minting else None
    arn = role or str(aws.call("sts", "get_caller_identity")["Arn"])
    who = arn.rpartition("/")[0] if ":assumed-role/" in arn else arn
    narrowed = source.minting.repositories if source.minting else None
    return who if narrowed is None else f"{who}#{fingerprint(' '.join(sorted(narrowed)))}"


# Judge


def findings(this: SinkRun, state: SinkState) -> Iterator[Json]:
    """Yield why the target wants a token; nothing when it is fresh."""
    facts = {"label": this.sink.label, "hosts": " and ".join(this.registries.hosts), "made_by": this.made_by}
    if state.summary is None:
        yield RULES["sink_missing"].filled(facts)
        return
    if state.drift:
        yield RULES["sink_drift"].filled(facts)
    if state.metadata is None:
        yield RULES["sink_unknown"].filled(facts)
        return
    facts |= {"ends": format_time(state.metadata.expires_at), "was": state.metadata.made_by}
    if state.metadata.expires_at <= this.now:
        yield RULES["sink_expired"].filled(facts)
    elif state.metadata.expires_at < this.needed_until:
        yield RULES["sink_ends_soon"].filled(facts)
    if state.metadata.made_by != this.made_by:
        yield RULES["sink_of_another"].filled(facts)


# Carry out


def kept(this: SinkRun, warnings: list[str]) -> Result:
    reports: list[Json] = []
    if this.params["verify_images"] and this.state.metadata:
        reports = this.reports(token_of(this))
    before = described(this, this.state)
    return Result(False, before, before, results(this, this.state, reports, []), tuple(warnings))


def token_of(this: SinkRun) -> Token:
    """Return the token that the target holds, or where it cannot be read another of its kind."""
    if this.state.token is not None and this.state.metadata:
        return Token("AWS", this.state.token, this.state.metadata.expires_at)
    return this.token_in_time().token


def predicted(this: SinkRun, found: list[Json], warnings: list[str]) -> Result:
    reports: list[Json] = []
    if this.params["verify_images"] and this.made_by:
        try:
            reports = this.reports(new_token(this.client.aws, this.source, this.registries.region).token)
        except AwsError as error:
            warnings.append(f"Whether the images can be pulled cannot be told yet: {error}")
    after = SinkState(this.sink.expected(this.state))
    return replaced(this, after, reports, found, warnings)


def refreshed(this: SinkRun, found: list[Json], warnings: list[str]) -> Result:
    ends = this.state.metadata.expires_at if this.state.metadata else None
    try:
        token, opens_more = this.token_in_time()
        reports = this.reports(token)
        after = hand_over(this, token)
    except CollectionError as error:
        holds = "" if this.state.summary is None else remaining(this.sink.label, ends, this.now)
        raise failed(error, ends, holds) from error
    warnings += [opens_more] if opens_more else []
    if token.expires_at < this.needed_until:
        end = format_time(token.expires_at)
        warnings.append(f"The new token works until {end}, less than min_validity_hours: each run refreshes it.")
    return replaced(this, after, reports, found, warnings)


def replaced(this: SinkRun, after: SinkState, reports: list[Json], found: list[Json], warnings: list[str]) -> Result:
    """The target has, or would have, another token."""
    after_it = results(this, after, reports, found, True)
    return Result(True, described(this, this.state), after_it["sink"], after_it, tuple(warnings))


def hand_over(this: SinkRun, token: Token) -> SinkState:
    """Write, again when another run came first; one that left a fresh token is as good."""
    state, attempt = this.state, 1
    while True:
        try:
            return this.sink.write(state, token, this.made_by)
        except SupersededError:
            if attempt == TRIES:
                raise
        state, attempt = this.sink.read(), attempt + 1
        if state.metadata != this.state.metadata and not list(findings(this, state)):
            return state


def failed(error: CollectionError, expires_at: datetime | None, message: str) -> RefreshError:
    return RefreshError(error, expires_at, message)


def remove(this: SinkRun, check_mode: bool) -> Result:
    state = this.state
    before = described(this, state)
    going = state.summary is not None and not state.retained
    if going and not check_mode:
        this.sink.remove(state)
    after = state if state.retained else SinkState(None)
    warnings = (state.retained,) if state.retained else ()
    return Result(going, before, described(this, after), results(this, after, [], []), warnings)


# Report


def described(this: SinkRun, state: SinkState) -> Json | None:
    if state.summary is None:
        return None
    return {
        "type": this.params["type"],
        "region": this.registries.region,
        "registries": list(this.registries.hosts),
        "expires_at": format_time(state.metadata.expires_at) if state.metadata else None,
        "target": state.summary,
    }


def results(this: SinkRun, state: SinkState, reports: list[Json], found: list[Json], refresh: bool = False) -> Json:
    sink = described(this, state)
    return {
        "sink": sink,
        "expires_at": sink["expires_at"] if sink else None,
        "refreshed": refresh,
        "findings": found,
        "images": reports,
    }
