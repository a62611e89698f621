"""Deploys the chatbot: Terraform stacks and an image, in order, resumable, one at a time."""
