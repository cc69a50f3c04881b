"""What keeps setpoints safe: limits, the feedback rule, the budget allocator, the shield.

Pure functions over arrays; the environment and the controller call the same ones.
"""
