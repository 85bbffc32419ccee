"""How complete, how accurate
==========================

Sources of known truth are put into both images, and what comes back is counted: on your own images, with their stars
and defects (:doc:`how </howto/validate>`). Half of those at the threshold are found, as noise has it; nearly all well
above.
"""

# %%
import itertools

import matplotlib.pyplot as plt
import numpy as np

import diapipe
from diapipe.steps.inject import Injection

spec = diapipe.PairSpec.small(600, n_stars=200, n_transients=0)
pair = diapipe.simulate_pair(spec, rng=np.random.default_rng(3))
judged = []
for seed in (1, 2, 3, 4, 5, 6):
    recipe = diapipe.Recipe(inject=Injection(seed=seed, area_fwhm2=300.0, max_snr=40.0))
    judged.append(diapipe.difference_pair(pair.science, pair.template, recipe=recipe).validation)

# %%
# One validation is one draw; six of them are put together by adding up their rows.
truth = np.concatenate([np.abs(found.truth["snr_true"][found.truth["is_usable"]]) for found in judged])
is_found = np.concatenate([found.truth["is_good"][found.truth["is_usable"]] for found in judged])
edges = np.array([3, 4, 5, 6, 8, 12, 20, 40.0])
shares = [is_found[(truth >= low) & (truth < high)].mean() for low, high in itertools.pairwise(edges)]

figure, panels = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
panels[0].stairs(shares, edges)
panels[0].axhline(0.5, color="0.7", linewidth=0.8)
panels[0].set(xscale="log", xlabel="true signal-to-noise", ylabel="share that was found", ylim=(0, 1.05))
for found in judged:
    rows = found.truth[found.truth["is_good"] & (found.truth["kind"] != "trailed")]
    pulls = (rows["measured"] - rows["flux"]) / rows["measured_err"]
    panels[1].scatter(np.abs(rows["snr_true"]), pulls, s=8)
panels[1].axhline(0.0, color="0.7", linewidth=0.8)
panels[1].set(xscale="log", xlabel="true signal-to-noise", ylabel="(flux - truth) / error", ylim=(-4, 4))
for axes in panels:
    axes.set_xticks([3, 5, 10, 20, 40], labels=["3", "5", "10", "20", "40"])
    axes.xaxis.set_minor_formatter("")
plt.show()
