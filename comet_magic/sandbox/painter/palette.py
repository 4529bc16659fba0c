"""The colours of an hour: sky, light and the tone that holds a picture together."""

from __future__ import annotations

from dataclasses import dataclass

from .canvas import Colour, mix, tinted


@dataclass(frozen=True)
class Palette:
    """What one hour does to every colour."""

    sky: tuple[str, ...]  # from the top to the horizon
    sun: str
    glow: str
    cloud: tuple[str, str]  # lit side, shaded side
    water: tuple[str, str]  # far, near
    light: str  # multiplies what faces the sun
    shade: str  # multiplies what faces away
    tone: str  # what land colours lean to
    lean: float
    stars: float = 0.0
    lamps: bool = False  # windows and lanterns are lit

    @property
    def haze(self) -> Colour:
        """The colour of what is far away."""
        return mix(self.sky[-1], self.sky[-2], 0.5)

    def land(self, colour: str | Colour, distance: float = 0.0) -> Colour:
        """A daylight colour as it looks at this hour and this far away (0 near, 1 gone)."""
        return mix(mix(tinted(colour, self.light), self.tone, self.lean), self.haze, distance)


HOURS: dict[str, tuple[Palette, ...]] = {
    "sunrise": (
        Palette(
            ("#45619c", "#8a83b8", "#e79aa0", "#fbbf8e", "#ffe3b0"), "#fff4d6", "#ffd79a",
            ("#ffe9d2", "#e9a5a3"), ("#eeb296", "#3b5690"), "#fff6ea", "#dcc0cc", "#7a5a96", 0.17,
        ),
        Palette(
            ("#5f9dbf", "#a5c8d6", "#f3d3c3", "#ffd9a3", "#fff0c4"), "#fffbe6", "#ffe2a6",
            ("#fff6e8", "#efc0ac"), ("#f3cba6", "#3f7f96"), "#fff9ee", "#d4cad4", "#5c7f98", 0.15,
        ),
        Palette(
            ("#54407f", "#a35c8d", "#ee8081", "#ffae74", "#ffdf9c"), "#fff1c7", "#ffc885",
            ("#ffd7bd", "#c8718c"), ("#ea9a80", "#46306f"), "#fff2e2", "#cfaec6", "#7a4084", 0.20,
        ),
    ),
    "day": (
        Palette(
            ("#2f86cf", "#68b4e6", "#aedcf2", "#e2f3f3"), "#fffbe0", "#fff6cf",
            ("#ffffff", "#cfe3f0"), ("#7cc0d8", "#1c6ea3"), "#fffdf6", "#b9c6dc", "#4a86b0", 0.10,
        ),
        Palette(
            ("#3a9fb8", "#7fcbd0", "#c6e9df", "#f6f3dc"), "#fffbe6", "#fff2c2",
            ("#fffdf6", "#cfe4dd"), ("#8fd0cb", "#20808f"), "#fffbef", "#b8c9cf", "#4a96a0", 0.12,
        ),
        Palette(
            ("#5a7fd6", "#8fb0ee", "#c9dcfa", "#fdeee0"), "#fffaf0", "#fff0d8",
            ("#ffffff", "#d5dcf2"), ("#a4c2ea", "#355fae"), "#fffaf4", "#bcc2e0", "#6a7fc0", 0.14,
        ),
    ),
    "sunset": (
        Palette(
            ("#2b2160", "#6b2f7c", "#c8496f", "#fb8059", "#ffcb75"), "#ffe9a8", "#ffb45e",
            ("#ff9f7c", "#8e3f78"), ("#e87a5c", "#2a1c54"), "#ffdcb8", "#b48cba", "#5a2468", 0.26,
        ),
        Palette(
            ("#22406b", "#5d6194", "#c07383", "#f39c61", "#fcd98b"), "#fff0bd", "#ffc273",
            ("#ffc39a", "#8a6488"), ("#e0946c", "#1f3a5e"), "#ffe4bf", "#b4a0bc", "#4a4478", 0.24,
        ),
        Palette(
            ("#571f4e", "#9c2f57", "#e0524f", "#f98e4b", "#ffc867"), "#ffe59a", "#ffab4f",
            ("#ff9a68", "#a23a5a"), ("#ea7448", "#471a44"), "#ffd8aa", "#bb88a8", "#6a2450", 0.27,
        ),
    ),
    "night": (
        Palette(
            ("#070b26", "#121a48", "#253470", "#43559a"), "#fdf6dc", "#a9bcf0",
            ("#4a5c9c", "#26336a"), ("#384a8c", "#0a1030"), "#a3aedb", "#5d6aa6", "#101a44", 0.52,
            stars=1.0, lamps=True,
        ),
        Palette(
            ("#06131f", "#0c2a40", "#175066", "#3b8287"), "#f7f6df", "#9fdcd6",
            ("#3a7880", "#18445a"), ("#2c6a76", "#07182a"), "#a3c6cc", "#5b8296", "#0a2a3c", 0.52,
            stars=1.0, lamps=True,
        ),
        Palette(
            ("#140a2e", "#2b1656", "#4c2a7e", "#7e50a0"), "#fff0df", "#d9b4f0",
            ("#6c4696", "#3c2468"), ("#5e3c8c", "#120a30"), "#b8a4dc", "#6e5ea6", "#1f1048", 0.52,
            stars=1.0, lamps=True,
        ),
    ),
    "storm": (
        Palette(
            ("#1b2530", "#31424f", "#566b78", "#8ea2a4"), "#dfe6df", "#b6c6c2",
            ("#70838c", "#2b3944"), ("#6a8086", "#14242e"), "#bcc8cc", "#6f808c", "#23333e", 0.42, lamps=True,
        ),
        Palette(
            ("#1c1f36", "#34385a", "#5c6186", "#9a97a8"), "#e6e2df", "#bdb8c8",
            ("#767a9c", "#2e3150"), ("#6c7090", "#171a34"), "#c0c0d2", "#72769a", "#282b4a", 0.42, lamps=True,
        ),
    ),
    "fog": (
        Palette(
            ("#93a9b5", "#b3c3ca", "#d3dcdc", "#ece9e0"), "#fffdf2", "#fbf6e4",
            ("#e9eeec", "#bccad0"), ("#cdd6d6", "#7f99a6"), "#eef0ec", "#a9b6c0", "#8ca0ac", 0.40,
        ),
        Palette(
            ("#a39db8", "#c1b8c9", "#dfd2d4", "#f5e8dd"), "#fffaf0", "#fdf0df",
            ("#f0e8ea", "#c4b8c8"), ("#dccfd2", "#8f88a8"), "#f3ece8", "#b3aabf", "#9a92ac", 0.40,
        ),
    ),
}  # fmt: skip
