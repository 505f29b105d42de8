"""The features of the wine's chemistry, as NumPy arrays."""

import numpy as np

from machinery.pipeline.data.tags import tag

Numbers = np.ndarray


@tag(owner="cellar", unit="% by volume")
def strength(alcohol: Numbers) -> Numbers:
    """Alcohol of the wine."""
    return alcohol.astype(np.float32)


@tag(owner="cellar", unit="1")
def flavanoid_share(flavanoids: Numbers, total_phenols: Numbers) -> Numbers:
    """Share of the phenols that are flavanoids."""
    return (flavanoids / total_phenols).astype(np.float32)


@tag(owner="cellar", unit="1")
def colour(color_intensity: Numbers) -> Numbers:
    """Intensity of the colour."""
    return color_intensity.astype(np.float32)


@tag(owner="cellar", unit="1")
def tint(hue: Numbers) -> Numbers:
    """Hue of the colour."""
    return hue.astype(np.float32)


@tag(owner="cellar", unit="mg/l")
def amino_acid(proline: Numbers) -> Numbers:
    """Proline, the most frequent amino acid."""
    return proline.astype(np.float32)
