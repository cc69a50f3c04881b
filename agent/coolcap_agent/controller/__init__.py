"""The controller: reads all agents, decides within safe limits, commands, records why."""
