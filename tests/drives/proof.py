"""How much the proofs of this folder try: a little on a developer's machine, all of it in CI.

With ``PCEMU_PROOF=full`` in the environment test_crash explores at least 100,000 states, test_kill kills 200
processes and test_fuzz opens 200,000 damaged images, about four minutes of one core together.
"""

from __future__ import annotations

import os

FULL = os.environ.get("PCEMU_PROOF") == "full"


def scaled(quick: int, full: int) -> int:
    """``quick``, or ``full`` where everything is to be tried."""
    return full if FULL else quick
