"""Pages drawn at four sizes, to train on: python -m bnnup.train.pages FOLDER

A screenshot is not the reduction of a larger one: the program that drew it has drawn it
for its pixels, lines one pixel wide, letters fitted to the grid. What it should look like
at ×2 is what the program draws on a screen of twice the density, and Chromium does that to
order. Each page is made up from a seed: ``0007@1x.png`` up to ``0007@4x.png`` are one
page. Needs the package ``playwright`` and a Chromium; the more fonts there are, the better.
"""

import argparse
import base64
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from bnnup.errors import TrainingError
from bnnup.train.pictures import list_pictures, read_pixels

WIDTH, HEIGHT = 320, 256  # CSS pixels
DENSITIES = (1, 2, 3, 4)
HINTING = ("none", "slight", "medium", "full")  # a browser each
PHOTO = 0.25  # share of pages with photographs, where there are any

SYLLABLES = (
    *("ba", "ce", "di", "fo", "gu", "ha", "je", "ki", "lo", "mu", "na", "pe", "qui", "ro", "su"),
    *("ta", "ve", "wi", "xo", "zy", "an", "er", "in", "or", "us", "tr", "pl", "st", "sch", "ij"),
    *("ä", "ö", "é", "ñ", "ø", "š", "ÿ", "fi", "ffl", "ll", "II"),
)
SCRIPTS = (
    "привет мир данные файл",
    "αβγ δεζ ηθι κλμν",
    "文件 设置 编辑 帮助 確定",
    "1/2 € % @ # & ~ ^",
)
SIGNS = "()[]{};:=+.,"
PATHS = (
    "M2 12 L10 4 L18 12 V20 H2 Z",
    "M4 4 L20 20 M20 4 L4 20",
    "M3 6 H21 M3 12 H21 M3 18 H21",
    "M12 2 A10 10 0 1 0 22 12 L12 12 Z",
    "M4 12 L10 18 L20 6",
    "M12 3 L15 10 L22 10 L16 14 L18 21 L12 17 L6 21 L8 14 L2 10 L9 10 Z",
)


class Page:
    """One page's HTML, by its random numbers."""

    def __init__(self, seed: int, fonts: Sequence[str], photos: Sequence[Path]) -> None:
        self._random = np.random.default_rng(seed)
        self._fonts, self._photos = fonts, photos
        self._dark = self._chance(0.4)
        self._paper = self._grey(0, 50) if self._dark else self._grey(225, 256)
        self._ink = self._grey(170, 256) if self._dark else self._grey(0, 110)
        self._font = self._pick(fonts)

    def html(self) -> str:
        parts = [
            self._toolbar, self._text, self._table, self._chart, self._code, self._form,
            self._icons, self._boxes, self._text,
        ]  # fmt: skip
        if self._photos and self._chance(PHOTO):
            parts.append(self._photo)
        order = self._random.permutation(len(parts))
        body = "".join(parts[number]() for number in order)
        margin = self._number(-60, 9)
        return (
            "<!doctype html><style>* {text-rendering: geometricPrecision; margin: 0} "
            "div {margin: 3px 0; overflow: hidden; white-space: nowrap}</style>"
            f"<body style='background: {self._paper}; color: {self._ink}; margin: {margin}px 6px; "
            f'font: {self._number(10, 16)}px "{self._font}"; width: {WIDTH}px; overflow: hidden\'>'
            f"{body}</body>"
        )

    def _text(self) -> str:
        lines = []
        for _ in range(self._number(1, 5)):
            style = f"font-size: {self._number(8, 22)}px; font-weight: {self._number(1, 10)}00;"
            style += (
                f'font-family: "{self._pick(self._fonts)}"; line-height: 1.{self._number(1, 6)};'
            )
            if self._chance(0.4):
                style += f"color: {self._color()};"
            if self._chance(0.15):
                style += "font-style: italic;"
            if self._chance(0.15):
                style += "text-decoration: underline;"
            if self._chance(0.15):
                style += f"background: {self._color()};"
            words = self._pick(SCRIPTS) if self._chance(0.12) else self._words(12)
            lines.append(f"<div style='{style}'>{words}</div>")
        return "".join(lines)

    def _toolbar(self) -> str:
        buttons = "".join(
            f"<span style='display: inline-block; padding: {self._number(0, 5)}px 6px; "
            f"margin: 2px; background: {self._color()}; color: {self._color()}; border-radius: "
            f"{self._number(0, 9)}px; border: {self._border()}'>{self._words(1)}</span>"
            for _ in range(self._number(3, 7))
        )
        return f"<div>{buttons}</div>"

    def _table(self) -> str:
        cell = f"border: {self._border()}; padding: 0 {self._number(1, 7)}px"
        rows = "".join(
            "<tr>"
            + "".join(
                f"<td style='{cell}'>"
                f"{self._number(0, 10000) / 10 if self._chance(0.7) else self._words(1)}"
                for _ in range(6)
            )
            for _ in range(self._number(2, 6))
        )
        collapse = "collapse" if self._chance(0.8) else "separate"
        return f"<table style='border-collapse: {collapse}; font: inherit'>{rows}</table>"

    def _chart(self) -> str:
        width, height = self._number(120, 300), self._number(40, 110)
        half = self._pick((0, 0.5))
        shapes = "".join(
            f"<path d='M0 {y + half} H{width}' stroke='{self._color()}'/>"
            for y in range(4, height, self._number(8, 24))
        )
        for _ in range(self._number(1, 4)):
            points = " ".join(
                f"{x},{self._number(2, height)}" for x in range(2, width, self._number(5, 25))
            )
            shapes += (
                f"<polyline points='{points}' fill='none' stroke='{self._color()}' "
                f"stroke-width='{self._pick((0.5, 1, 1, 1.5, 2, 3))}'/>"
            )
        for _ in range(self._number(0, 9)):
            x, y = self._number(0, width), self._number(0, height)
            shapes += self._pick((
                f"<rect x='{x}' y='{y}' width='{self._number(3, 30)}' height='{height}' ",
                f"<circle cx='{x}' cy='{y}' r='{self._number(1, 14)}' ",
                f"<ellipse cx='{x}' cy='{y}' rx='{self._number(2, 30)}' ry='5' ",
            ))  # fmt: skip
            fill = self._color() if self._chance(0.6) else "none"
            shapes += f"fill='{fill}' stroke='{self._color()}'/>"
        return f"<svg width={width} height={height} style='display: block'>{shapes}</svg>"

    def _code(self) -> str:
        mono = [font for font in self._fonts if "Mono" in font or "Code" in font or font == "Hack"]
        font = self._pick(mono or self._fonts)
        lines = "".join(
            f"<div style='margin: 0; padding-left: {8 * self._number(0, 5)}px'>"
            + "".join(
                f"<span style='color: {self._color()}'>{self._words(1)}{self._pick(SIGNS)} </span>"
                for _ in range(self._number(1, 6))
            )
            + "</div>"
            for _ in range(self._number(2, 7))
        )
        style = f'font: {self._number(9, 15)}px "{font}"; background: {self._color()}'
        return f"<div style='{style}'>{lines}</div>"

    def _form(self) -> str:
        kinds = ("checkbox", "radio", "range", "text", "button", "checkbox", "radio")
        fields = "".join(
            f"<input type={self._pick(kinds)} {self._pick(('checked', '', 'disabled'))} "
            f"value='{self._words(1)}' style='max-width: 70px; font: inherit'>"
            for _ in range(self._number(2, 6))
        )
        scheme = "dark" if self._dark else "light"
        return f"<div style='color-scheme: {scheme}'>{fields}<progress value=0.4></progress></div>"

    def _icons(self) -> str:
        icons = ""
        for _ in range(self._number(2, 9)):
            side = self._pick((12, 16, 16, 20, 24, 32))
            fill = self._color() if self._chance(0.5) else "none"
            icons += (
                f"<svg width={side} height={side} viewBox='0 0 24 24' style='margin: 2px'>"
                f"<path d='{self._pick(PATHS)}' fill='{fill}' stroke='{self._color()}' "
                f"stroke-width='{self._number(1, 4)}'/></svg>"
            )
        return f"<div>{icons}</div>"

    def _boxes(self) -> str:
        boxes = ""
        for _ in range(self._number(2, 7)):
            fill = self._color()
            if self._chance(0.3):
                fill = f"linear-gradient({self._number(0, 360)}deg, {fill}, {self._color()})"
            shadow = (
                f"box-shadow: 1px 2px {self._number(0, 6)}px #0008;" if self._chance(0.3) else ""
            )
            boxes += (
                f"<span style='display: inline-block; width: {self._number(4, 60)}px; height: "
                f"{self._number(4, 40)}px; margin: 3px; background: {fill}; {shadow} "
                f"border: {self._border()}; border-radius: {self._pick((0, 0, 4, 20))}px'></span>"
            )
        return f"<div>{boxes}</div>"

    def _photo(self) -> str:
        width, height = self._number(60, 200), self._number(40, 120)
        size = (DENSITIES[-1] * width, DENSITIES[-1] * height)
        file = BytesIO()
        photo = Image.fromarray(read_pixels(self._pick(self._photos)))
        ImageOps.fit(photo, size).save(file, "PNG")
        url = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
        return f"<img width={width} height={height} src='{url}' style='display: block'>"

    def _words(self, most: int) -> str:
        words = []
        for _ in range(self._number(1, most + 1)):
            word = "".join(self._pick(SYLLABLES) for _ in range(self._number(1, 5)))
            words.append(self._pick((word, word, word.capitalize(), word.upper(), f"{word},")))
        return " ".join(words)

    def _border(self) -> str:
        style = self._pick(("solid", "solid", "solid", "dashed", "dotted", "none"))
        return f"{self._pick((1, 1, 1, 2, 3))}px {style} {self._color()}"

    def _color(self) -> str:
        """The ink, a grey or any other."""
        if self._chance(0.3):
            return self._ink
        if self._chance(0.4):
            return self._grey(0, 256)
        return "#{:02x}{:02x}{:02x}".format(*self._random.integers(0, 256, 3))

    def _grey(self, low: int, high: int) -> str:
        return "#" + 3 * f"{self._number(low, high):02x}"

    def _number(self, low: int, high: int) -> int:
        return int(self._random.integers(low, high))

    def _chance(self, share: float) -> bool:
        return bool(self._random.random() < share)

    def _pick(self, things: Sequence[Any]) -> Any:
        return things[self._number(0, len(things))]


def installed_fonts() -> list[str]:
    """The families that fontconfig knows."""
    said = subprocess.run(["fc-list", ":", "family"], capture_output=True, text=True, check=True)
    return sorted({line.split(",")[0].strip() for line in said.stdout.splitlines() if line.strip()})


def draw(
    numbers: Iterable[int], photos: Sequence[Path] = ()
) -> Iterator[tuple[int, dict[int, bytes]]]:
    """Pages by number, in some order: each as PNG, by density. Some show ``photos``."""
    from playwright.sync_api import sync_playwright

    fonts = installed_fonts()
    by_hinting: dict[str, list[int]] = {}
    for number in numbers:
        by_hinting.setdefault(HINTING[number % len(HINTING)], []).append(number)
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        for hinting, alike in by_hinting.items():
            flags = [f"--font-render-hinting={hinting}", "--enable-font-subpixel-positioning"]
            browser = playwright.chromium.launch(
                executable_path=chromium, args=[*flags, "--no-sandbox"]
            )
            tabs = {
                density: browser.new_page(
                    viewport={"width": WIDTH, "height": HEIGHT}, device_scale_factor=density
                )
                for density in DENSITIES
            }
            for number in alike:
                html = Page(number, fonts, photos).html()
                yield number, {density: _drawn(tab, html) for density, tab in tabs.items()}
            browser.close()


def _drawn(tab: Any, html: str) -> bytes:
    tab.set_content(html)
    png: bytes = tab.screenshot(animations="disabled")
    return png


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pages", type=int, default=640)
    parser.add_argument("--photos", type=Path, help="folder of photographs to put on some")
    options = parser.parse_args()
    try:
        photos = list_pictures(options.photos) if options.photos else []
    except TrainingError as error:
        parser.exit(1, f"error: {error}\n")
    options.folder.mkdir(parents=True, exist_ok=True)
    for number, drawn in draw(range(options.pages), photos):
        for density, png in drawn.items():
            (options.folder / f"{number:04}@{density}x.png").write_bytes(png)


if __name__ == "__main__":
    main()
