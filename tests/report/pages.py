"""A page taken apart: its tags with their attributes, its text, and whether every tag is closed."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any

VOID = {"meta", "link", "img", "input", "br"}


class Page(HTMLParser):
    """Parse once; unbalanced tags raise."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self._flow: list[str] = []
        self.ids: dict[str, str] = {}
        self._open: list[tuple[str, str | None]] = []
        self.feed(text)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append((tag, dict(attrs).get("id")))

    def handle_endtag(self, tag: str) -> None:
        opened, _ = self._open.pop()
        assert opened == tag, f"</{tag}> closes <{opened}>"

    def handle_data(self, data: str) -> None:
        if self._open:
            tag, name = self._open[-1]
            self.texts.setdefault(tag, []).append(data)
            if tag not in ("script", "style", "title"):
                self._flow.append(data)
            if name:
                self.ids[name] = self.ids.get(name, "") + data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]

    def addresses(self) -> list[str]:
        """Everything that a browser might fetch or go to."""
        wanted = ("src", "href", "action", "srcset", "poster", "data")
        return [value or "" for _, attrs in self.tags for key, value in attrs.items() if key in wanted]

    @property
    def shown(self) -> str:
        """Text that a reader sees, blanks made single."""
        return " ".join(" ".join(self._flow).split())

    @property
    def header(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads(self.ids["payload-header"])
        return loaded
