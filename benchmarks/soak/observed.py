"""`python -m benchmarks.soak.observed OPTIONS`: the exporter, which also reports what only its process can count.

For each line on standard input, a thread writes one JSON line to standard output: the number of tasks that are not
done, and of objects that the garbage collector tracks.
"""

import asyncio
import gc
import json
import sys
import threading
from collections.abc import Mapping

from exporter.__main__ import main


def _answer() -> None:
    for _ in sys.stdin:
        print(json.dumps(_count()), flush=True)  # noqa: T201 - the protocol


def _count() -> Mapping[str, int]:
    """Return the counts. The list of all objects must not outlive this call: it would keep all of them alive."""
    # As the garbage collector would do sooner or later; what remains is in use.
    gc.collect()
    objects = gc.get_objects()
    return {
        "tasks": sum(type(found) is asyncio.Task and not found.done() for found in objects),
        "objects": len(objects),
    }


if __name__ == "__main__":
    threading.Thread(target=_answer, daemon=True).start()
    sys.exit(main())
