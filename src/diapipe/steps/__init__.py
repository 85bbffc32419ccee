"""The verbs of difference imaging, a package each. They know the nouns, not each other; `diapipe.flow` orders them."""
