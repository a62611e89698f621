"""Things that really happen: a proxy, tasks, a registry, repositories, builds, functions. Each works without the rest."""
