"""Why a difference is whitened
============================

A convolved template has correlated noise, and so has the difference: a threshold of five sigma is then no threshold of
five sigma. :doc:`Decorrelation </algorithms/decorrelation>` makes the noise white again and the PSF of the difference a
little sharper. It matters most where the template is as shallow as the science image.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np

import diapipe

spec = diapipe.PairSpec.small(400, n_stars=100, n_transients=0, template_depth=1.0)
pair = diapipe.simulate_pair(spec, rng=np.random.default_rng(1))
recipes = {"as subtracted": diapipe.Recipe(decorrelator=None), "whitened": diapipe.Recipe()}
noises = {
    name: diapipe.difference_pair(pair.science, pair.template, recipe=recipe).summary["noise"]
    for name, recipe in recipes.items()
}

# %%
# How pixels of empty sky go with their neighbours, up to four pixels away, and how often a matched filter reaches which
# score there. The line is what Gaussian noise of unit width does.
figure, panels = plt.subplots(1, 3, figsize=(12, 3.8), layout="constrained")
for axes, (name, noise) in zip(panels, noises.items(), strict=False):
    axes.imshow(noise["autocorrelation"], cmap="RdBu_r", vmin=-0.3, vmax=0.3, extent=[-4.5, 4.5] * 2)
    axes.set_title(f"{name}: lag 1 {noise['lag1_x']:+.3f}")
for name, noise in noises.items():
    edges, counts = np.array(noise["score_edges"]), np.array(noise["score_counts"])
    density = counts / (counts.sum() * np.diff(edges))
    panels[2].step(edges[:-1], density, where="post", label=f"{name}: width {noise['score_sigma']:.2f}")
grid = np.linspace(-6, 6, 200)
panels[2].plot(grid, np.exp(-0.5 * grid**2) / np.sqrt(2 * np.pi), color="0.5", linewidth=0.8)
panels[2].set(yscale="log", ylim=(1e-5, 1), title="score on empty sky", xlabel="sigma")
panels[2].legend(fontsize="small")
plt.show()
