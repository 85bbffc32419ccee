"""The kernel between two PSFs
===========================

The template is the sharper image; convolved with the matching kernel it has the PSF of the science image. Three ways to
find that kernel, on the same pair: :doc:`Gaussians times polynomials </algorithms/alard-lupton>`, :doc:`a free pixel
each </algorithms/delta-basis>`, and :doc:`the two PSF models alone </algorithms/model-psf>`, which needs no stars.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np

import diapipe
from diapipe.steps.match import MATCHERS

spec = diapipe.PairSpec.small(400, n_stars=150, n_transients=0, science_fwhm_arcsec=1.0, ellipticity=0.1)
pair = diapipe.simulate_pair(spec, rng=np.random.default_rng(4))
results = {
    name: diapipe.difference_pair(pair.science, pair.template, recipe=diapipe.Recipe(matcher=MATCHERS.make(name)))
    for name in ("al", "delta", "psf")
}

# %%
# Three kernels at the middle of the image, at one stretch.
figure, panels = plt.subplots(1, 3, figsize=(10, 3.6), layout="constrained")
for axes, (name, result) in zip(panels, results.items(), strict=True):
    kernel = result.difference.kernel
    image = kernel.image_at(x=200, y=200)
    half = 8
    middle = slice(kernel.half - half, kernel.half + half + 1)
    axes.imshow(image[middle, middle], origin="lower", cmap="RdBu_r", vmin=-0.06, vmax=0.06, extent=[-8.5, 8.5] * 2)
    axes.set_title(f"{name}: sum {kernel.sum:.3f}")
plt.show()

# %%
# What they leave at a bright star: science minus matched template, with nothing done to the noise yet, over the noise.
figure, panels = plt.subplots(1, 3, figsize=(10, 3.6), layout="constrained")
stars = pair.stars
inside = (stars["x"] > 40) & (stars["x"] < 360) & (stars["y"] > 40) & (stars["y"] < 360) & ~stars["is_variable"]
brightest = stars[inside][np.argsort(stars[inside]["mag"])[4]]
around = diapipe.Box.around(x=float(brightest["x"]), y=float(brightest["y"]), half=14)
for axes, (name, result) in zip(panels, results.items(), strict=True):
    cut = result.difference.exposure[around].masked_image
    drawn = axes.imshow(cut.image / np.sqrt(cut.variance), origin="lower", cmap="RdBu_r", vmin=-5, vmax=5)
    axes.set_title(f"{name}: residual over noise")
figure.colorbar(drawn, ax=panels, shrink=0.8)
plt.show()
