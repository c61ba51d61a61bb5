# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is measured of an audit of a sabotaged world."""

from __future__ import annotations

import os
from typing import Any, NamedTuple
from unittest.mock import patch

from ansible_collections.gpuops.runpod.plugins.module_utils._workload.findings import LINKS
from ansible_collections.gpuops.runpod.plugins.modules import runpod_ecr_audit
from tests.system.conftest import House

from .bases import STORES, Base, Json, Worlds
from .oracle import why_not
from .remedies import carry_out, command_of
from .sabotages import Case, Links

NOT_OF_AN_AUDIT = {"acknowledge_public"}
TOLD = ("red", "amber", "grey")


def audited(house: House, base: Base) -> Json:
    store = {"type": base.store, "name": STORES[base.store]}
    options = {"template": {"serverless": True}, **base.wish, "secret_store": store}
    with patch.dict(os.environ, house.environment()):
        given = {name: value for name, value in options.items() if name not in NOT_OF_AN_AUDIT}
        report: Json = house.runs.outcome(runpod_ecr_audit, given).results["audit"]
    return report


def links_of(report: Json) -> Links:
    """Return every link that is told of, with the codes of what is wrong."""
    codes = {one["number"]: one["code"] for one in report["findings"] if one["status"] in TOLD}
    return {
        (workload["name"], link["kind"]): [codes[number] for number in link["findings"] if number in codes]
        for workload in report["workloads"]
        for link in workload["links"]
        if link["status"] in TOLD
    }


def of_nobody(report: Json) -> tuple[str, ...]:
    return tuple(one["code"] for one in report["findings"] if not one["links"] and one["status"] in TOLD)


def in_use(house: House, workload: Json) -> list[tuple[str, Json]]:
    """Return the template and the endpoint of a workload as they stand."""
    state, wanted = house.runpod(), {"templates": workload["template"]["name"]}
    if "endpoint" in workload:
        wanted["endpoints"] = workload["template"]["name"]
    return [(kind, each) for kind, name in wanted.items() for each in state[kind] if each["name"] == name]


def refusals(house: House, base: Base) -> dict[str, list[str]]:
    """Return workload -> why what it has in use cannot be pulled."""
    found: dict[str, list[str]] = {}
    for workload in base.wish["workloads"]:
        reasons = [why_not(house.sandbox, thing) for dummy, thing in in_use(house, workload)]
        found[workload["template"]["name"]] = [reason for reason in reasons if reason]
    return found


def absent(house: House, workload: Json) -> bool:
    return len(in_use(house, workload)) < (2 if "endpoint" in workload else 1)


class Verdict(NamedTuple):
    """The four measures; each is empty when it is met, and says else what is not."""

    cause: str = ""
    colour: str = ""
    remedy: str = ""
    calm: str = ""


def truth(house: House, base: Base, report: Json) -> str:
    """Return where the colours contradict the pulls themselves."""
    broken, wrong = refusals(house, base), []
    missing = {each["template"]["name"] for each in base.wish["workloads"] if absent(house, each)}
    for workload in report["workloads"]:
        why = broken[workload["name"]]
        if workload["status"] == "green" and why:
            wrong.append(f"{workload['name']} is green, but {why[0]}")
        if workload["status"] == "red" and not why and workload["name"] not in missing:
            wrong.append(f"{workload['name']} is red, and works")
    return "; ".join(wrong)


def measure(worlds: Worlds, case: Case) -> Verdict:
    house, base = worlds.house, worlds.enter(case.base)
    for sabotage in case.sabotages:
        sabotage(house)
    report = audited(house, base)
    told = links_of(report)
    expected = {link: sorted(codes) for link, codes in case.links.items()}
    found = {link: sorted(codes) for link, codes in told.items()}
    cause = {link: found.get(link) for link in expected if found.get(link) != expected[link]}
    stray: Any = {link: codes for link, codes in found.items() if link not in expected}
    if of_nobody(report) != case.elsewhere:
        stray["nobody"] = of_nobody(report)
    repeated = len({one["cause"] for one in report["findings"]}) < len(report["findings"])
    colour = truth(house, base, report)
    if report["status"] != case.status:
        colour = f"{report['status']} instead of {case.status}; {colour}"
    return Verdict(
        str(cause or ""),
        colour,
        mended(house, base, case, report),
        f"{stray}" if stray else "the same twice" if repeated else "",
    )


def mended(house: House, base: Base, case: Case, report: Json) -> str:
    """Carry out every remedy, from the image to the endpoint as what is mended first is needed next, and look again."""
    told = [one for one in report["findings"] if one["status"] in TOLD]
    wrong = sorted(told, key=lambda one: min(map(LINKS.index, one["links"]), default=len(LINKS)))
    in_words = [one["code"] for one in wrong if not command_of(one["remedy"])]
    if in_words and not case.by_hand:
        return f"in words only: {in_words}"
    try:
        for step in case.by_hand:
            step(house)
        for remedy in dict.fromkeys(command_of(one["remedy"]) for one in wrong):
            if remedy:
                carry_out(house, base, remedy)
    except Exception as error:  # whatever a remedy runs into
        return f"{type(error).__name__}: {error}"
    last = audited(house, base)
    left = links_of(last) or of_nobody(last)
    still = {name: why for name, why in refusals(house, base).items() if why}
    return f"left: {left} {still}" if left or still and case.status != "unproven" else ""
