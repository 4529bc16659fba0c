"""The lineage of a call as a tree: what its pictures were made from, and what was made from them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .history_table import clamped, cost_words, thumbnail
from .tables import cell_html
from .text import clean, html

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .archive import Entry, Reader

_MOST_LINES = 200
_LIST = 'style="list-style:none;margin:0;padding-left:1.5em;border-left:1px solid #8888"'
_ROW = 'style="display:flex;gap:10px;align-items:center;padding:3px 0"'


@dataclass
class TreeNode:
    """A key in the tree.

    Attributes:
        entry: its newest call, with pictures if one has some; None if the archive has none.
        children: the nodes that its pictures went into, oldest first.
    """

    key: str
    entry: Entry | None
    children: list[TreeNode] = field(default_factory=list)


@dataclass(frozen=True)
class TreeLine:
    """A node at its place in the tree: `drawn` stands before it, `again` says that it was shown above."""

    node: TreeNode
    depth: int
    drawn: str
    again: bool


def lines_of(reader: Reader, entry: Entry) -> list[TreeLine]:
    """The tree of a call, a line for each node: what it was made from first, and what was made from it below."""
    nodes: dict[str, TreeNode] = {}
    relatives = reader.relatives(entry.key) or [entry]
    for one in relatives:
        known = nodes.get(one.key)
        if known is None or known.entry is None or one.pictures or not known.entry.pictures:
            nodes[one.key] = TreeNode(one.key, one)
    nodes[entry.key] = TreeNode(entry.key, entry)
    above = _ancestors(entry.key, nodes)
    for node in list(nodes.values()):
        for parent in node.entry.parents if node.entry else ():
            if node.key in above and parent not in nodes:
                nodes[parent] = TreeNode(parent, None)
                above.add(parent)
            if parent in nodes and parent != node.key:
                nodes[parent].children.append(node)
    children = {child.key for node in nodes.values() for child in node.children}
    roots = [nodes[key] for key in nodes if key in above and key not in children] or [nodes[entry.key]]
    lines: list[TreeLine] = []
    for root in roots:
        _draw(root, 0, "", lines)
    return lines


def _ancestors(key: str, nodes: dict[str, TreeNode]) -> set[str]:
    found, new = {key}, [key]
    while new:
        entry = nodes[new.pop()].entry
        for parent in entry.parents if entry else ():
            if parent in nodes and parent not in found:
                found.add(parent)
                new.append(parent)
    return found


def _draw(node: TreeNode, depth: int, indent: str, lines: list[TreeLine], branch: str = "") -> None:
    shown_before = any(line.node is node for line in lines)
    lines.append(TreeLine(node, depth, indent + branch, shown_before))
    if shown_before or len(lines) >= _MOST_LINES:
        return
    below = indent + {"": "", "├─ ": "│  ", "└─ ": "   "}[branch]
    for place, child in enumerate(node.children):
        if len(lines) < _MOST_LINES:
            _draw(child, depth + 1, below, lines, "└─ " if place == len(node.children) - 1 else "├─ ")


def tree_bundle(reader: Reader, entry: Entry) -> dict[str, str]:
    """The tree of a call as a MIME bundle of HTML, with thumbnails, and plain text."""
    lines = lines_of(reader, entry)
    more = [f"… the first {_MOST_LINES} are shown"] if len(lines) >= _MOST_LINES else []
    text = "\n".join([*(line.drawn + _words(line, entry) for line in lines), *more])
    markup = "".join(_html_of(lines, entry))
    return {"text/plain": clean(text, limit=100_000), "text/html": markup + "".join(map(html, more))}


def _words(line: TreeLine, asked: Entry) -> str:
    entry = line.node.entry
    if entry is None:
        return f"{line.node.key[:8]}  not in this archive"
    if line.again:
        return f"{entry.id[:8]}  see above"
    facts = " · ".join((clamped(entry.prompt or "prompt not kept"), entry.model, cost_words(entry)))
    return f"{entry.id[:8]}  {facts}{'  ← this call' if entry.key == asked.key else ''}"


def _html_of(lines: list[TreeLine], asked: Entry) -> Iterator[str]:
    depth = -1
    for line in lines:
        yield f"<ul {_LIST}>" * (line.depth - depth) + "</ul>" * (depth - line.depth)
        depth = line.depth
        entry, words = line.node.entry, html(_words(line, asked), limit=1000)
        small = cell_html(thumbnail(entry)) if entry and not line.again else ""
        shown = f"<strong>{words}</strong>" if entry and entry.key == asked.key else f"<span>{words}</span>"
        yield f"<li><div {_ROW}>{small}{shown}</div></li>"
    yield "</ul>" * (depth + 1)
