"""What really happens: a proxy, tasks, a registry, repositories, builds, functions. Each works without the rest."""
