# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small catalogue of the hardware that there is. Of the filters of the GPU types, `count` alone narrows anything."""

from __future__ import annotations

from typing import NamedTuple

from .runpod_pages import page
from .runpod_schemas import PRODUCTS
from .runpod_world import Call, Json, Refusal, World, invalid


class Gpu(NamedTuple):
    """A GPU type; `price` is that of the secure cloud, in USD per hour."""

    name: str
    pool: str | None
    memory: int
    price: float
    manufacturer: str = "NVIDIA"


GPUS = {
    "NVIDIA RTX A4000": Gpu("RTX A4000", "AMPERE_16", 16, 0.25),
    "NVIDIA RTX A4500": Gpu("RTX A4500", "AMPERE_16", 20, 0.25),
    "NVIDIA RTX 4000 Ada Generation": Gpu("RTX 4000 Ada", "AMPERE_16", 20, 0.26),
    "NVIDIA RTX A5000": Gpu("RTX A5000", "AMPERE_24", 24, 0.27),
    "NVIDIA L4": Gpu("L4", "AMPERE_24", 24, 0.39),
    "NVIDIA GeForce RTX 3090": Gpu("RTX 3090", "AMPERE_24", 24, 0.46),
    "NVIDIA GeForce RTX 4090": Gpu("RTX 4090", "ADA_24", 24, 0.69),
    "NVIDIA A40": Gpu("A40", "AMPERE_48", 48, 0.4),
    "NVIDIA RTX A6000": Gpu("RTX A6000", "AMPERE_48", 48, 0.49),
    "NVIDIA L40": Gpu("L40", "ADA_48_PRO", 48, 0.99),
    "NVIDIA L40S": Gpu("L40S", "ADA_48_PRO", 48, 0.86),
    "NVIDIA RTX 6000 Ada Generation": Gpu("RTX 6000 Ada", "ADA_48_PRO", 48, 0.77),
    "NVIDIA A100 80GB PCIe": Gpu("A100 PCIe", "AMPERE_80", 80, 1.64),
    "NVIDIA A100-SXM4-80GB": Gpu("A100 SXM", "AMPERE_80", 80, 1.74),
    "NVIDIA H100 PCIe": Gpu("H100 PCIe", "ADA_80_PRO", 80, 2.39),
    "NVIDIA H100 80GB HBM3": Gpu("H100 SXM", "ADA_80_PRO", 80, 2.69),
    "NVIDIA H100 NVL": Gpu("H100 NVL", "ADA_80_PRO", 94, 2.59),
    "NVIDIA GeForce RTX 3070": Gpu("RTX 3070", None, 8, 0.13),
    "AMD Instinct MI300X OAM": Gpu("MI300X", None, 192, 1.99, "AMD"),
}
_POOL_NAMES = {gpu.pool for gpu in GPUS.values() if gpu.pool}
POOLS = {pool: {identifier for identifier, gpu in GPUS.items() if gpu.pool == pool} for pool in _POOL_NAMES}
MOST_GPUS = 8  # of one type in a machine
CPU_FLAVORS = {"cpu3c": 2, "cpu3g": 4, "cpu3m": 8, "cpu5c": 2, "cpu5g": 4, "cpu5m": 8}  # gigabytes per vCPU
DATA_CENTERS = {"US-KS-2": "US Kansas 2", "EU-RO-1": "EU Romania 1"}
ONLY_WITH_AVAILABILITY = ("product", "count", "cloud", "countryCodes", "cudaVersions", "minCudaVersion")


def list_gpus(world: World, call: Call) -> Json:
    stock = _stock_is_asked_for(call)
    count = _count(call)
    gpus = [_gpu_type(identifier, gpu) for identifier, gpu in GPUS.items()]
    if stock:
        gpus = [{**gpu, **_stock(world, gpu, count)} for gpu in gpus]
    return page(world, call, "gpus", gpus)


def _stock_is_asked_for(call: Call) -> bool:
    included, products = _listed(call, "include"), _listed(call, "product")
    errors = [f"include: value must be one of 'AVAILABILITY', got '{one}'" for one in included if one != "AVAILABILITY"]
    errors += [f"product: value must be one of {PRODUCTS}, got '{one}'" for one in products if one not in PRODUCTS]
    if errors:
        raise invalid(errors)
    if included and not products:
        raise Refusal(400, "product is required with include=AVAILABILITY")
    alone = [name for name in ONLY_WITH_AVAILABILITY if name in call.query]
    if alone and not included:
        raise Refusal(400, f"{alone[0]} is valid only with include=AVAILABILITY")
    return bool(included)


def _listed(call: Call, name: str) -> list[str]:
    return [part for part in call.query.get(name, "").split(",") if part]


def _count(call: Call) -> int:
    text = call.query.get("count", "1")
    if not text.isdecimal() or not int(text):
        raise invalid([f"count: got {text}, want an integer of at least 1"])
    return int(text)


def _gpu_type(identifier: str, gpu: Gpu) -> Json:
    price = {"secure": gpu.price, "community": gpu.price}
    return {
        "id": identifier,
        "name": gpu.name,
        "pool": gpu.pool,
        "manufacturer": gpu.manufacturer,
        "memory": gpu.memory,
        "secure": True,
        "community": True,
        "price": {**price, "serverless": gpu.price} if gpu.pool else price,
        "maxCount": {"secure": MOST_GPUS, "community": MOST_GPUS},
    }


def _stock(world: World, gpu: Json, count: int) -> Json:
    level = world.switches["gpu_availability"].get(gpu["id"], "HIGH") if count <= MOST_GPUS else "NONE"
    free = level != "NONE"
    places = [{"id": place, "name": name, "availability": level} for place, name in DATA_CENTERS.items()]
    versions = [{"version": "12.8", "available": free}] if gpu["manufacturer"] == "NVIDIA" else []
    shown = {"dataCenters": places if free else [], "cudaVersions": versions}
    return {"availability": level, **{field: value for field, value in shown.items() if value}}
