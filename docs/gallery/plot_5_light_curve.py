"""From nights to a light curve
============================

The same field on eight nights of different seeing and clouds. Each later night is subtracted from the sharpest of the
first, and the flux at a place is measured on every difference, found there or not. A survey does all this in a
repository (:doc:`tutorial </tutorials/survey>`), with a template of many nights; here it is by hand.
"""

# %%
import dataclasses

import matplotlib.pyplot as plt
import numpy as np

import diapipe
from diapipe.simulate import SurveySpec, simulate_survey
from diapipe.steps.force import force_at

spec = SurveySpec(
    width=400,
    height=400,
    n_columns=1,
    n_rows=1,
    bands=("r",),
    n_nights=8,
    n_template_nights=2,
    night_spacing_days=4.0,
    pause_days=10.0,
)
survey = simulate_survey(spec, rng=np.random.default_rng(7))
frames = [survey.frame(visit=int(visit), detector=0) for visit in survey.visit_table["visit"]]
exposures = [dataclasses.replace(frame.exposure, photo_calib=frame.photo_calib) for frame in frames]
template = min((0, 1), key=lambda i: survey.visit_table["fwhm_px"][i])

# %%
# The transient that becomes brightest, and its flux on each night above that on the template's.
changes = [frame.changes[frame.changes["kind"] == "transient"] for frame in frames]
latest = changes[-1]
chosen = latest[np.argmax(latest["flux"] / latest["flux_err"])]
recipe = diapipe.Recipe(pixel_unit="nJy")


def flux_on(night: int) -> float:
    """True flux of the chosen object, 0 before it is there."""
    same = changes[night][changes[night]["object_id"] == chosen["object_id"]]
    return float(same["flux"][0]) if len(same) else 0.0


rows = []
for i, exposure in enumerate(exposures):
    if i == template:
        continue
    difference = diapipe.difference_pair(exposure, exposures[template], recipe=recipe).difference
    forced = force_at(difference.exposure, ra=np.array([chosen["ra"]]), dec=np.array([chosen["dec"]]))
    true = flux_on(i) - flux_on(template)
    rows.append((survey.visit_table["mjd"][i], forced["psfFlux"][0], forced["psfFluxErr"][0], true))
mjd, flux, error, true = np.array(rows, dtype=float).T

# %%
# Points with errors are measured, crosses are true.
figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
axes.errorbar(mjd - 61000, flux, error, fmt="o", label="forced PSF flux on the difference")
axes.plot(mjd - 61000, true, "x", color="tab:orange", markersize=9, label="truth")
axes.axhline(0.0, color="0.7", linewidth=0.8)
axes.set(xlabel="MJD - 61000", ylabel="flux [nJy]")
axes.legend()
plt.show()
