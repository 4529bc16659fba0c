"""One request for pictures: frozen, checked against the catalog, priced, with its key.

    ImageRequest("a boat", size="16:9", quality="low").body() -> what goes on the wire
    request.key("cometapi") -> sha256 of all that changes the picture
    request.estimate() -> Price, a range; cost_of(request, usage, images) -> micro-USD or None
    request.to_dict(), ImageRequest.from_dict(facts) -> plain JSON and back; it is not checked again
    request.notices, request.mime_hint, request.spec (its `catalog.Model`)
    requests_of("a boat", {"n": 25}) -> as many requests as the model needs

Nothing is sent or stored from here, and nothing depends on the date.
"""

from .checks import Extra, has_pictures
from .image_request import ImageRequest, WireRequest, cost_of, wire_request
from .inputs import NO_INPUTS, GivenFile, InputPicture, Inputs
from .options import (
    CALL_OPTIONS,
    INPUT_OPTIONS,
    WIRE_KINDS,
    InputOptions,
    ModelId,
    Options,
    PresetName,
    Quality,
    WireOptions,
)
from .split import MOST_PICTURES, requests_of
