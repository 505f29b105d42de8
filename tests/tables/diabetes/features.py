"""The features of a patient's measurements, as NumPy arrays."""

import numpy as np

from machinery.pipeline.data.tags import tag

Numbers = np.ndarray
Strings = np.ndarray


@tag(owner="clinic", unit="years")
def years(age: Numbers) -> Numbers:
    """Age of the patient."""
    return age.astype(np.float32)


@tag(owner="clinic", unit="")
def coded_sex(sex: Strings) -> Strings:
    """Sex of the patient as the table codes it."""
    return np.where(sex == None, "missing", sex)  # noqa: E711 - element by element


@tag(owner="clinic", unit="kg/m²")
def body_mass(bmi: Numbers) -> Numbers:
    """Body mass index."""
    return bmi.astype(np.float32)


@tag(owner="clinic", unit="mmHg")
def blood_pressure(bp: Numbers) -> Numbers:
    """Average blood pressure."""
    return bp.astype(np.float32)


@tag(owner="laboratory", unit="log mg/dl")
def triglycerides(s5: Numbers) -> Numbers:
    """Logarithm of the triglycerides in the serum."""
    return s5.astype(np.float32)
