"""The chatbot in the container: a stateless Gradio page over one of three model backends."""
