"""What the engines take that keep any JSON object at any path, as it was written."""
from collections.abc import Mapping
from typing import Annotated

import msgspec

from holdfast.engine import doc
from holdfast.errors import BadRequest
from holdfast.secrets import json_object
from holdfast.secrets.paths import AtPath


class Write(AtPath, frozen=True):
    data: Annotated[msgspec.Raw, doc("The whole body: any JSON object with at least one field, kept as written.")]


def body_of(args: Write) -> Mapping[str, msgspec.Raw]:
    """Its fields, each as it was written. Raises BadRequest: there is none, or the body is no object."""
    members = json_object.fields(args.data, "body")
    if not members:
        raise BadRequest("missing data fields")
    return members
