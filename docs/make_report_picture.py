"""Write a report about two sections of real tissue and photograph it: docs/_static/report.png.

    python docs/make_report_picture.py

Needs the two sections (downloaded where they are not at hand) and Chromium.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib as mpl

mpl.use("agg")

from PIL import Image

import histodecon as hd

OUT = Path(__file__).parent / "_static" / "report.png"
REP = "X_color_stats"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def write_report(path: Path) -> Path:
    """B4 and C2, each predicted by ridge that learned on the other one."""
    sdata = hd.datasets.her2st(["B4", "C2"])
    hd.pp.tile_spots(sdata)
    hd.pp.embed_tiles(sdata, "color_stats")
    adata = sdata["table"]
    hd.tl.set_targets(adata, "stereoscope")
    hd.tl.cross_validate(adata, use_rep=REP, learner="ridge")
    hd.tl.evaluate(adata, predicted="crossval_abundance", groupby="patient")
    hd.tl.colocalization(adata, "crossval_abundance")
    types = ["Epithelial", "T-cells"]
    return hd.report(sdata, path, title="HER2-positive breast tumors: B4 and C2", cell_types=types)


def photograph(page: Path, out: Path, folder: Path) -> None:
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        sys.exit(f"None of {', '.join(BROWSERS)} is here.")
    shot = folder / "shot.png"
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        f"--user-data-dir={folder / 'profile'}",
    ]
    options += ["--window-size=1120,3600", f"--screenshot={shot}"]
    subprocess.run([browser, *options, page.as_uri()], check=True, capture_output=True, timeout=300)
    image = Image.open(shot).convert("RGB")
    image = image.resize((image.width * 2 // 3, image.height * 2 // 3), Image.Resampling.LANCZOS)
    image.quantize(128, kmeans=1, dither=Image.Dither.NONE).save(out, optimize=True)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photograph(write_report(folder / "report.html"), OUT, folder)
    print(f"{OUT.name}: {OUT.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
