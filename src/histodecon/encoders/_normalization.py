"""How encoders expect colors: mean and standard deviation of each channel on the scale 0 to 1, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import torch

Channels = tuple[float, float, float]


class Normalization(NamedTuple):
    """Mean and standard deviation of the channels, with the name under which people know them."""

    name: str
    mean: Channels
    std: Channels


IMAGENET = Normalization("ImageNet", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF = Normalization("0.5", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
CLIP = Normalization("CLIP", (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
H_OPTIMUS = Normalization("H-optimus", (0.707223, 0.578729, 0.703617), (0.211883, 0.230117, 0.177517))
HIBOU = Normalization("Hibou", (0.7068, 0.5755, 0.722), (0.195, 0.2316, 0.1816))
NORMALIZATIONS = (IMAGENET, HALF, CLIP, H_OPTIMUS, HIBOU)


def name_normalization(mean: Channels | None, std: Channels | None) -> str:
    """Name a normalization.

    Parameters
    ----------
    mean, std
        Of the three channels, or None for an encoder that sees uint8.

    Returns
    -------
    Its name, the numbers where it has none, and ``"none"`` for uint8.
    """
    if mean is None or std is None:
        return "none"
    for known in NORMALIZATIONS:
        if (known.mean, known.std) == (mean, std):
            return known.name
    return " / ".join(" ".join(f"{number:g}" for number in channels) for channels in (mean, std))


def normalized(batch: torch.Tensor, mean: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
    """Bring uint8 pixels to the scale an encoder was trained on, in the order of operations of torchvision.

    Parameters
    ----------
    batch
        uint8 (n, 3, h, w).
    mean, std
        Shape (1, 3, 1, 1), on the scale 0 to 1.

    Returns
    -------
    float32 (n, 3, h, w).
    """
    return batch.float().div_(255).sub_(mean).div_(std)
