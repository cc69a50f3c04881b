"""Break real node agents and their controllers, at random moments and in every known way, and check
each time that no GPU is left with a value that is not its owner's."""
