"""Documents lead to what is there, and their index leads to all of them."""

import re
from pathlib import Path

import pytest
from conftest import ROOT

from bnnup.model.file import load_model

DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "docs/*.md", "weights/*.md", "bnnup/native/*.md")
    for path in ROOT.glob(pattern)
)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"```.*?```", re.DOTALL)


def links(path: Path) -> list[str]:
    text = FENCE.sub("", path.read_text(encoding="utf-8"))
    return [link for link in LINK.findall(text) if "://" not in link]


def anchors(path: Path) -> set[str]:
    """Of a document's headings, as GitHub makes them."""
    text = FENCE.sub("", path.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path: Path) -> None:
    for link in links(path):
        name, _, anchor = link.partition("#")
        target = path.parent / name if name else path
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


def test_the_index_leads_to_every_document() -> None:
    index = ROOT / "docs" / "README.md"
    listed = {(index.parent / link).resolve() for link in links(index)}
    assert {path.resolve() for path in (ROOT / "docs").glob("*.md")} - {index} <= listed


def scores_of(network: str, scale: str) -> list[str]:
    """PSNR and SSIM on Set5 and Set14, as they stand in the model's file."""
    about = load_model(ROOT / "weights" / f"{network}-x{scale}.safetensors").about
    sets = (about["scores"][name] for name in ("Set5", "Set14"))
    return [text for each in sets for text in (f"{each['psnr']:.2f}", f"{each['ssim']:.4f}")]


SCORE = r"\*\*([\d.]+)\*\* / ([\d.]+)"


def test_scores_in_the_readme_are_those_of_the_files() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = re.findall(rf"^\| ×(\d) \| {SCORE} .*{SCORE}", text, re.MULTILINE)
    assert [scale for scale, *_ in rows] == ["2", "3", "4"]
    for scale, *told in rows:
        assert told == scores_of("hybrid-large", scale)
    (others,) = re.findall(r"`hybrid`\s+\(.*?reaches ([\d., and]+) dB on Set5", text, re.DOTALL)
    assert re.findall(r"[\d.]+", others) == [scores_of("hybrid", scale)[0] for scale in "234"]


def test_scores_of_all_networks_are_those_of_the_files() -> None:
    text = (ROOT / "weights" / "README.md").read_text(encoding="utf-8")
    tables = text.partition("<!-- tables -->")[2].partition("<!-- end of tables -->")[0]
    parts = re.split(r"^\| ×(\d) ", tables, flags=re.MULTILINE)
    assert parts[1::2] == ["2", "3", "4"]
    for scale, table in zip(parts[1::2], parts[2::2], strict=True):
        rows = re.findall(rf"^\| ([\w-]+) \| {SCORE} \| {SCORE}", table, re.MULTILINE)
        assert {"hybrid", "hybrid-large", "edsr"} <= {network for network, *_ in rows}
        for network, *told in rows:
            assert told == scores_of(network, scale), network
