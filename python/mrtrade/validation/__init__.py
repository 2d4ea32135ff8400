"""Whether a result can be told from luck: walk-forward, overfitting, noise, gates."""
