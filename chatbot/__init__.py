"""The chatbot in the container: a stateless Gradio page over one of three model backends."""

__version__ = "0.1.0"  # setup.cfg takes it from here
