"""Pieces of HTML and the small pictures in them; every text is cleaned and escaped here."""

from __future__ import annotations

import html as escaping
import io
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import CometError
from ...files import from_here
from ...images import cost_words, preview
from ...outputs import data_url
from ...text import clean, counted, html

if TYPE_CHECKING:
    from PIL.Image import Image

    from ...images import Images
    from .form import Order

THUMBNAIL = 160  # longest edge of a picture in the gallery, pixels
SHOWN = 512  # of the selected one
LARGE = 1400  # of the large view
TALLEST = 540  # of the selected one on the page, pixels
_QUALITY = {THUMBNAIL: 68, SHOWN: 76}
_SQUARE = 8  # of the chequered ground that shows where a picture is transparent

# An attribute, because a script in an HTML widget does not run; the text is selected too, so that it can
# be copied by hand where the browser does not let a page copy.
_COPY = (
    "const box=this.closest('.comet-code-box').querySelector('pre');"
    "getSelection().selectAllChildren(box);document.execCommand('copy');"
    "this.textContent='Copied';setTimeout(()=>{this.textContent='Copy'},1500)"
)


def small(data: bytes, edge: int) -> str:
    """A picture as the data address of a small JPEG; what is transparent gets a chequered ground.

    Raises:
        CometError: it cannot be opened.
    """
    return data_url(_jpeg(data, edge), "image/jpeg")


def both(data: bytes) -> tuple[str, str]:
    """A picture for the stage and for the gallery, decoded once; "" for both where it cannot be opened."""
    try:
        shown = _jpeg(data, SHOWN)
        return data_url(shown, "image/jpeg"), small(shown, THUMBNAIL)
    except CometError:
        return "", ""


def _jpeg(data: bytes, edge: int) -> bytes:
    from PIL import Image as Pillow

    made, mime = preview(data, edge)
    image: Image = Pillow.open(io.BytesIO(made))
    if mime == "image/png":
        image = _on_ground(image.convert("RGBA"))
    out = io.BytesIO()
    image.convert("RGB").save(out, "JPEG", quality=_QUALITY.get(edge, 85), optimize=True)
    return out.getvalue()


def _on_ground(image: Image) -> Image:
    from PIL import Image as Pillow

    ground = Pillow.new("RGB", image.size, "#ffffff")
    for top in range(0, image.height, _SQUARE):
        for left in range(top // _SQUARE % 2 * _SQUARE, image.width, 2 * _SQUARE):
            ground.paste("#d9dce1", (left, top, left + _SQUARE, top + _SQUARE))
    ground.paste(image, (0, 0), image)
    return ground


def img(source: str, alt: str, *, width: int = 0, height: int = 0) -> str:
    """A picture whose address was made here; of known size it takes its room before it is there."""
    most = round(TALLEST * width / height) if width else 0
    size = f' width="{width}" height="{height}" style="width:min(100%,{most}px)"' if width else ""
    return f'<img src="{source}" alt="{attribute(alt)}"{size}>'


def attribute(text: object) -> str:
    """A text as the value of an attribute."""
    return escaping.escape(" ".join(clean(text, limit=200).split()))


def status(text: str) -> str:
    """A line that screen readers tell when it changes."""
    return f'<div role="status" aria-live="polite" class="comet-said">{html(text, limit=1000)}</div>'


def alert(error: CometError) -> str:
    """An error in its own words, with its evidence."""
    head, *lines = error.lines()
    name, _, said = head.partition(": ")
    body = "".join(f"<div>{html(line, limit=1000)}</div>" for line in lines)
    title = f'<div class="comet-alert-head"><span>{html(said or name, limit=1000)}</span></div>'
    return f'<div role="alert" class="comet-alert">{title}{body}<div class="comet-faint">{html(name)}</div></div>'


def refusal(error: CometError) -> str:
    """Why the form cannot be sent as it is, where its price would stand."""
    hint = f" {html(error.hint)}" if error.hint else ""
    return f'<div role="status" class="comet-refusal">{html(error)}{hint}</div>'


def price(order: Order) -> str:
    """What the form would cost, and the request in one line."""
    cost = "price unknown" if not order.price.known else str(order.price)
    pictures = counted(order.count, "picture")
    first = order.requests[0]
    facts = [counted(len(order.requests), "request")]
    body = {name: value for name, value in first.body().items() if name != "prompt"}
    facts += [str(value) if name == "model" else f"{name} {_plain(value)}" for name, value in body.items()]
    return (
        f'<div class="comet-cost"><strong>{html(cost)}</strong> <span>for {pictures}</span></div>'
        f'<div class="comet-request">{html(" · ".join(facts), limit=1000)}</div>'
    )


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def caption(images: Images) -> str:
    """What is known of a picture: model, size, cost, file, prompt, revised prompt; all of it as text."""
    picture = images.pictures[0]
    facts = [
        images.model,
        f"{picture.width} × {picture.height}",
        cost_words(images),
        picture.mime.partition("/")[2].upper(),
    ]
    rows = [
        ("Prompt", images.prompt),
        ("Revised prompt", picture.revised_prompt),
        ("File", from_here(Path(picture.path)) if picture.path else None),
        ("Request id", picture.request_id),
    ]
    head = " · ".join(html(fact) for fact in facts if fact)
    body = "".join(
        f"<dt>{html(name)}</dt><dd>{html(value, limit=4000)}</dd>" for name, value in rows if value
    )
    notice = f'<div class="comet-notice">{html(images.notice)}</div>' if images.notice else ""
    return f'<figcaption><div class="comet-facts">{head}</div><dl>{body}</dl>{notice}</figcaption>'


def code(text: str, label: str) -> str:
    """Code to copy: exactly this text, by a button or by hand."""
    # Escaped without the cleaner, because it must be the very text; it is the user's own, never a server's.
    exact = escaping.escape(text)
    return (
        f'<div class="comet-code-box"><button type="button" class="comet-copy" onclick="{_COPY}" '
        f'aria-label="Copy: {html(label)}">Copy</button>'
        f'<pre tabindex="0" aria-label="{html(label)}">{exact}</pre></div>'
    )


def readable(data: bytes, edge: int) -> str:
    """A small picture, or "" where it cannot be opened: a preview is no reason to stop."""
    try:
        return small(data, edge)
    except CometError:
        return ""
