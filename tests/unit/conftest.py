# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import gc


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over all that is imported, which stays to the end, and come less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 20, 20)
