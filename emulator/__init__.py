"""AWS on one machine: the services that a blue/green chatbot on ECS Fargate needs, with everything really running."""

__version__ = "0.1.0"
