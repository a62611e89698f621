"""The page's own theme: one accent, quiet surfaces, the visitor's system fonts (nothing is fetched)."""

from __future__ import annotations

import gradio as gr

SANS = (
    "ui-sans-serif",
    "system-ui",
    "-apple-system",
    "Segoe UI",
    "Roboto",
    "Noto Sans",
    "Liberation Sans",
    "sans-serif",
)
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "DejaVu Sans Mono", "monospace")

ACCENT = gr.themes.Color(
    name="pine", c50="#eef7f4", c100="#d6ece5", c200="#afdacd", c300="#7fc2b0", c400="#4fa491", c500="#2f8875",
    c600="#1f6f5f", c700="#1a5a4e", c800="#17483f", c900="#143b35", c950="#0a221e",
)  # fmt: skip


def theme() -> gr.themes.Base:
    """The theme in light and dark; what it cannot say is in assets/page.css."""
    return gr.themes.Base(
        primary_hue=ACCENT,
        neutral_hue=gr.themes.colors.stone,
        radius_size=gr.themes.sizes.radius_lg,
        text_size=gr.themes.sizes.text_md,
        font=list(SANS),
        font_mono=list(MONO),
    ).set(
        body_background_fill="#fcfbf9",
        body_background_fill_dark="#1a1917",
        body_text_color="#1f1d1a",
        body_text_color_dark="#ebe8e2",
        body_text_color_subdued="#6b665e",
        body_text_color_subdued_dark="#a8a299",
        background_fill_primary="#ffffff",
        background_fill_primary_dark="#23211f",
        background_fill_secondary="#f4f2ee",
        background_fill_secondary_dark="#151412",
        border_color_primary="#e5e1da",
        border_color_primary_dark="#383530",
        block_background_fill="transparent",
        block_background_fill_dark="transparent",
        input_background_fill="#ffffff",
        input_background_fill_dark="#23211f",
        button_secondary_background_fill="transparent",
        button_secondary_background_fill_dark="transparent",
        button_secondary_background_fill_hover="#ece9e3",
        button_secondary_background_fill_hover_dark="#2d2a27",
        button_secondary_border_color="#d9d4cb",
        button_secondary_border_color_dark="#45413b",
        button_secondary_text_color="#1f1d1a",
        button_secondary_text_color_dark="#ebe8e2",
        code_background_fill="#f4f2ee",
        code_background_fill_dark="#12110f",
        link_text_color="#1a5a4e",
        link_text_color_dark="#7fc2b0",
        link_text_color_hover="#143b35",
        link_text_color_hover_dark="#afdacd",
        color_accent_soft="#ece9e3",
        color_accent_soft_dark="#2d2a27",
    )
