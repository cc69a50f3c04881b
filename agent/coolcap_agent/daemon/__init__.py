"""What the node agent and the plant agent share: guard, workers, sessions, serving."""
