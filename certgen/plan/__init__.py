"""Floor 9: the decision. `decide.plan(bundle, observed, now)` is the one function that decides; it is pure."""
