"""Two images, one difference
==========================

A science image and a deeper, sharper template of the same field, each with its own PSF, noise and defects. What both
have goes; what changed stays.
"""

# %%
# The pair
# --------
# 400 x 400 pixels with 120 stars, galaxies behind them, and 16 changes of known truth. Neither image brings its PSF:
# both are found from the stars.
import matplotlib.pyplot as plt
import numpy as np

import diapipe

spec = diapipe.PairSpec.small(400, n_stars=120, n_transients=16, transient_min_snr=8.0)
pair = diapipe.simulate_pair(spec, rng=np.random.default_rng(2))
result = diapipe.difference_pair(pair.science, pair.template)

# %%
# Science, template, difference
# -----------------------------
# At one stretch: five times the noise of the science image on either side of zero. Green circles are sources that are
# brighter, magenta ones those that are fainter in the science image; crosses are the truth.
planes = {
    "science": result.science.exposure.masked_image.image,
    "template on the science grid": result.aligned.exposure.masked_image.image,
    "difference": result.difference.exposure.masked_image.image,
}
sigma = np.sqrt(np.nanmedian(result.science.exposure.masked_image.variance))
sources = result.dia_sources[~result.dia_sources["dp_bad"]]
true = pair.transients[np.abs(pair.transients["snr_true"]) > 5]

figure, panels = plt.subplots(1, 3, figsize=(12, 4.4), sharey=True, layout="constrained")
for axes, (name, plane) in zip(panels, planes.items(), strict=True):
    axes.imshow(plane, origin="lower", cmap="gray", vmin=-5 * sigma, vmax=5 * sigma)
    axes.set_title(name)
for negative, colour in ((False, "tab:green"), (True, "magenta")):
    of_sign = sources[sources["isNegative"] == negative]
    panels[2].scatter(of_sign["x"], of_sign["y"], s=90, facecolors="none", edgecolors=colour)
panels[2].scatter(true["x"], true["y"], s=25, marker="x", color="orange", linewidth=0.8)
plt.show()

# %%
# Numbers to trust it by
# ----------------------
# The noise of the difference over what its variance plane says, which is 1 where errors are right, and the correlation
# of neighbouring pixels, which is 0 where a threshold of five sigma is one.
noise = result.summary["noise"]
print(f"noise: {noise['pixel_sigma']:.3f} of the claimed; neighbours correlate by {noise['lag1_x']:+.4f}")
print(f"{len(sources)} trusted sources, {len(result.dia_sources) - len(sources)} set aside")
