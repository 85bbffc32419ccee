"""The verbs of difference imaging, one package each. They know the nouns, not each other; `diapipe.flow` orders them."""
