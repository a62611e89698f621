"""What the page is called when the deployment does not say otherwise."""

TITLE = "Chatbot"
TAGLINE = "Ask anything. Your conversations stay in this browser."
EXAMPLES = (
    "What is the capital of France?",
    "Write a haiku about the sea",
    "Explain blue/green deployment in two sentences",
    "Show me a Python function that reverses a string",
)
SYSTEM_PROMPT = "You are a helpful, friendly assistant. Answer briefly and truthfully; say so when you do not know."
