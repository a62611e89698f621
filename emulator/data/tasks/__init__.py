"""What containers of ECS tasks run in: one interface, two runtimes, `process` and `docker`."""
