"""The records of the lists beside the list of source servers, which optional collectors read.

As in `exporter/sms/model.py`, a struct has the fields that are exposed, and every field except the `id` is optional.
"""

import re
from typing import Final

import msgspec

from exporter.sms.model import ListedRecord, Text

UNKNOWN_ERROR: Final = "unknown"
"""Stands for the code of an error whose text has none."""

_ERROR_CODE: Final = re.compile(r"SMS\.[0-9]{4}(?![0-9])")


class MigrationError(ListedRecord, frozen=True, kw_only=True, gc=False):
    """The error of one source server, in the answer of `GET /v3/errors`. The `id` is that of the server."""

    id: Text = msgspec.field(name="source_id")
    error_json: Text | None = None
    """JSON as text. Its members are not documented; the code can be anywhere in it."""

    @property
    def code(self) -> str:
        """The first error code in the text, such as `SMS.0515`."""
        found = _ERROR_CODE.search(self.error_json or "")
        return found[0] if found else UNKNOWN_ERROR
